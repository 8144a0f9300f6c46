"""Activation under load, crashes, time-outs, stop, and the end of everything."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import requests
from function_host_serving import Served, eventually

WriteApp = Callable[..., Path]

BASIC = """
    import os, signal, subprocess, time

    VERSION = os.environ.get("VERSION")

    @app.route()
    def version(req) -> str: return str(VERSION)

    @app.route()
    def pid(req) -> str: return str(os.getpid())

    @app.route()
    def slow(req) -> str:
        time.sleep(float(req.params["s"]))
        return str(VERSION)

    @app.route()
    def die(req) -> str: os._exit(9)

    @app.route()
    def freeze(req) -> str:
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(60)

    @app.route()
    def child(req) -> str:
        return str(subprocess.Popen(["sleep", "600"]).pid)
"""


def running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def worker_pid(served: Served) -> int:
    return int(served.call("/api/pid").text)


def kill(served: Served, pid: int) -> None:
    """Kill a worker, and wait until its host has noticed."""
    os.kill(pid, signal.SIGKILL)
    eventually(
        lambda: f"Worker {pid} ended (signal SIGKILL)" in served.log(), "the host sees the end"
    )


def test_nothing_is_deployed_at_first(served: Served) -> None:
    assert served.host.index is None
    assert served.call("/api/version").status_code == 404
    assert served.call("/admin/host/ping").status_code == 200
    assert served.do(served.host.restart()).functions == ()


def test_activations_under_load_lose_no_request(served: Served, write_app: WriteApp) -> None:
    root = write_app(BASIC)
    served.activate(root, VERSION="0")
    stop = threading.Event()

    def hammer() -> Counter[str]:
        seen: Counter[str] = Counter()
        with requests.Session() as session:
            while not stop.is_set():
                answer = session.get(f"{served.url}/api/slow?s=0.005", timeout=60)
                seen[answer.text if answer.status_code == 200 else f"!{answer.status_code}"] += 1
        return seen

    with ThreadPoolExecutor(4) as pool:
        hammers = [pool.submit(hammer) for _ in range(4)]
        for version in range(1, 6):
            served.activate(root, VERSION=str(version))
        stop.set()
        by_thread = [each.result() for each in hammers]
    # Every request was answered with 200 by one of the versions, and each thread met several.
    assert set(sum(by_thread, Counter())) <= set("012345")
    assert all(len(seen) >= 3 for seen in by_thread)
    assert served.call("/api/version").text == "5"


def test_a_call_under_way_is_answered_by_the_old_workers(
    served: Served, write_app: WriteApp
) -> None:
    root = write_app(BASIC)
    served.activate(root, VERSION="old")
    old = worker_pid(served)
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(requests.get, f"{served.url}/api/slow?s=1.5", timeout=60)
        served.activate(root, VERSION="new")
        assert served.call("/api/version").text == "new"
        assert under_way.result().text == "old"
    eventually(lambda: not running(old), "the old worker ends")


def test_a_broken_new_version_replaces_the_old_one(served: Served, write_app: WriteApp) -> None:
    served.activate(write_app(BASIC), VERSION="old")
    assert served.activate(write_app("import broken_module")).error is not None
    assert served.call("/api/version").status_code == 404
    assert served.activate(write_app(BASIC), VERSION="new").error is None
    assert served.call("/api/version").text == "new"


def test_requests_wait_for_the_first_activation(served: Served, write_app: WriteApp) -> None:
    root = write_app("import time; time.sleep(1)\n" + textwrap.dedent(BASIC))
    with ThreadPoolExecutor(1) as pool:
        activation = pool.submit(served.activate, root, VERSION="1")
        eventually(lambda: not served.host._front.settled.is_set(), "the activation begins")
        assert served.call("/api/version").text == "1"
        assert activation.result().error is None


def test_a_crash_fails_its_call_and_the_next_one_succeeds(
    served: Served, write_app: WriteApp
) -> None:
    served.activate(write_app(BASIC))
    first = worker_pid(served)
    answer = served.call("/api/die")
    assert (answer.status_code, answer.content) == (500, b"")
    second = worker_pid(served)
    assert second != first
    served.wait_for_line(f"Worker {first} ended (exit code 9)")


@pytest.fixture(params=["asyncio", "uvloop"])
def any_loop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    library = pytest.importorskip(request.param)
    served = Served(tmp_path / "app.log", new_loop=library.new_event_loop)
    yield served
    served.close()


def test_on_any_event_loop(any_loop: Served, write_app: WriteApp) -> None:
    root = write_app(BASIC)
    any_loop.activate(root, VERSION="1")
    first = worker_pid(any_loop)
    kill(any_loop, first)
    assert any_loop.call("/api/version").text == "1"
    assert any_loop.call("/api/die").status_code == 500
    any_loop.activate(root, VERSION="2")
    assert any_loop.call("/api/version").text == "2"


def test_killed_from_outside(served: Served, write_app: WriteApp) -> None:
    served.activate(write_app(BASIC))
    first = worker_pid(served)
    kill(served, first)
    assert worker_pid(served) != first


def test_restarts_back_off(served: Served, write_app: WriteApp) -> None:
    served.activate(write_app(BASIC))
    for _ in range(2):
        assert served.call("/api/die").status_code == 500
    # After the second death there is a pause; the request waits for the new worker all the same.
    assert served.call("/api/version").status_code == 200


def test_requests_do_not_wait_for_ever(
    make_served: Callable[..., Served], write_app: WriteApp
) -> None:
    served = make_served(worker_wait=0.3)
    root = write_app(BASIC)
    served.activate(root)
    (root / "function_app.py").write_text("raise RuntimeError('changed on disk')")
    assert served.call("/api/die").status_code == 500
    assert served.call("/api/version").status_code == 503
    eventually(lambda: "changed on disk" in served.log(), "the reason in the log")


def test_several_processes_take_turns(served: Served, write_app: WriteApp) -> None:
    served.activate(write_app(BASIC), FUNCTIONS_WORKER_PROCESS_COUNT="2")
    pids = [worker_pid(served) for _ in range(6)]
    assert len(set(pids)) == 2
    assert pids[:2] == pids[2:4] == pids[4:]
    kill(served, pids[0])
    assert all(worker_pid(served) != pids[0] for _ in range(4))


def test_function_timeout_restarts_the_worker(served: Served, write_app: WriteApp) -> None:
    served.activate(write_app(BASIC, host_dot_json='{"functionTimeout": "00:00:01"}'))
    first = worker_pid(served)
    assert served.call("/api/slow?s=0.1").status_code == 200
    assert served.call("/api/slow?s=60").status_code == 500
    assert worker_pid(served) != first
    served.wait_for_line("was exceeded by function slow")


def test_the_front_end_gives_up_before_the_function(
    make_served: Callable[..., Served], write_app: WriteApp
) -> None:
    served = make_served(front_end=0.5)
    served.activate(write_app(BASIC))
    first = worker_pid(served)
    assert served.call("/api/slow?s=1").status_code == 504
    assert served.call("/api/slow?s=0").status_code == 200
    assert worker_pid(served) == first


def test_stop_and_start_again(served: Served, write_app: WriteApp) -> None:
    served.activate(write_app(BASIC), VERSION="1")
    worker = worker_pid(served)
    served.do(served.host.stop())
    assert not running(worker)
    assert served.call("/api/version").status_code == 403
    assert served.call("/admin/host/ping").status_code == 403
    assert served.host.index is not None
    assert served.do(served.host.restart()).error is None
    assert served.call("/api/version").text == "1"


def test_restart_makes_new_workers(served: Served, write_app: WriteApp) -> None:
    served.activate(write_app(BASIC))
    first = worker_pid(served)
    assert len(served.do(served.host.restart()).functions) == 6
    assert worker_pid(served) != first


def test_programs_the_app_started_go_with_it(served: Served, write_app: WriteApp) -> None:
    served.activate(write_app(BASIC))
    child = int(served.call("/api/child").text)
    assert running(child)
    served.do(served.host.stop())
    eventually(lambda: not running(child), "the child ends")


def test_a_worker_that_will_not_leave_is_killed(
    make_served: Callable[..., Served], write_app: WriteApp
) -> None:
    served = make_served(stop_drain=0.1, exit=0.3)
    served.activate(write_app(BASIC))
    worker = worker_pid(served)
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(requests.get, f"{served.url}/api/freeze", timeout=60)
        stopped = psutil.Process(worker)
        eventually(lambda: stopped.status() == psutil.STATUS_STOPPED, "the worker stands still")
        served.do(served.host.stop())
        assert pending.result().status_code == 500
    assert not running(worker)


def test_closing_ends_an_activation_that_hangs(served: Served, write_app: WriteApp) -> None:
    root = write_app("import os, time; print('pid', os.getpid()); time.sleep(600)")
    with ThreadPoolExecutor(1) as pool:
        activation = pool.submit(served.activate, root, FUNCTIONS_WORKER_PROCESS_COUNT="2")
        eventually(lambda: served.log().count("pid ") == 2, "both workers import the app")
        served.do(served.host.close())
        with pytest.raises(CancelledError):
            activation.result()
    pids = [int(line.split()[-1]) for line in served.log().splitlines() if " pid " in line]
    assert len(pids) == 2
    assert not any(running(pid) for pid in pids)


HOST_PROGRAM = """
import asyncio, json, sys
from pathlib import Path
from mc_assets.local_cloud.azure.function_host import AppContent, FunctionHost

async def main():
    host = FunctionHost("app", Path(sys.argv[2]))
    await host.activate(AppContent(Path(sys.argv[1]), {}))
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_workers_do_not_outlive_the_host(
    write_app: WriteApp, tmp_path: Path, how: signal.Signals
) -> None:
    repository = Path(__file__).parents[4]
    command = [sys.executable, "-c", HOST_PROGRAM, str(write_app(BASIC)), str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=repository) as host:
        assert host.stdout is not None
        assert host.stdout.readline() == b"ready\n"
        workers = psutil.Process(host.pid).children()
        assert len(workers) == 1
        host.send_signal(how)
        host.wait(20)
        eventually(lambda: not running(workers[0].pid), "the worker ends")


def test_two_hosts_do_not_mix(make_served: Callable[..., Served], write_app: WriteApp) -> None:
    one, two = make_served(), make_served()
    root = write_app(BASIC)
    one.activate(root, VERSION="one")
    two.activate(root, VERSION="two")
    assert (one.call("/api/version").text, two.call("/api/version").text) == ("one", "two")
    assert json.dumps(worker_pid(one)) not in two.log()
