"""In the worker: the threads that read calls from the host and run plain functions, by turns.

Whoever reads a call also runs it: handing each to another thread took longer than a short function
does. Only where a function takes its time is the reading left to another thread, beforehand where
it did so the last time, else by whoever watches.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

# Above this a function is worth handing the reading over, which takes about 0.1 ms.
_SHORT_S = 0.0003
_LOOK_S = 0.001
# After so many looks at nothing the watch sleeps until there is a call again.
_QUIET_LOOKS = 100


class Job(NamedTuple):
    """One call of a plain function, by the function's name."""

    name: str
    run: Callable[[], None]


class Crew:
    """As many functions run at a time as `size` says; one more thread reads meanwhile."""

    def __init__(self, size: int, read: Callable[[], Iterable[Job]]) -> None:
        """`read` blocks until there are jobs; only one thread at a time calls it."""
        self._size = size
        self._read = read
        self._lock = threading.Lock()
        self._vacancy = threading.Semaphore(0)
        self._awake = threading.Event()
        self._inbox: deque[Job] = deque()
        # Read while as many functions were running as may; empty whenever fewer are.
        self._backlog: deque[Job] = deque()
        self._turn = 0
        # When the reading thread began the call it is in, None while it reads.
        self._since: float | None = None
        self._slow: set[str] = set()
        self._apart = 0
        self._idle = 0
        self._threads = 0

    def start(self) -> None:
        threading.Thread(target=self._watch, name="function-watch", daemon=True).start()
        with self._lock:
            self._appoint()

    def _live(self) -> None:
        while True:
            self._vacancy.acquire()
            self._lead(self._turn)
            self._finish_backlog()

    def _lead(self, turn: int) -> None:
        """Read and run until the reading has gone to another thread."""
        while True:
            job = self._next_job()
            if not self._begin(job):
                continue
            began = time.perf_counter()
            job.run()
            took = time.perf_counter() - began
            with self._lock:
                (self._slow.add if took > _SHORT_S else self._slow.discard)(job.name)
                if self._turn != turn:
                    return
                self._since = None

    def _next_job(self) -> Job:
        while not self._inbox:
            self._inbox.extend(self._read())
        return self._inbox.popleft()

    def _begin(self, job: Job) -> bool:
        """Whether the job may run now; else it is kept for the next thread that is free."""
        with self._lock:
            if self._apart >= self._size:
                self._backlog.append(job)
                return False
            if job.name in self._slow:
                self._hand_over()
            else:
                self._since = time.perf_counter()
                if not self._awake.is_set():
                    self._awake.set()
            return True

    def _hand_over(self) -> None:
        self._apart += 1
        self._since = None
        self._appoint()

    def _appoint(self) -> None:
        """Let an idle thread read, or a new one; a thread that is not reading any more returns."""
        self._turn += 1
        if self._idle:
            self._idle -= 1
        else:
            self._threads += 1
            name = f"function_{self._threads - 1}"
            threading.Thread(target=self._live, name=name, daemon=True).start()
        self._vacancy.release()

    def _finish_backlog(self) -> None:
        while True:
            with self._lock:
                if not self._backlog:
                    self._apart -= 1
                    self._idle += 1
                    return
                job = self._backlog.popleft()
            job.run()

    def _watch(self) -> None:
        """Look after the reading thread's calls, and hand the reading over if one takes long."""
        quiet = 0
        while True:
            self._awake.wait()
            time.sleep(_LOOK_S)
            with self._lock:
                if self._since is not None:
                    quiet = 0
                    if time.perf_counter() - self._since > _LOOK_S:
                        self._hand_over()
                elif (quiet := quiet + 1) > _QUIET_LOOKS:
                    quiet = 0
                    self._awake.clear()
