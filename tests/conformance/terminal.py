"""A terminal as a user has one: `eval "$(mc-local env)"`, then commands."""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
COMMAND_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Ran:
    """One command and what came of it."""

    command: str
    exit_code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    def __str__(self) -> str:
        return f"$ {self.command}\n{self.stdout}{self.stderr}(exit code {self.exit_code})"


@dataclass(frozen=True)
class Terminal:
    """Commands in an environment that `mc-local env` has pointed at the local clouds.

    Its home folder is its own, so that no client reads or writes what belongs to a user.
    """

    home: Path
    environment: Mapping[str, str]
    note: Callable[[Ran], None]

    @classmethod
    def opened(
        cls, home: Path, path: list[Path], note: Callable[[Ran], None], **variables: str
    ) -> "Terminal":
        """With the programs of the folders `path` before the system's.

        `note` hears of every command that was run.
        """
        mine = {name: value for name, value in os.environ.items() if name.startswith("MC_LOCAL_")}
        search = os.pathsep.join([*map(str, path), "/usr/local/bin", "/usr/bin", "/bin"])
        bare = {"HOME": str(home), "PATH": search, "LANG": "C.UTF-8", **mine}
        script = f'eval "$({shlex.quote(str(BIN / "mc-local"))} env)" && env -0'
        told = subprocess.run(["bash", "-c", script], env=bare, capture_output=True, check=True)
        exported = dict(pair.split("=", 1) for pair in told.stdout.decode().split("\0") if pair)
        return cls(home, {**exported, **variables}, note)

    def run(self, *command: str, timeout: float = COMMAND_SECONDS, **variables: str) -> Ran:
        """Run one command; how it ends is for the caller to judge."""
        started = time.monotonic()
        done = subprocess.run(
            command,
            env={**self.environment, **variables},
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        seconds = time.monotonic() - started
        ran = Ran(shlex.join(command), done.returncode, done.stdout, done.stderr, seconds)
        self.note(ran)
        return ran

    def must(self, *command: str, timeout: float = COMMAND_SECONDS, **variables: str) -> Ran:
        """Run one command that has to succeed."""
        ran = self.run(*command, timeout=timeout, **variables)
        assert ran.exit_code == 0, str(ran)
        return ran


# Opens a terminal in which the programs of these folders come first.
Open = Callable[..., Terminal]
