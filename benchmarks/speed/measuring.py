"""Two sides in turn, so that a busy minute of the machine is a busy minute of both."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from speed.results import Round


class BenchmarkError(Exception):
    """Why a benchmark has no figures: one sentence."""


def rounds_of(count: int, baseline: Callable[[], float], ours: Callable[[], float]) -> list[Round]:
    """Measure both sides `count` times; who begins changes, so that no drift favours one."""
    found = []
    for number in range(count):
        if number % 2:
            mine = ours()
            found.append(Round(baseline(), mine))
        else:
            found.append(Round(baseline(), ours()))
    return found


@contextmanager
def process_of_its_own() -> Iterator[ProcessPoolExecutor]:
    """One process that keeps what it has loaded: a side's threads never disturb the other's."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        yield pool


def median_seconds(call: Callable[[], object], calls: int) -> float:
    """Of one call, over a block of them."""
    taken = []
    for _ in range(calls):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


@dataclass(frozen=True, slots=True)
class Ended:
    """A script that ended well: its wall time, and what its last line of output says as JSON."""

    seconds: float
    said: Any


def run_python(
    arguments: Sequence[str | Path],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = 3600,
    says_json: bool = True,
) -> Ended:
    """Run this Python with these arguments to its end.

    Raises:
        BenchmarkError: it failed; names its last lines.
    """
    command = [sys.executable, *map(str, arguments)]
    started = time.perf_counter()
    ended = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    seconds = time.perf_counter() - started
    if ended.returncode:
        what = " ".join(str(argument)[:60] for argument in arguments[:3])
        last = " / ".join((ended.stderr or ended.stdout).strip().splitlines()[-3:])
        raise BenchmarkError(f"{what} ended with exit status {ended.returncode}: {last}")
    return Ended(seconds, json.loads(ended.stdout.splitlines()[-1]) if says_json else ended.stdout)
