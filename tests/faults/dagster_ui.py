"""Dagster's webserver and daemon with a run of ours to launch and terminate, as its pages do it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from runs_to_break import JOB, MODULE, PYTHONPATH, Order

from ports import free_ports

LAUNCH = """
mutation($params: ExecutionParams!) {
  launchRun(executionParams: $params) { __typename ... on LaunchRunSuccess { run { runId } } }
}
"""
TERMINATE = """
mutation($run: String!) {
  terminateRun(runId: $run, terminatePolicy: SAFE_TERMINATE) { __typename }
}
"""
STATUS = "query($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"


@dataclass(frozen=True)
class DagsterUi:
    """One that has loaded an order's definitions."""

    url: str
    order: Order

    def launch(self) -> str:
        """The id of the run that the daemon will start."""
        selector = {
            "repositoryLocationName": MODULE,
            "repositoryName": "__repository__",
            "jobName": JOB,
        }
        params = {"selector": selector, "runConfigData": json.dumps(self.order.run_config)}
        launched = self._ask(LAUNCH, params=params)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return launched["run"]["runId"]

    def terminate(self, run_id: str) -> None:
        answer = self._ask(TERMINATE, run=run_id)["terminateRun"]
        assert answer["__typename"] == "TerminateRunSuccess", answer

    def status(self, run_id: str) -> str:
        return self._ask(STATUS, run=run_id)["runOrError"]["status"]

    def is_ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/server_info", timeout=5).ok
        except requests.ConnectionError:
            return False

    def _ask(self, query: str, **variables: Any) -> Any:
        body = {"query": query, "variables": variables}
        answer = requests.post(f"{self.url}/graphql", json=body, timeout=60).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]


@contextmanager
def dagster_ui(order: Order, home: Path, environ: Mapping[str, str]) -> Iterator[DagsterUi]:
    """`dagster dev` on that history, for as long as this lasts."""
    (port,) = free_ports(1)
    told = {**order.as_environ(), "DAGSTER_HOME": str(home), "PYTHONPATH": PYTHONPATH}
    command = [sys.executable, "-m", "dagster", "dev", "-m", MODULE, "-h", "127.0.0.1"]
    with (home / "ui.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "-p", str(port)],
            env={**environ, **told},
            cwd=home,  # a .env in the project's root would be stronger than `told`
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    ui = DagsterUi(f"http://127.0.0.1:{port}", order)
    try:
        deadline = time.monotonic() + 120
        while not ui.is_ready():
            assert process.poll() is None, (home / "ui.log").read_text()[-2000:]
            assert time.monotonic() < deadline, (home / "ui.log").read_text()[-2000:]
            time.sleep(0.2)
        yield ui
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
