"""Trying a package out: the packaged function answers real images in a clean Python process."""

import base64
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mc_assets.packaging.contents import ModelFacts, PackageError, PackageFacts, inspect_package

RUNNER = Path(__file__).with_name("function_runner.py")

BATCH = 1000
# JSON takes twenty times the bytes: a few images show that both bodies mean the same.
JSON_IMAGES = 16

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SmokeTest:
    """What the packaged function answered: one digit an image, and which model gave them."""

    digits: tuple[int, ...]
    model_sha256: str
    package_version: str


def smoke_test(
    package: bytes,
    images: NDArray[np.uint8],
    settings: Mapping[str, str] | None = None,
    timeout_s: float = 120,
) -> SmokeTest:
    """Index the packaged app in a new Python process and let it answer.

    The process sees the package's files, the installed libraries, `settings` as its environment
    and nothing else of ours. Every image is sent as raw bytes, the first ones as JSON too.

    Args:
        package: the zip.
        images: uint8 [N, 28, 28], at least one.
        settings: the app settings to run under.
        timeout_s: how long the process may take, in seconds.

    Raises:
        PackageError: the package cannot be imported, answers with an error, or contradicts itself.
    """
    facts = inspect_package(package)
    requests = [
        _request("health", "GET"),
        _request(
            "classify", "POST", "application/json", _as_json(images[:JSON_IMAGES], facts.model)
        ),
        *(
            _request("classify", "POST", "application/octet-stream", batch.tobytes())
            for batch in np.split(images, range(BATCH, len(images), BATCH))
        ),
    ]
    answers = _play(facts.members, requests, settings or {}, timeout_s)
    _, from_json, *from_pixels = [_accepted(answer, facts) for answer in answers]
    digits = tuple(digit for answer in from_pixels for digit in answer["digits"])
    if len(digits) != len(images):
        raise PackageError(f"The function gave {len(digits)} digits for {len(images)} images.")
    if digits[:JSON_IMAGES] != tuple(from_json["digits"]):
        raise PackageError(
            f"The function read other digits from JSON, {from_json['digits']}, than from the raw "
            f"bytes of the same images, {list(digits[:JSON_IMAGES])}."
        )
    return SmokeTest(digits, facts.model.sha256, facts.version)


def _request(
    function: str, method: str, content_type: str = "application/json", body: bytes = b""
) -> Record:
    return {
        "function": function,
        "method": method,
        "headers": {"content-type": content_type},
        "params": {},
        "body": base64.b64encode(body).decode(),
    }


def _as_json(images: NDArray[np.uint8], model: ModelFacts) -> bytes:
    mean = np.float32(model.metadata.get("input_mean", "0.1307"))
    std = np.float32(model.metadata.get("input_std", "0.3081"))
    normalised = (images.astype(np.float32) / np.float32(255) - mean) / std
    return json.dumps({"data": normalised[:, np.newaxis].tolist()}).encode()


def _play(
    members: Mapping[str, bytes],
    requests: list[Record],
    settings: Mapping[str, str],
    timeout_s: float,
) -> list[Record]:
    if importlib.util.find_spec("azure.functions") is None:
        raise PackageError(
            "The package cannot be tried out, azure-functions is not installed: "
            "pip install 'mc-assets[local]'."
        )
    with tempfile.TemporaryDirectory(prefix="mc-assets-smoke-") as folder:
        app, asked, answered = (Path(folder, name) for name in ("app", "asked", "answered"))
        for name, data in members.items():
            (app / name).parent.mkdir(parents=True, exist_ok=True)
            (app / name).write_bytes(data)
        asked.write_text(json.dumps(requests))
        command = [sys.executable, "-I", str(RUNNER), str(app), str(asked), str(answered)]
        _run(command, {"PATH": os.defpath, "LANG": "C.UTF-8", **settings}, timeout_s)
        return json.loads(answered.read_bytes())


def _run(command: list[str], environment: dict[str, str], timeout_s: float) -> None:
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PackageError(f"The packaged function did not answer in {timeout_s:g} s.") from error
    if done.returncode:
        last_lines = "\n".join(done.stderr.strip().splitlines()[-15:])
        raise PackageError(
            f"The packaged function ended with exit status {done.returncode}:\n{last_lines}"
        )


def _accepted(answer: Record, facts: PackageFacts) -> Record:
    body = base64.b64decode(answer["body"])
    if answer["status"] != 200:
        text = body[:1000].decode(errors="replace")
        raise PackageError(f"The packaged function answered {answer['status']}: {text}")
    expected = {"x-model-sha256": facts.model.sha256, "x-package-version": facts.version}
    for name, value in expected.items():
        if answer["headers"].get(name) != value:
            raise PackageError(
                f"The packaged function answered with {name} {answer['headers'].get(name)!r}, "
                f"the package holds {value}."
            )
    return json.loads(body)
