"""Benchmark, long: 20 times the data through the dataset stage and a training job.

The dataset goes from a folder (`dataset_folder`) to S3, is checked there, comes down into the job
and is trained on for one epoch. What each process holds for itself is looked at all the time.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from mc_assets.local_cloud import supervisor
from speed.augmented import write_times
from speed.measuring import BenchmarkError
from speed.places import Place, empty_place
from speed.results import Goal, Round, Row, alone, compared
from speed.workshop import BENCHMARKS, ROOT, Workshop

TIMES = (1, 5, 20)
LOOK_SECONDS = 0.1
MB = 1_000_000
TRAINER = "trainer"
# How much more a process may hold at 20 times the data: buffers that were not full before.
MOST_GROWTH = 1.25
MOST_NONLINEARITY = 1.15
SCRIPT = BENCHMARKS / "speed" / "graph_of_folder.py"


@dataclass(frozen=True, slots=True)
class Size:
    """One size of the dataset: what its job measured, and the most each process held, in MB."""

    times: int
    images: int
    train_seconds: float
    wall_seconds: float
    accuracy: float
    peak_mb: Mapping[str, float]


def run(workshop: Workshop) -> Iterator[Row]:
    small, middle, large = (_measured(workshop, times) for times in TIMES)
    yield compared(
        f"{large.times} x data: training time of a further image", "us",
        [Round(_us_of_further_image(small, middle), _us_of_further_image(middle, large))],
        against=f"the same up to {middle.times} x", ratio_of="ours / baseline",
        goal=Goal("ratio", "at most", MOST_NONLINEARITY),
        note="; ".join(
            f"{each.images:,} images: {each.train_seconds:.1f} s of training, "
            f"{each.wall_seconds:.0f} s in all, {100 * each.accuracy:.2f} %"
            for each in (small, middle, large)
        ),
    )  # fmt: skip
    for process in small.peak_mb:
        yield compared(
            f"{large.times} x data: most memory of the {process}", "MB",
            [Round(small.peak_mb[process], large.peak_mb[process])],
            against="the same with the original data", ratio_of="ours / baseline",
            goal=None if process == TRAINER else Goal("ratio", "at most", MOST_GROWTH),
            note=f"with {middle.times} x {middle.peak_mb[process]:.0f} MB",
        )  # fmt: skip
    yield alone(
        f"{large.times} x data: the trainer's memory for each byte of images", "bytes",
        [(large.peak_mb[TRAINER] - small.peak_mb[TRAINER]) * MB
         / (784 * (large.images - small.images))],
    )  # fmt: skip


def _us_of_further_image(less: Size, more: Size) -> float:
    """What a job takes for itself, however little there is to train on, falls out of this."""
    return 1e6 * (more.train_seconds - less.train_seconds) / (more.images - less.images)


def _measured(workshop: Workshop, times: int) -> Size:
    with empty_place() as place:
        folder = place.folder / f"times{times}"
        images = write_times(times, workshop.raw_data, folder)
        supervisor.up(place.clouds)
        started = time.perf_counter()
        told, peaks = _watched(place, folder)
        wall = time.perf_counter() - started
    if told["failed_checks"]:
        raise BenchmarkError(f"With {images:,} images these checks fail: {told['failed_checks']}.")
    return Size(times, images, told["train_seconds"], wall, told["accuracy"], peaks)


def _watched(place: Place, folder: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """Run the graph over the folder; what it says, and the most that each process held, in MB."""
    log = place.folder / "graph.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(folder)],
            cwd=ROOT, env=_environment(place), stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
    peaks: dict[str, float] = {}
    while process.poll() is None:
        for name, held in _held_mb(place, process.pid).items():
            peaks[name] = max(held, peaks.get(name, 0.0))
        time.sleep(LOOK_SECONDS)
    said = process.communicate()[0]
    if process.returncode:
        last = " / ".join(log.read_text(errors="replace").strip().splitlines()[-3:])
        raise BenchmarkError(f"The graph over {folder.name} failed: {last}")
    return json.loads(said.splitlines()[-1]), peaks


def _held_mb(place: Place, graph: int) -> dict[str, float]:
    """What each process holds for itself alone (USS) at this moment."""
    clouds = {each.name: each.pid for each in supervisor.status(place.clouds) if each.pid}
    found = {"run with its checks": _uss(psutil.Process(graph))}
    for name, pid in clouds.items():
        server = psutil.Process(pid)
        children = server.children(recursive=True)
        trainers = [each for each in children if _is_trainer(each)]
        others = [each for each in children if each not in trainers]
        found[f"local {name}"] = sum(map(_uss, [server, *others]))
        if trainers:
            found[TRAINER] = sum(map(_uss, trainers))
    return {name: held / MB for name, held in found.items()}


def _is_trainer(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return any("train" in part for part in process.cmdline())
    return False


def _uss(process: psutil.Process) -> int:
    # A process may end between the question and the look.
    with suppress(psutil.NoSuchProcess):
        return process.memory_full_info().uss
    return 0


def _environment(place: Place) -> dict[str, str]:
    import os

    return {**os.environ, **place.environment}
