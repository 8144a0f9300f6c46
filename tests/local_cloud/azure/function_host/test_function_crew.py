"""The threads of a worker: every call is run once, and none waits for another that takes long."""

import queue
import random
import threading
import time
from collections.abc import Callable

import pytest

from mc_assets.local_cloud.azure.function_host.crew import Crew, Job

WAIT_S = 20


class Desk:
    """Hands jobs to a crew in batches, and tells what became of them."""

    def __init__(self, size: int) -> None:
        self._batches: queue.Queue[list[Job]] = queue.Queue()
        self._reading = threading.Lock()
        self.done: queue.Queue[str] = queue.Queue()
        Crew(size, self._read).start()

    def _read(self) -> list[Job]:
        assert self._reading.acquire(blocking=False), "two threads read at once"
        try:
            return self._batches.get()
        finally:
            self._reading.release()

    def hand_in(self, *jobs: tuple[str, Callable[[], object]]) -> None:
        self._batches.put([Job(name, lambda n=name, r=run: self._run(n, r)) for name, run in jobs])

    def _run(self, name: str, run: Callable[[], object]) -> None:
        run()
        self.done.put(name)

    def take(self, count: int) -> list[str]:
        return [self.done.get(timeout=WAIT_S) for _ in range(count)]


def test_a_short_call_does_not_wait_for_a_long_one_before_it() -> None:
    desk, go = Desk(2), threading.Event()
    desk.hand_in(("long", lambda: go.wait(WAIT_S)), ("short", lambda: None))
    assert desk.take(1) == ["short"]
    desk.hand_in(("later", lambda: None))
    assert desk.take(1) == ["later"]
    go.set()
    assert desk.take(1) == ["long"]


@pytest.mark.parametrize("size", [1, 3])
def test_as_many_run_at_once_as_the_size_says(size: int) -> None:
    desk, together, most = Desk(size), threading.Barrier(size), threading.Semaphore(size)

    def meet() -> None:
        assert most.acquire(blocking=False), "more calls at once than threads"
        together.wait(WAIT_S)
        time.sleep(0.01)
        most.release()

    for _ in range(4):
        desk.hand_in(*[("meet", meet)] * size)
    assert desk.take(4 * size) == ["meet"] * 4 * size


def test_the_reading_goes_on_while_every_thread_is_busy() -> None:
    desk, go = Desk(1), threading.Event()
    desk.hand_in(("long", lambda: go.wait(WAIT_S)))
    desk.hand_in(("waits", lambda: None))
    desk.hand_in(("waits too", lambda: None))
    deadline = time.monotonic() + WAIT_S
    while not desk._batches.empty():
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert desk.done.empty()
    go.set()
    assert desk.take(3) == ["long", "waits", "waits too"]


@pytest.mark.parametrize("seed", range(3))
def test_calls_of_any_length_are_each_run_once(seed: int) -> None:
    chance, desk = random.Random(seed), Desk(3)
    names = [str(number) for number in range(300)]
    rest = list(names)
    while rest:
        batch = [rest.pop() for _ in range(min(len(rest), chance.randint(1, 9)))]
        lengths = [chance.choice([0, 0, 0, 0.0004, 0.002, 0.005]) for _ in batch]
        desk.hand_in(
            *[(name, lambda s=s: time.sleep(s)) for name, s in zip(batch, lengths, strict=True)]
        )
    assert sorted(desk.take(300)) == sorted(names)
    assert desk.done.empty()
