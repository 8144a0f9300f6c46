"""The host's own endpoints below /admin."""

import json
import os
import platform
import time
from collections.abc import Callable

from mc_assets.local_cloud.azure.function_host.records import Answer, FunctionInfo, IndexResult

# The runtime whose behaviour this host follows.
_VERSION = "4.1037.0.0"
_READ_ONLY = b"Below /admin this host only answers questions: it runs no function on demand.\n"


class AdminEndpoints:
    """Answers /admin/host/ping to anyone, everything else to the holder of the master key."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._started = time.monotonic()

    def answer(
        self,
        method: str,
        path: str,
        *,
        is_master: Callable[[], bool],
        index: IndexResult | None,
        running: bool,
    ) -> Answer:
        steps = [step.lower() for step in path.strip("/").split("/")[1:]]
        if steps == ["host", "ping"]:
            return Answer(200, [])
        if not is_master():
            return Answer(401, [])
        if method not in ("GET", "HEAD"):
            return Answer(501, [(b"content-type", b"text/plain")], _READ_ONLY)
        functions = index.functions if index else ()
        if steps == ["host", "status"]:
            return _json(self._status(index, running))
        if steps == ["functions"]:
            return _json([_metadata(function) for function in functions])
        if len(steps) == 2 and steps[0] == "functions":
            for function in functions:
                if function.name.lower() == steps[1]:
                    return _json(_metadata(function))
        return Answer(404, [])

    def _status(self, index: IndexResult | None, running: bool) -> dict[str, object]:
        status: dict[str, object] = {
            "id": self._name.lower(),
            "state": "Running" if running else "Error",
            "version": _VERSION,
            "versionDetails": _VERSION,
            "platformVersion": platform.python_version(),
            "instanceId": f"{self._name.lower()}-{os.getpid()}",
            "computerName": "localhost",
            "processUptime": int((time.monotonic() - self._started) * 1000),
        }
        if index and index.error:
            status["errors"] = [index.error]
        return status


def _metadata(function: FunctionInfo) -> dict[str, object]:
    return {
        "name": function.name,
        "script_href": function.script_file,
        "language": "python",
        "isDisabled": function.is_disabled,
        "config": {
            "name": function.name,
            "scriptFile": function.script_file,
            "language": "python",
            "bindings": list(function.bindings),
        },
    }


def _json(document: object) -> Answer:
    headers = [(b"content-type", b"application/json; charset=utf-8")]
    return Answer(200, headers, json.dumps(document).encode())
