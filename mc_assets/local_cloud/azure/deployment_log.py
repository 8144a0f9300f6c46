"""The log of one deployment: entries and their detail lines, kept as JSON lines in a file."""

import json
import uuid
from enum import IntEnum
from pathlib import Path
from typing import Any

from mc_assets.local_cloud.azure.clock import timestamp


class Severity(IntEnum):
    """The `type` of a log entry; source: Kudu's LogEntryType."""

    MESSAGE = 0
    WARNING = 1
    ERROR = 2


class DeploymentLog:
    """Appends as the deployment goes, so that a reader sees the build while it runs."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def entry(self, message: str, severity: Severity = Severity.MESSAGE) -> str:
        """Append an entry and return its id, under which details can be appended."""
        return self._append(message, severity, None)

    def detail(self, entry: str, message: str, severity: Severity = Severity.MESSAGE) -> None:
        self._append(message, severity, entry)

    def entries(self) -> list[dict[str, Any]]:
        """Entries in order, each with `has_details`."""
        lines = self._lines()
        parents = {line["parent"] for line in lines}
        return [
            {**line, "has_details": line["id"] in parents}
            for line in lines
            if line["parent"] is None
        ]

    def details(self, entry: str) -> list[dict[str, Any]]:
        return [line for line in self._lines() if line["parent"] == entry]

    def knows(self, entry: str) -> bool:
        return any(line["id"] == entry for line in self._lines())

    def _append(self, message: str, severity: Severity, parent: str | None) -> str:
        line = {
            "id": str(uuid.uuid4()),
            "parent": parent,
            "log_time": timestamp(),
            "message": message,
            "type": int(severity),
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
        return line["id"]

    def _lines(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            return []
        whole = self._path.read_text(encoding="utf-8").rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines() if line]
