"""A terminal in a copy of the project, prepared as the README says, on local clouds of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import requests

from mc_assets.local_cloud.settings import LocalSettings
from ports import free_ports

BIN = Path(sys.executable).parent
START_SECONDS = 120
STOP_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Typed:
    """One command and what came of it."""

    command: str
    exit_code: int
    output: str
    seconds: float

    def __str__(self) -> str:
        return f"$ {self.command}\n{self.output}(exit code {self.exit_code})"


@dataclass(frozen=True)
class Shell:
    """Types commands in a project's folder, its environment active."""

    project: Path
    environment: Mapping[str, str]

    @classmethod
    def opened(cls, project: Path, clouds: LocalSettings) -> "Shell":
        """The environment of these tests stands in for the one that `make` would make."""
        (project / ".venv").symlink_to(BIN.parent)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("DAGSTER_", "MC_"))}
        (port,) = free_ports(1)
        return cls(
            project,
            {
                **kept,
                "PATH": os.pathsep.join([str(BIN), kept["PATH"]]),
                # What is installed is the checkout: the copy comes first.
                "PYTHONPATH": str(project),
                "MC_LOCAL_STATE": str(clouds.state),
                "MC_LOCAL_AWS_PORT": str(clouds.aws_port),
                "MC_LOCAL_AZURE_PORT": str(clouds.azure_port),
                "MC_LOCAL_SITE_PORT": str(clouds.first_site_port),
                # How `dg dev` and `dagster dev` are told another port than 3000.
                "DAGSTER_DG_DEV_PORT": str(port),
                "DAGSTER_CLI_DEV_PORT": str(port),
            },
        )

    def type(self, command: str, answer: str = "") -> Typed:
        """Type a command, and the answer to what it asks."""
        started = time.monotonic()
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.project,
            env=self.environment,
            input=f"{answer}\n",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return Typed(command, done.returncode, done.stdout, time.monotonic() - started)

    def serve(self, command: str) -> Typed:
        """Type a command that serves Dagster's UI, wait until it does, and end it."""
        url = f"http://127.0.0.1:{self.environment['DAGSTER_DG_DEV_PORT']}/server_info"
        log, started = self.project / "server.log", time.monotonic()
        with log.open("w") as output:
            process = subprocess.Popen(
                ["bash", "-c", command],
                cwd=self.project,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            deadline = started + START_SECONDS
            while not _answers(url) and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.2)
            served = _answers(url)
        finally:
            _end(process)
        return Typed(command, 0 if served else 1, log.read_text(), time.monotonic() - started)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """The whole group: `make` has a shell of its own, and that the server."""
    with suppress(ProcessLookupError):
        # Not SIGINT: a shell that started these tests in the background has it ignored.
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
