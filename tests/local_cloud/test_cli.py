"""mc-local in a terminal, where it shows that it is at work, and in a pipe, where it is plain."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ports import free_ports

ROOT = Path(__file__).parents[2]
TOOL = Path(sys.executable).with_name("mc-local")


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Points mc-local at clouds of this test's own."""
    ports = dict(zip(("AWS", "AZURE", "SITE"), map(str, free_ports(3)), strict=True))
    found = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "TERM": "xterm",
        "MC_LOCAL_STATE": str(tmp_path / "state"),
        **{f"MC_LOCAL_{name}_PORT": port for name, port in ports.items()},
    }
    yield found
    subprocess.run([TOOL, "down"], env=found, capture_output=True, check=True)


def in_a_terminal(command: str, environment: dict[str, str]) -> str:
    """What a person sees of it."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [TOOL, command], env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 65_536):
                shown += part
        except OSError:  # how Linux says that the other end is closed
            pass
    os.close(ours)
    assert process.returncode == 0, shown
    return shown.decode()


def in_a_pipe(environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([TOOL, *command], env=environment, capture_output=True, text=True)


def test_a_terminal_sees_that_it_works_and_a_pipe_what_it_did(environment: dict[str, str]) -> None:
    seen = in_a_terminal("up", environment)
    assert "starting the local clouds" in seen
    assert "\x1b[" in seen
    for cloud in ("aws", "azure"):
        assert f"local {cloud} started at http" in seen
    again, status = in_a_pipe(environment, "up"), in_a_pipe(environment, "status")
    gone = in_a_pipe(environment, "reset", "--yes")
    for piped in (again, status, gone):
        assert (piped.returncode, piped.stderr) == (0, "")
        assert "\x1b" not in piped.stdout
    assert again.stdout.count("already running") == 2
    assert gone.stdout == f"deleted {environment['MC_LOCAL_STATE']}\n"
