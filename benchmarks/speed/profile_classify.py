"""The parts of one classify call, of the walkthrough's and of ours, in milliseconds."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from speed import sides
from speed.measuring import median_seconds, process_of_its_own
from speed.sides import Side
from speed.workshop import Workshop

BATCHES = (1, 16, 256)
CALLS = {1: 200, 16: 60, 256: 8}
REST = "reading the body, request and answer"
MODEL = "session.run"

Parts = Mapping[int, Mapping[str, Mapping[str, float]]]


def parts(workshop: Workshop) -> Parts:
    """By batch, by side, by part."""
    with _measured(workshop) as measured:
        return {batch: measured(batch) for batch in BATCHES}


@contextmanager
def _measured(workshop: Workshop) -> Iterator[Callable[[int], dict[str, dict[str, float]]]]:
    with process_of_its_own() as theirs, process_of_its_own() as ours, process_of_its_own() as bare:

        def of_batch(batch: int) -> dict[str, dict[str, float]]:
            def total(process: Any, side: Side) -> float:
                seconds = process.submit(sides.seconds, workshop, side, batch, CALLS[batch])
                return 1000 * seconds.result()

            model = total(bare, "bare session.run")
            bodies: tuple[Side, ...] = ("ours, JSON", "ours, raw bytes")
            whole = {side: total(ours, side) for side in bodies}
            return {
                "walkthrough, JSON": theirs.submit(_walkthrough, workshop, batch).result(),
                **{
                    side: {REST: max(0.0, seconds - model), MODEL: model}
                    for side, seconds in whole.items()
                },
            }

        yield of_batch


def _walkthrough(workshop: Workshop, batch: int) -> dict[str, float]:
    """Its lines one by one; the whole call takes a little less than their sum."""
    import azure.functions as func
    import onnxruntime

    body, model = sides.json_body(workshop, batch), str(workshop.walkthrough_model)
    data = json.loads(body)["data"]
    images = np.array(data, dtype=np.float32)
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(model, providers=providers)
    scores = np.asarray(session.run(None, {"input_0": images})[0])
    lines: dict[str, Callable[[], object]] = {
        "InferenceSession(...)": lambda: onnxruntime.InferenceSession(model, providers=providers),
        "json.loads": lambda: json.loads(body),
        "np.array": lambda: np.array(data, dtype=np.float32),
        MODEL: lambda: session.run(None, {"input_0": images}),
        "answer": lambda: func.HttpResponse(json.dumps(scores.argmax(axis=1).tolist())),
    }
    calls = max(5, CALLS[batch] // 4)
    return {name: 1000 * median_seconds(line, calls) for name, line in lines.items()}
