"""The log of one function app: what its workers print and what the host says about them."""

import logging
import os
import threading
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path

_MOST_BYTES = 10_000_000
_LONGEST_LINE = 16_384


class AppLog:
    """A size-capped file of lines, each with the time (UTC) in front."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handler = RotatingFileHandler(
            path, maxBytes=_MOST_BYTES, backupCount=1, encoding="utf-8", delay=True
        )
        formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(message)s", "%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        self._handler.setFormatter(formatter)

    def write(self, text: str) -> None:
        for line in text.splitlines():
            self._handler.handle(logging.makeLogRecord({"msg": line}))

    def follow(self, read_end: int, name: str) -> threading.Thread:
        """Copy lines from a pipe until nobody can write to it any more, on the thread returned."""
        thread = threading.Thread(target=self._copy, args=(read_end,), name=name, daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        self._handler.close()

    def _copy(self, read_end: int) -> None:
        with os.fdopen(read_end, encoding="utf-8", errors="replace") as stream:
            while line := stream.readline(_LONGEST_LINE):
                self.write(line)
