"""Other people's clients, each in an environment of its own, made once and kept."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CLIENTS = Path(__file__).parent / "clients"
# Less than a test may take: a slow line is a reason to skip, not to be killed.
INSTALL_SECONDS = 400


class ClientUnavailableError(Exception):
    """A client could not be installed here; the text says why."""


@dataclass(frozen=True, slots=True)
class ClientEnvironment:
    """A virtual environment with exactly what `clients/<name>.txt` pins."""

    name: str
    folder: Path

    def program(self, name: str) -> Path:
        return self.folder / "bin" / name

    @property
    def python(self) -> Path:
        return self.program("python")


# Installs the client of that name in `clients/`.
Client = Callable[[str], ClientEnvironment]


def clients() -> list[str]:
    """The names of all there are."""
    return sorted(pins.stem for pins in CLIENTS.glob("*.txt"))


def install(name: str, kept: Path) -> ClientEnvironment:
    """The client's environment below the folder `kept`, made unless it is there already.

    Raises:
        ClientUnavailableError: it cannot be installed.
    """
    pins = CLIENTS / f"{name}.txt"
    made_from = pins.read_bytes() + sys.version.encode() + sys.base_prefix.encode()
    folder = kept / f"{name}-{hashlib.sha256(made_from).hexdigest()[:12]}"
    ready = folder / ".ready"
    with (kept / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            # One that was left half made, or whose pins are gone, is of no use to anybody.
            for old in kept.glob(f"{name}-{'?' * 12}"):
                shutil.rmtree(old)
            _uv("venv", "--quiet", "--python", sys.executable, str(folder))
            exactly = ("--no-deps", "-r", str(pins))
            _uv("pip", "install", "--quiet", "--python", str(folder), *exactly)
            ready.touch()
    return ClientEnvironment(name, folder)


def _uv(*arguments: str) -> None:
    uv = Path(sys.executable).with_name("uv")
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    try:
        done = subprocess.run(
            [uv, *arguments],
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClientUnavailableError(f"uv {arguments[0]} did not end well: {error}") from error
    if done.returncode:
        raise ClientUnavailableError(
            f"uv {arguments[0]} ended with {done.returncode}: {done.stderr.strip()[-500:]}"
        )
