"""Metrics read off a job's log lines by the regular expressions of its request."""

import math
import re
import time

from mc_assets.local_cloud.aws.training_job import Metric
from mc_assets.local_cloud.store import Document


class MetricReader:
    """Keeps the last value of each metric; a capture that is no number is passed over."""

    def __init__(self, definitions: list[Document]) -> None:
        self._regexes = [(entry["Name"], re.compile(entry["Regex"])) for entry in definitions]
        self._latest: dict[str, Metric] = {}

    @property
    def latest(self) -> tuple[Metric, ...]:
        return tuple(self._latest.values())

    def read(self, line: str) -> None:
        for name, regex in self._regexes:
            for match in regex.finditer(line):
                value = _number(match.group(1))
                if value is not None:
                    self._latest[name] = Metric(name, value, time.time())


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
