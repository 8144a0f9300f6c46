"""The release pool with real processes on one history: one at a time, and the dead block nobody."""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import EngineEventData

from mc_assets.run_state import is_alive

REPOSITORY = Path(__file__).parent.parent.parent
SCRIPT = Path(__file__).with_name("pooled_run.py")
PATIENCE = 90


class Runs:
    """Runs by name, each in a process of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        environ = {**os.environ, "DAGSTER_HOME": str(self.home), "PYTHONPATH": str(REPOSITORY)}
        log = (self.home / f"{name}.log").open("wb")
        self.processes[name] = subprocess.Popen(
            [sys.executable, str(SCRIPT), name], env=environ, stdout=log, stderr=log
        )

    @property
    def worked(self) -> list[str]:
        file = self.home / "worked"
        return file.read_text().splitlines() if file.exists() else []

    def said(self, name: str, words: str) -> bool:
        return words in (self.home / f"{name}.log").read_text()

    def end(self, name: str) -> int:
        (self.home / f"end-{name}").touch()
        return self.processes[name].wait(PATIENCE)

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes[name].wait()


@pytest.fixture
def settings() -> str:
    """A dagster.yaml."""
    return (REPOSITORY / ".dagster" / "dagster.yaml").read_text()


@pytest.fixture
def runs(tmp_path: Path, settings: str) -> Iterator[Runs]:
    """On a history of this test's own."""
    (tmp_path / "dagster.yaml").write_text(settings)
    runs = Runs(tmp_path)
    yield runs
    for process in runs.processes.values():
        process.kill()
        process.wait()


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_step_that_was_let_into_the_pool_beside_another_waits(runs: Runs) -> None:
    with (runs.home / "model_release.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        runs.start("one")
        eventually(lambda: runs.said("one", "STEP_START"))
        time.sleep(1)
        assert runs.worked == []
    eventually(lambda: runs.worked == ["one begins"])
    assert runs.end("one") == 0


@pytest.mark.parametrize(
    "settings",
    [
        (REPOSITORY / ".dagster" / "dagster.yaml").read_text(),
        "",
        "concurrency: {pools: {default_limit: 5}}",
    ],
    ids=["ours", "none", "another default"],
)
def test_the_second_begins_when_the_first_has_ended(runs: Runs) -> None:
    runs.start("one")
    eventually(lambda: runs.worked == ["one begins"])
    runs.start("two")
    eventually(lambda: runs.said("two", "blocked by limit for pool model_release"))
    assert runs.end("one") == 0
    assert runs.end("two") == 0
    assert runs.worked == ["one begins", "one ends", "two begins", "two ends"]


def test_a_run_that_was_killed_blocks_neither_who_waits_nor_who_comes_later(runs: Runs) -> None:
    runs.start("killed")
    eventually(lambda: runs.worked == ["killed begins"])
    runs.start("waiting")
    eventually(lambda: runs.said("waiting", "blocked by limit for pool model_release"))
    runs.kill("killed")
    eventually(lambda: "waiting begins" in runs.worked)
    assert runs.said("waiting", "its place is free again")
    runs.kill("waiting")
    runs.start("later")
    eventually(lambda: "later begins" in runs.worked)
    assert runs.end("later") == 0


@pytest.mark.parametrize("settings", ["concurrency: {pools: {granularity: run, default_limit: 1}}"])
def test_pools_that_let_two_releases_in_are_refused_with_what_to_set(runs: Runs) -> None:
    runs.start("one")
    assert runs.end("one") == 1
    assert runs.worked == []
    assert runs.said("one", "put `concurrency: {pools: {granularity: op}}` into dagster.yaml")


@pytest.mark.parametrize("settings", [""])
def test_a_limit_that_somebody_has_raised_is_refused(runs: Runs) -> None:
    with dg.DagsterInstance.from_config(str(runs.home)) as history:
        history.event_log_storage.set_concurrency_slots("model_release", 2)
    runs.start("one")
    assert runs.end("one") == 1
    assert runs.worked == []
    assert runs.said("one", "The limit of the pool model_release is 2")


@dg.job
def trivial() -> None:
    """A job for runs that are only there to have a status."""


@pytest.mark.parametrize("settings", [""])
def test_a_process_id_counts_for_the_process_that_told_it(runs: Runs) -> None:
    with dg.DagsterInstance.from_config(str(runs.home)) as history:

        def told(seconds_ago: float) -> str:
            """A run whose process had this one's id, so long ago."""
            run = history.create_run_for_job(trivial, status=dg.DagsterRunStatus.STARTED)
            event = dg.DagsterEvent(
                event_type_value=dg.DagsterEventType.ENGINE_EVENT.value,
                job_name=trivial.name,
                message="Executing",
                event_specific_data=EngineEventData.in_process(os.getpid()),
            )
            at = time.time() - seconds_ago
            history.handle_new_event(
                dg.EventLogEntry(
                    error_info=None,
                    level="INFO",
                    user_message="",
                    run_id=run.run_id,
                    timestamp=at,
                    dagster_event=event,
                )
            )
            return run.run_id

        own, earlier = told(0), told(86_400)
        assert is_alive(history, own)
        assert is_alive(history, own, own_run_id=own)
        assert not is_alive(history, earlier), "a container's processes have the same ids again"
        assert not is_alive(history, own, own_run_id=earlier), "this process works on one run"
