"""Runs in processes of their own, made to be interrupted or killed at a request they send.

A run is `dagster job execute` itself, in a process forked from one that has imported Dagster and
the clouds' clients already: what takes a user some seconds to start takes a test a part of one.
"""

import json
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import dagster as dg

from graph_runs import IMAGE
from mc_assets.definitions import build_definitions, build_resources
from mc_assets.lifecycle import ModelLifecycle
from mc_assets.resources.training import SageMakerTraining

FAULTS, TESTS, REPOSITORY, *_ = Path(__file__).parents
PYTHONPATH = os.pathsep.join(map(str, (FAULTS, TESTS, REPOSITORY)))
MODULE, JOB, ORDER = Path(__file__).stem, "broken", "RUN_TO_BREAK"
IMPORTED_IN_STEPS = ("dagster._cli", "boto3.session", "azure.identity", "azure.mgmt.web")
# A multiprocess run's steps are forked too: spawned ones would take some five seconds each.
EXECUTORS: Mapping[str, Any] = {
    "in_process": {"in_process": {}},
    "multiprocess": {
        "multiprocess": {"start_method": {"forkserver": {"preload_modules": [MODULE]}}}
    },
}


@dataclass(frozen=True)
class Moment:
    """When the n-th request that looks like this is about to leave the process.

    It is told in the file `told`; where `kill_after` is given, the process is killed so many
    seconds later: with 0, before the request has left it, and `at_latest` before a request that
    looks like that (a job that trained within the delay had let its step end unharmed).
    """

    request: str
    told: str
    nth: int = 1
    kill_after: float | None = None
    at_latest: str | None = None

    def watch(self) -> None:
        """Listen at Python's own audit events, as the product's sockets raise them."""
        pattern, seen = re.compile(self.request.encode(), re.DOTALL), 0
        last = self.at_latest and re.compile(self.at_latest.encode(), re.DOTALL)
        come = False

        def heard(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal seen, come
            if event != "http.client.send" or not isinstance(arguments[1], bytes):
                return
            head = arguments[1][:8192]
            if come and last and last.search(head):
                _die()
            if pattern.search(head):
                seen += 1
                if seen == self.nth and not Path(self.told).exists():
                    come = True
                    self._come()

        sys.addaudithook(heard)

    def _come(self) -> None:
        Path(self.told).write_text(str(os.getpid()))
        if self.kill_after == 0:
            _die()
        if self.kill_after:
            threading.Timer(self.kill_after, _die).start()


@dataclass(frozen=True)
class Order:
    """A run to make: of one model, as defs.yaml would spell it, and these assets of it."""

    model: Mapping[str, Any]
    assets: tuple[str, ...] = ()
    executor: str = "in_process"
    checks: bool = True
    step_retries: int = 0
    forward_termination: bool = True
    moment: Moment | None = None

    @classmethod
    def from_environ(cls) -> "Order":
        told = json.loads(os.environ[ORDER])
        moment = told.pop("moment")
        return cls(**told, moment=Moment(**moment) if moment else None)

    def as_environ(self) -> dict[str, str]:
        return {ORDER: json.dumps(asdict(self))}

    @property
    def run_config(self) -> Mapping[str, Any]:
        return {"execution": {"config": EXECUTORS[self.executor]}}

    def definitions(self) -> dg.Definitions:
        attributes = {"training": {}, **self.model}
        attributes["training"] = {"image": IMAGE, **attributes["training"]}
        lifecycle = ModelLifecycle.from_attributes_dict(attributes=attributes)
        chosen = dg.AssetSelection.all(include_sources=False)
        if self.assets:
            keys = [dg.AssetKey([lifecycle.name, asset]) for asset in self.assets]
            chosen = dg.AssetSelection.assets(*keys)
        chosen = chosen if self.checks else chosen.without_checks()
        job = dg.define_asset_job(
            JOB,
            selection=chosen,
            executor_def=dg.multi_or_in_process_executor,
            op_retry_policy=dg.RetryPolicy(self.step_retries) if self.step_retries else None,
        )
        training = SageMakerTraining(
            store=build_resources("local")["artifact_store"],
            forward_termination=self.forward_termination,
            max_poll_seconds=0.5,
        )
        return build_definitions(
            "local",
            models=dg.Definitions.merge(lifecycle.build(), dg.Definitions(jobs=[job])),
            sagemaker=training,
        )


@dg.definitions
def defs() -> dg.Definitions:
    """What every process of the run loads, whichever executor it has."""
    _watch_once()
    return Order.from_environ().definitions()


@cache
def _watch_once() -> None:
    if moment := Order.from_environ().moment:
        moment.watch()


@dataclass
class Run:
    """A started run; its output is a file."""

    process: BaseProcess
    output: Path
    moment: Moment | None

    def wait_for_moment(self, seconds: float = 60) -> None:
        told = Path(self.moment.told) if self.moment else None
        deadline = time.monotonic() + seconds
        while not (told and told.exists()):
            assert self.process.is_alive(), f"it ended before its moment: {self.tail}"
            assert time.monotonic() < deadline, f"its moment never came: {self.tail}"
            time.sleep(0.002)

    def end(self, seconds: float = 120) -> int:
        """Its exit code, negative for the signal that killed it."""
        self.process.join(seconds)
        code = self.process.exitcode
        if code is None:
            self.kill()
            raise AssertionError(f"it did not end within {seconds} s: {self.tail}")
        return code

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    @property
    def tail(self) -> str:
        return self.output.read_text(errors="replace")[-4000:]


def start(order: Order, folder: Path, environ: Mapping[str, str]) -> Run:
    """Execute it in a process of its own; `folder` is its DAGSTER_HOME."""
    output = folder / f"run-{len(list(folder.glob('run-*.log')))}.log"
    told = {"DAGSTER_HOME": str(folder), "PYTHONPATH": PYTHONPATH}
    everything = {**environ, **order.as_environ(), **told}
    config = output.with_suffix(".yaml")  # JSON is YAML
    config.write_text(json.dumps(order.run_config))
    process = _forks().Process(target=execute, args=(everything, str(output), str(config)))
    process.start()
    return Run(process, output, order.moment)


def execute(environ: dict[str, str], output: str, config: str) -> None:
    """What the new process does: the command line's own `dagster job execute`."""
    from dagster._cli import create_dagster_cli

    os.setsid()  # as from a terminal: Ctrl-C there reaches the whole process group
    os.environ.clear()
    os.environ.update(environ)
    # Not in the project's root: Dagster takes a .env there for stronger than the environment, and
    # the one that make writes has its own DAGSTER_HOME.
    os.chdir(environ["DAGSTER_HOME"])
    with open(output, "ab", buffering=0) as stream:  # noqa: PTH123
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    command = ["job", "execute", "-m", MODULE, "-j", JOB, "-c", config]
    create_dagster_cli()(args=command)


def read_home(folder: Path) -> dg.DagsterInstance:
    """What Dagster has written down of the runs."""
    return dg.DagsterInstance.from_config(str(folder))


@cache
def _forks() -> Any:
    """Processes that have these modules already; the fork server is one for the whole session."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([MODULE, *IMPORTED_IN_STEPS])
    # The fork server's path is its environment's, and what it cannot import it passes over.
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = PYTHONPATH
    try:
        forkserver.ensure_running()
    finally:
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)
    return context


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
