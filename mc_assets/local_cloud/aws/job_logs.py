"""A job's log lines: in CloudWatch Logs while it runs, and on disk for after a restart."""

import json
import threading
import time
from pathlib import Path

from moto.logs.models import logs_backends

from mc_assets.local_cloud.aws.training_job import LOG_GROUP, TrainingJob
from mc_assets.local_cloud.settings import ACCOUNT_ID

_group_lock = threading.Lock()


class JobLog:
    """The one log stream of a job."""

    def __init__(self, folder: Path, job: TrainingJob) -> None:
        self._path = folder / f"{job.name}.jsonl"
        self._region = job.region
        self._stream = job.log_stream
        self._pending: list[dict[str, str | int]] = []
        self._lock = threading.Lock()

    def add(self, line: str) -> None:
        """Take a line; CloudWatch has no empty events, so an empty line is dropped."""
        if line:
            event = {"timestamp": int(time.time() * 1000), "message": line}
            with self._lock:
                self._pending.append(event)

    def flush(self) -> None:
        """Show the lines taken so far."""
        with self._lock:
            events, self._pending = self._pending, []
        if events:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a") as stream:
                stream.writelines(json.dumps(event) + "\n" for event in events)
            self._show(events)

    def show_again(self) -> None:
        """Put the lines kept on disk back into CloudWatch Logs."""
        if self._path.exists():
            lines = self._path.read_text().splitlines()
            # A kill can leave half a line at the end.
            self._show([json.loads(line) for line in lines if line.endswith("}")])

    def delete(self) -> None:
        self._path.unlink(missing_ok=True)

    def _show(self, events: list[dict[str, str | int]]) -> None:
        backend = logs_backends[ACCOUNT_ID][self._region]
        with _group_lock:
            backend.ensure_log_group(LOG_GROUP)
            group = backend.groups[LOG_GROUP]
            if self._stream not in group.streams:
                group.create_log_stream(self._stream)
        # The group's own method: the backend's refuses events older than 14 days.
        group.put_log_events(self._stream, events)
