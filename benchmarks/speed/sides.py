"""The ways of classifying that take turns: each prepares its request once, then answers it.

All of it runs inside the process of one side; what it loads stays loaded there.
"""

import functools
import importlib
import json
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from speed.measuring import median_seconds
from speed.workshop import Workshop, normalised

Side = Literal[
    "walkthrough", "ours, JSON", "ours, raw bytes", "ours, deflated bytes", "bare session.run"
]
Digits = list[int]


def seconds(workshop: Workshop, side: Side, batch: int, calls: int) -> float:
    """The median of a block of calls on the first `batch` test images, after a few unmeasured."""
    call, _ = _prepared(workshop, side, batch)
    for _ in range(3):
        call()
    return median_seconds(call, calls)


def digits(workshop: Workshop, side: Side, batch: int) -> Digits:
    """What the side takes those images for."""
    call, read = _prepared(workshop, side, batch)
    return read(call())


@functools.cache
def _prepared(
    workshop: Workshop, side: Side, batch: int
) -> tuple[Callable[[], Any], Callable[[Any], Digits]]:
    headers = {"content-type": "application/octet-stream"}
    match side:
        case "walkthrough":
            return _walkthrough(workshop, batch)
        case "bare session.run":
            return _bare(workshop, batch)
        case "ours, JSON":
            body, headers = json_body(workshop, batch), {"content-type": "application/json"}
        case "ours, raw bytes":
            body = raw_body(workshop, batch)
        case "ours, deflated bytes":
            body = deflated(raw_body(workshop, batch))
            headers["content-encoding"] = "deflate"
    classify, func = _our_function(workshop.package), _func()
    return (
        lambda: classify(func.HttpRequest(method="POST", url="/", headers=headers, body=body)),
        _digits_of_answer,
    )


def json_body(workshop: Workshop, batch: int) -> bytes:
    """What the walkthrough's clients send."""
    images, _ = workshop.test_images()
    return json.dumps({"data": normalised(images[:batch]).tolist()}).encode()


def raw_body(workshop: Workshop, batch: int) -> bytes:
    images, _ = workshop.test_images()
    return images[:batch].tobytes()


def deflated(body: bytes) -> bytes:
    """As clients compress by default, in the zlib format that HTTP calls deflate."""
    return zlib.compress(body)


def _walkthrough(
    workshop: Workshop, batch: int
) -> tuple[Callable[[], Any], Callable[[Any], Digits]]:
    from walkthrough.function import classify

    func, body, model = _func(), json_body(workshop, batch), workshop.walkthrough_model
    headers = {"content-type": "application/json"}
    return (
        lambda: classify(
            func.HttpRequest(method="POST", url="/", headers=headers, body=body), model
        ),
        _digits_of_answer,
    )


def _bare(workshop: Workshop, batch: int) -> tuple[Callable[[], Any], Callable[[Any], Digits]]:
    """Our model under the function's session options, with arrays that are made beforehand."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        str(workshop.our_model), options, providers=["CPUExecutionProvider"]
    )
    images, _ = workshop.test_images()
    pixels = images[:batch, np.newaxis].copy()
    takes_pixels = "pixels" in {each.name for each in session.get_overridable_initializers()}
    none = np.empty((0, 1, 28, 28), np.float32)
    feeds = (
        {"input_0": none, "pixels": pixels}
        if takes_pixels
        else {"input_0": normalised(images[:batch])}
    )
    return (
        lambda: session.run(None, feeds)[0],
        lambda scores: np.asarray(scores).argmax(axis=1).tolist(),
    )


def _digits_of_answer(answer: Any) -> Digits:
    if answer.status_code != 200:
        raise RuntimeError(f"The function answered {answer.status_code}: {answer.get_body()!r}")
    return json.loads(answer.get_body())["digits"]


@functools.cache
def _our_function(package: Path) -> Callable[[Any], Any]:
    """The packaged app's classify, imported from its unpacked folder as a worker does."""
    functions = _module(package, "function_app").app.get_functions()
    found = {each.get_function_name(): each.get_user_function() for each in functions}
    return found["classify"]


def _module(package: Path, name: str) -> Any:
    if str(package) not in sys.path:
        sys.path.insert(0, str(package))
    return importlib.import_module(name)


def _func() -> Any:
    import azure.functions

    return azure.functions
