"""The release pool with real processes on one history: one at a time, and the dead block nobody."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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
def runs(tmp_path: Path) -> Iterator[Runs]:
    """On a history of this test's own, with the pools of the repository's dagster.yaml."""
    shutil.copy(REPOSITORY / ".dagster" / "dagster.yaml", tmp_path)
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
