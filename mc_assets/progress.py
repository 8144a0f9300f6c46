"""How far something long has come, said now and then in the run's log."""

import threading
import time
from collections.abc import Callable

PAUSE_SECONDS = 5.0
MEGABYTE = 1_000_000

Log = Callable[[str], None]


def unheard(_: str) -> None:
    """Where nobody asked to be told."""


class Transfer:
    """Counts the bytes of one transfer, from any thread, and says every few seconds how many."""

    def __init__(self, what: str, log: Log, total: int = 0, pause: float = PAUSE_SECONDS) -> None:
        """A total of 0 is an unknown one."""
        self._what, self._log, self._total, self._pause = what, log, total, pause
        self._done, self._due = 0, time.monotonic() + pause
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
            if time.monotonic() < self._due:
                return
            self._due = time.monotonic() + self._pause
            said = f"{self._what}: {self}"
        self._log(said)

    def __str__(self) -> str:
        done = f"{self._done / MEGABYTE:.1f}"
        return f"{done} of {self._total / MEGABYTE:.1f} MB" if self._total else f"{done} MB"
