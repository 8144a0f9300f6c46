"""Training jobs that wait to be let go, runs that train them, and what is left when those end."""

import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import psutil
from runs_to_break import Moment, Order, Run, start

# Says that it runs, waits until it may end, and leaves a model that takes a while to upload.
SCRIPT = """
import os, pathlib, time
pathlib.Path(os.environ["STARTED"]).write_text(str(os.getpid()))
while not os.path.exists(os.environ["GATE"]):
    time.sleep(0.02)
pathlib.Path(os.environ["SM_MODEL_DIR"], "weights").write_bytes(os.urandom(12_000_000))
"""
DESCRIBE, CREATE = r"SageMaker\.DescribeTrainingJob", r"SageMaker\.CreateTrainingJob"
# Where the run is, and how many seconds it stays there at least.
PHASES: Mapping[str, float] = {
    "looking": 0.01,
    "creating": 0.02,
    "starting": 0.2,
    "training": 0.6,
    "uploading": 1.5,
}


@dataclass(frozen=True)
class Plot:
    """One training of its own: no other has its environment, so no other has its job's name."""

    folder: Path
    model: str
    dataset: Path
    state: Path
    known: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        (self.folder / "code").mkdir()
        (self.folder / "code" / "train.py").write_text(SCRIPT)
        object.__setattr__(self, "known", frozenset(self._all_jobs))

    @property
    def gate(self) -> Path:
        return self.folder / "gate"

    @property
    def started(self) -> Path:
        return self.folder / "started"

    @cached_property
    def order(self) -> Order:
        return Order(
            model={
                "name": self.model,
                "dataset_folder": str(self.dataset),
                "training": {
                    "code": str(self.folder / "code"),
                    "environment": {"GATE": str(self.gate), "STARTED": str(self.started)},
                },
            },
            assets=("trained_model",),
            checks=False,
        )

    def run(self, home: Path, **choices: Any) -> Run:
        return start(replace(self.order, **choices), home, os.environ)

    def run_until(self, phase: str, home: Path, **choices: Any) -> Run:
        """Started, and in that phase just now."""
        request = DESCRIBE if phase == "looking" else CREATE
        if phase not in {"looking", "creating"}:
            request = f"{DESCRIBE}.*-1"
        nth = 2 if phase not in {"looking", "creating"} else 1
        told = str(self.folder / f"told-{len(list(self.folder.glob('told-*')))}")
        run = self.run(home, moment=Moment(request, told, nth), **choices)
        run.wait_for_moment()
        if phase in {"training", "uploading"}:
            self.wait_until_it_trains()
        if phase == "uploading":
            self.gate.touch()
        return run

    def wait_until_it_trains(self) -> None:
        deadline = time.monotonic() + 120
        while not (self.started.exists() and self.started.read_text()):
            assert time.monotonic() < deadline, self.jobs
            time.sleep(0.005)

    @property
    def jobs(self) -> dict[str, str]:
        """Status of the jobs that were started since, by attempt."""
        return {
            name.rpartition("-")[2]: status
            for name, status in self._all_jobs.items()
            if name not in self.known
        }

    @property
    def _all_jobs(self) -> dict[str, str]:
        pages = (
            boto3.client("sagemaker")
            .get_paginator("list_training_jobs")
            .paginate(NameContains=f"{self.model}-")
        )
        return {
            job["TrainingJobName"]: job["TrainingJobStatus"]
            for page in pages
            for job in page["TrainingJobSummaries"]
        }

    def seconds_until_nothing_goes_on(self, since: float) -> float:
        """How long after `since` the last of its jobs and of all training processes was gone."""
        while (
            "InProgress" in self.jobs.values()
            or "Stopping" in self.jobs.values()
            or any(training_processes(self.state))
        ):
            assert time.monotonic() - since < 60, (self.jobs, list(training_processes(self.state)))
            time.sleep(0.02)
        return time.monotonic() - since


def training_processes(state: Path) -> Iterator[psutil.Process]:
    """Every process that works in the folder of a training job of these clouds."""
    jobs = str(state / "aws" / "jobs")
    for process in psutil.process_iter():
        try:
            if process.cwd().startswith(jobs):
                yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue


def interrupt(run: Run, number: signal.Signals, whole_group: bool) -> float:
    """Send the signal; when that was. Ctrl-C on a terminal reaches the steps' processes as well."""
    assert run.process.pid
    at = time.monotonic()
    (os.killpg if whole_group else os.kill)(run.process.pid, number)
    return at
