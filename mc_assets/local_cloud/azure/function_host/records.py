"""What the control plane and the function host tell each other: immutable records."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class AppKeys:
    """The secrets requests are checked against; `function`: function name -> key name -> value."""

    master: str
    host: Mapping[str, str]
    system: Mapping[str, str]
    function: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class AppContent:
    """A deployed app: its wwwroot folder, and the app settings that become its environment."""

    root: Path
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FunctionInfo:
    """One indexed function; no `methods` means that it answers every method."""

    name: str
    route: str
    methods: tuple[str, ...]
    auth_level: str
    bindings: tuple[dict[str, Any], ...]
    script_file: str
    is_http: bool
    is_disabled: bool = False


@dataclass(frozen=True, slots=True)
class IndexResult:
    """The functions found, or what kept the app from being indexed: a traceback or a sentence."""

    functions: tuple[FunctionInfo, ...]
    error: str | None


@dataclass(frozen=True, slots=True)
class HostLimits:
    """How long the host waits, in seconds.

    The front end cuts a request off after 230 s whatever the app's own time-out is.
    source: Microsoft Learn, "Function app timeout duration".
    """

    front_end: float = 230
    index: float = 180
    worker_wait: float = 10
    drain: float = 230
    stop_drain: float = 5
    exit: float = 3


class Answer(NamedTuple):
    """An HTTP response in the terms of ASGI."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
