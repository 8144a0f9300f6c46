"""An app that is not ours in trouble: calls that fail, sleep, die, and what its log says."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import pytest
from function_app_sites import AzureAccount, FunctionAppSite, project
from terminal import Open

from mc_assets.local_cloud.settings import LocalSettings

V1 = "/parcels/v1"


@pytest.fixture(scope="module")
def parcels(open_terminal: Open, local_clouds: LocalSettings) -> FunctionAppSite:
    azure = AzureAccount.opened(open_terminal, local_clouds)
    settings = {"PYTHON_THREADPOOL_THREAD_COUNT": "3"}
    return azure.deployed("parcels-troubled", "EP1", project("parcels"), **settings)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """A file that the sleeping function waits for; there at the end in any case."""
    path = tmp_path / "gate"
    yield path
    path.touch()


@pytest.fixture
def two_processes(parcels: FunctionAppSite) -> Iterator[None]:
    parcels.change_settings(FUNCTIONS_WORKER_PROCESS_COUNT="2")
    yield
    parcels.change_settings(FUNCTIONS_WORKER_PROCESS_COUNT="1")


@pytest.fixture
def one_call_at_a_time(parcels: FunctionAppSite) -> Iterator[None]:
    """By the app's host.json, and one more that waits."""
    files = project("parcels")
    host = json.loads(files["host.json"])
    host["extensions"]["http"] |= {"maxConcurrentRequests": 1, "maxOutstandingRequests": 2}
    assert parcels.deploy(files | {"host.json": json.dumps(host).encode()}).succeeded
    yield
    assert parcels.deploy(files).succeeded


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("raise", "RuntimeError: the parcel is lost"),
        ("raise-later", "RuntimeError: the parcel was lost later"),
        ("nothing", "TypeError: A function's HTTP response must be"),
        ("bytes", "not bytes"),
        ("devour", "MemoryError"),
    ],
)
def test_a_call_that_fails_fails_alone(parcels: FunctionAppSite, path: str, logged: str) -> None:
    answer = parcels.call(f"{V1}/trouble/{path}")
    assert (answer.status_code, answer.content) == (500, b"")
    parcels.log_comes_to_hold(logged)
    assert parcels.call(f"{V1}/echo").text == "GET"


def test_a_worker_that_dies_is_replaced(parcels: FunctionAppSite) -> None:
    before = process_of(parcels)
    assert parcels.call(f"{V1}/trouble/die").status_code == 500
    assert process_of(parcels) != before
    parcels.log_comes_to_hold(f"Worker {before} ended (exit code 3)")


def test_one_that_sleeps_keeps_nobody_waiting(parcels: FunctionAppSite, gate: Path) -> None:
    begun = parcels.log().count("sleep: begins")
    with ThreadPoolExecutor(1) as pool:
        sleeping = pool.submit(parcels.call, f"{V1}/trouble/sleep", params={"until": str(gate)})
        parcels.log_comes_to_hold("sleep: begins", begun + 1)
        assert parcels.call(f"{V1}/echo").text == "GET"
        gate.touch()
        assert sleeping.result().text == "awake"


def test_coroutines_run_side_by_side(parcels: FunctionAppSite) -> None:
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: parcels.call(f"{V1}/trouble/meet").text, range(2)))
    assert answers == ["met", "met"]


def test_as_many_threads_as_the_setting_says(parcels: FunctionAppSite, gate: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        meeting = [pool.submit(parcels.call, f"{V1}/trouble/threads") for _ in range(3)]
        assert len({each.result().text for each in meeting}) == 3
        begun = parcels.log().count("sleep: begins")
        path = f"{V1}/trouble/sleep?until={gate}"
        sleeping = [pool.submit(parcels.call, path) for _ in range(4)]
        parcels.log_comes_to_hold("sleep: begins", begun + 3)
        # All three threads are asleep: what is plain waits with the fourth, a coroutine does not.
        assert parcels.call(f"{V1}/trouble/raise-later").status_code == 500
        assert parcels.log().count("sleep: begins") == begun + 3
        gate.touch()
        assert [each.result().text for each in sleeping] == ["awake"] * 4


def test_what_is_printed_or_logged_is_in_the_log(parcels: FunctionAppSite) -> None:
    assert parcels.call(f"{V1}/trouble/say?what=fragile").text == "said"
    for text in (
        "[INFO] root: parcels: imported",
        "said to standard output",
        "said to standard error",
        "[WARNING] parcels: said to a logger: fragile",
    ):
        parcels.log_comes_to_hold(text)


@pytest.mark.usefixtures("two_processes")
def test_as_many_processes_as_the_setting_says(parcels: FunctionAppSite) -> None:
    processes = [process_of(parcels) for _ in range(6)]
    assert len(set(processes)) == 2


@pytest.mark.usefixtures("one_call_at_a_time")
def test_more_requests_than_host_json_allows(parcels: FunctionAppSite, gate: Path) -> None:
    path = f"{V1}/trouble/sleep?until={gate}"
    with ThreadPoolExecutor(3) as pool:
        sent = [pool.submit(parcels.call, path) for _ in range(3)]
        refused = next(as_completed(sent)).result()
        assert (refused.status_code, refused.content) == (429, b"")
        gate.touch()
        assert sorted(each.result().status_code for each in sent) == [200, 200, 429]
    assert parcels.call(f"{V1}/echo").text == "GET"


def process_of(parcels: FunctionAppSite) -> int:
    return parcels.call(f"{V1}/desk/who").json()["process"]
