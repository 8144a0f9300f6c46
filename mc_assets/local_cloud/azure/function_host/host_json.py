"""What an app's host.json and settings tell the host."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TIMESPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})")
# source: Microsoft Learn, "Azure Functions hosting options", default of every plan but Consumption.
_DEFAULT_TIMEOUT = 1800.0
# source: the Functions host's Kestrel limit.
_DEFAULT_BODY_LIMIT = 104_857_600
_MOST_PROCESSES = 10


class HostConfigurationError(ValueError):
    """host.json or an app setting holds something the host cannot use."""


@dataclass(frozen=True, slots=True)
class HostConfiguration:
    """What the host does for one app; None where something is not limited.

    `function_timeout` is in seconds, `body_limit` in bytes; `most_outstanding` counts the requests
    that wait as well as those that `most_concurrent` lets run.
    """

    route_prefix: str
    function_timeout: float | None
    body_limit: int
    process_count: int
    most_concurrent: int | None
    most_outstanding: int | None
    disabled: frozenset[str]
    has_homepage: bool

    @classmethod
    def load(cls, root: Path, settings: Mapping[str, str]) -> "HostConfiguration":
        """Read host.json (all defaults where there is none) and the settings that concern the host.

        Raises:
            HostConfigurationError: one sentence that names the value at fault.
        """
        document = _host_json(root / "host.json")
        http = _http_section(document)
        count = _positive(settings, "FUNCTIONS_WORKER_PROCESS_COUNT", 1)
        return cls(
            route_prefix=_route_prefix(http),
            function_timeout=_timeout(document.get("functionTimeout")),
            body_limit=_positive(
                settings, "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", _DEFAULT_BODY_LIMIT
            ),
            process_count=min(count, _MOST_PROCESSES),
            most_concurrent=_most(http, "maxConcurrentRequests"),
            most_outstanding=_most(http, "maxOutstandingRequests"),
            disabled=frozenset(_disabled(settings)),
            has_homepage=settings.get("AzureWebJobsDisableHomepage", "").lower() != "true",
        )


def _host_json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise HostConfigurationError(f"host.json is not valid JSON: {error}.") from error
    if not isinstance(document, dict):
        raise HostConfigurationError("host.json is not a JSON object.")
    return document


def _http_section(document: Mapping[str, Any]) -> Mapping[str, Any]:
    section = document
    for name in ("extensions", "http"):
        section = section.get(name) or {}
        if not isinstance(section, dict):
            raise HostConfigurationError(f"In host.json {name!r} is not an object.")
    return section


def _route_prefix(http: Mapping[str, Any]) -> str:
    value = http.get("routePrefix", "api")
    if not isinstance(value, str):
        raise HostConfigurationError(f"In host.json routePrefix is {value!r}, not a string.")
    return value.strip("/")


def _most(http: Mapping[str, Any], name: str) -> int | None:
    # source: HttpOptionsSetup of the Functions host: no limit of its own on Linux.
    value = http.get(name, -1)
    if not isinstance(value, int) or value < -1 or value == 0:
        raise HostConfigurationError(
            f"In host.json {name} is {value!r}, not a positive number, nor -1 for no limit."
        )
    return None if value == -1 else value


def _timeout(value: object) -> float | None:
    if value is None:
        return _DEFAULT_TIMEOUT
    if value in (-1, "-1"):
        return None
    found = _TIMESPAN.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise HostConfigurationError(
            f"In host.json functionTimeout is {value!r}, not a time span such as 00:05:00."
        )
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def _positive(settings: Mapping[str, str], name: str, default: int) -> int:
    text = settings.get(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise HostConfigurationError(f"The setting {name} is {text!r}, not a positive number.")
    return int(text)


def _disabled(settings: Mapping[str, str]) -> list[str]:
    found = []
    for name, value in settings.items():
        parts = re.fullmatch(r"AzureWebJobs[._](.+)[._]Disabled", name, re.IGNORECASE)
        if parts and value.lower() in ("1", "true"):
            found.append(parts[1].lower())
    return found
