"""The memory, file descriptors and threads of a server and its worker processes."""

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil

MB = 1 << 20
SETTLE_SECONDS = 2.0
LOOKS = 5


@dataclass(frozen=True, slots=True)
class Sample:
    """A server with all its workers at one moment; memory is what is theirs alone (USS)."""

    memory: int
    descriptors: int
    threads: int


@dataclass(frozen=True, slots=True)
class Course:
    """How a server fared: without requests before and after a load, and every second of it."""

    before: Sequence[Sample]
    during: Sequence[Sample]
    after: Sequence[Sample]

    @property
    def growth(self) -> float:
        """In percent, of the memory that stays in use when no request is there to need it."""
        return 100 * (_median(self.after) / _median(self.before) - 1)

    def row(self) -> list[str]:
        return [
            _memory(self.before),
            _memory(self.after),
            f"{self.growth:+.1f} %",
            _memory(self.during),
            f"{self.before[-1].descriptors} → {self.after[-1].descriptors}",
            f"{self.before[-1].threads} → {self.after[-1].threads}",
        ]


def at_rest(server: psutil.Process) -> list[Sample]:
    """Look at a server that has nothing to do."""
    time.sleep(SETTLE_SECONDS)
    samples = []
    for _ in range(LOOKS):
        samples.append(_sample(server))
        time.sleep(0.2)
    return samples


def watch(server: psutil.Process, going_on: Callable[[], bool]) -> list[Sample]:
    """Look at a server every second for as long as something is going on."""
    samples = [_sample(server)]
    while going_on():
        time.sleep(1.0)
        samples.append(_sample(server))
    return samples


def _sample(server: psutil.Process) -> Sample:
    memory = descriptors = threads = 0
    for process in (server, *server.children(recursive=True)):
        # A worker may end between the question and the look.
        with suppress(psutil.NoSuchProcess):
            memory += process.memory_full_info().uss
            descriptors += process.num_fds()
            threads += process.num_threads()
    return Sample(memory, descriptors, threads)


def _median(samples: Sequence[Sample]) -> float:
    return statistics.median(sample.memory for sample in samples)


def _memory(samples: Sequence[Sample]) -> str:
    least, most = min(each.memory for each in samples), max(each.memory for each in samples)
    return f"{_median(samples) / MB:.1f} ({least / MB:.1f}-{most / MB:.1f})"
