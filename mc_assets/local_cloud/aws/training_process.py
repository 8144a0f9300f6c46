"""A training process and its whole group: started, listened to, stopped."""

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

import psutil

from mc_assets.local_cloud.aws.training_command import Command
from mc_assets.local_cloud.aws.training_job import ProcessMark

logger = logging.getLogger(__name__)

_LONGEST_LINE = 64 * 1024
_SECONDS_FOR_LAST_LINES = 5
_PAUSE_SECONDS = 0.05


class TrainingProcess:
    """The job's command in a session of its own; its lines go to a listener as they come."""

    def __init__(self, command: Command, listener: Callable[[str], None]) -> None:
        self._listener = listener
        self._last_error_line = ""
        self._kill_at: float | None = None
        self._process = subprocess.Popen(
            command.argv,
            cwd=command.folder,
            env=command.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._readers = [
            threading.Thread(target=self._listen, args=pipe, daemon=True)
            for pipe in ((self._process.stdout, False), (self._process.stderr, True))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def mark(self) -> ProcessMark | None:
        """What to find it by after a restart; None if it has already gone."""
        try:
            return ProcessMark(self._process.pid, psutil.Process(self._process.pid).create_time())
        except psutil.NoSuchProcess:
            return None

    @property
    def last_error_line(self) -> str:
        return self._last_error_line

    def wait(self, seconds: float) -> int | None:
        """Its exit code, a negative one for a signal; None if it runs on."""
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._signal(signal.SIGKILL)
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self._end()
        return code

    def stop(self, grace: float) -> None:
        """Ask the group to end; it is killed `grace` seconds from now if it has not."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + grace
            self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._end()

    def _end(self) -> None:
        # A container ends with its first process; what that left running ends here too. But a shell
        # dies of the signal at once that asks its script to end: the script keeps its grace.
        while self._kill_at is not None and time.monotonic() < self._kill_at and self._group_runs():
            time.sleep(_PAUSE_SECONDS)
        self._signal(signal.SIGKILL)
        deadline = time.monotonic() + _SECONDS_FOR_LAST_LINES
        for reader in self._readers:
            reader.join(max(0.0, deadline - time.monotonic()))

    def _group_runs(self) -> bool:
        return any(map(self._is_member, psutil.process_iter()))

    def _is_member(self, process: psutil.Process) -> bool:
        try:
            grouped = os.getpgid(process.pid) == self._process.pid
            return grouped and process.status() != psutil.STATUS_ZOMBIE
        except (ProcessLookupError, psutil.NoSuchProcess):
            return False

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _listen(self, pipe: BinaryIO, is_error: bool) -> None:
        while raw := pipe.readline(_LONGEST_LINE):
            line = raw.decode(errors="replace").rstrip("\r\n")
            if is_error and line.strip():
                self._last_error_line = line.strip()
            self._listener(line)


def kill_survivor(mark: ProcessMark) -> None:
    """Kill the process group of a mark made by an earlier server, if it is still the same one."""
    try:
        survives = psutil.Process(mark.pid).create_time() == mark.create_time
    except psutil.NoSuchProcess:
        survives = False
    if survives:
        logger.info("Killing training process %d, which outlived its server.", mark.pid)
        with suppress(ProcessLookupError):
            os.killpg(mark.pid, signal.SIGKILL)
