"""mc-local: start, stop and look at the local clouds."""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from mc_assets.local_cloud import supervisor
from mc_assets.local_cloud.settings import LocalCloudError, LocalSettings


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="mc-local",
        description="Local stand-ins for AWS and Azure that really train, build and serve.",
        epilog="Movable by MC_LOCAL_STATE, MC_LOCAL_AWS_PORT, MC_LOCAL_AZURE_PORT and "
        "MC_LOCAL_SITE_PORT (the first of the ports that function apps get).",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("up", help="start what is not running")
    commands.add_parser("down", help="stop both; what they keep stays")
    commands.add_parser("status", help="say what runs where; exit 1 unless both run")
    commands.add_parser("env", help="print export lines for any AWS or Azure client")
    logs = commands.add_parser("logs", help="print the logs of both")
    logs.add_argument("-f", "--follow", action="store_true", help="keep printing")
    reset = commands.add_parser("reset", help="stop both and delete everything they keep")
    reset.add_argument("--yes", action="store_true", help="do not ask")
    arguments = parser.parse_args()
    try:
        sys.exit(COMMANDS[arguments.command](LocalSettings.from_environ(), arguments))
    except LocalCloudError as error:
        print(f"mc-local: {error}", file=sys.stderr)
        sys.exit(1)


def _up(settings: LocalSettings, _: argparse.Namespace) -> int:
    with _spinner("starting the local clouds"):
        settings, started = supervisor.up(settings)
    for line in supervisor.status(settings):
        verb = "started" if line.name in started else "already running"
        print(f"local {line.name} {verb} at {line.url} (log: {line.log_file})")
    return 0


def _down(settings: LocalSettings, _: argparse.Namespace) -> int:
    with _spinner("stopping the local clouds"):
        stopped = supervisor.down(settings)
    print(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")
    return 0


def _status(settings: LocalSettings, _: argparse.Namespace) -> int:
    lines = supervisor.status(settings)
    for line in lines:
        state = f"running, pid {line.pid}" if line.pid else "not running"
        print(f"local {line.name}: {state}, {line.url}, log {line.log_file}")
    print(f"state: {settings.state}")
    return 0 if all(line.pid for line in lines) else 1


def _env(settings: LocalSettings, _: argparse.Namespace) -> int:
    with _spinner("starting the local clouds"):
        settings, started = supervisor.up(settings)
    if started:
        print(f"started the local clouds (state: {settings.state})", file=sys.stderr)
    for name, value in supervisor.environment(settings).items():
        print(f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}")
    return 0


def _logs(settings: LocalSettings, arguments: argparse.Namespace) -> int:
    files = [str(line.log_file) for line in supervisor.status(settings) if line.log_file.exists()]
    if not files:
        raise LocalCloudError(f"There are no logs in {settings.state}: nothing was started there.")
    tail = ["tail", "-n", "200", *(["-f"] if arguments.follow else []), *files]
    try:
        return subprocess.call(tail)
    except KeyboardInterrupt:
        return 0


def _reset(settings: LocalSettings, arguments: argparse.Namespace) -> int:
    if not settings.state.exists():
        print(f"there is nothing at {settings.state}")
        return 0
    if not arguments.yes and input(f"Delete {settings.state} and all in it? [y/N] ") != "y":
        print("left alone")
        return 1
    with _spinner(f"stopping the local clouds, deleting {settings.state}"):
        supervisor.reset(settings)
    print(f"deleted {settings.state}")
    return 0


@contextmanager
def _spinner(doing: str) -> Iterator[None]:
    """What takes seconds, and for how long it has; nothing where nobody is looking."""
    if not sys.stderr.isatty():  # nor is rich imported: scripts call this often
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)  # what `mc-local env` prints to stdout is read by a shell
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task(doing, total=None)
        yield


COMMANDS = {
    "up": _up,
    "down": _down,
    "status": _status,
    "env": _env,
    "logs": _logs,
    "reset": _reset,
}
