"""The walkthrough's function: a session built in every request, images as nested lists in JSON."""

import json
from pathlib import Path

import azure.functions as func
import numpy as np
import onnxruntime


def classify(request: func.HttpRequest, model: Path) -> func.HttpResponse:
    """The digits of `{"data": N x 1 x 28 x 28 normalised numbers}`.

    The standard library's json on purpose: `request.get_json()` would take orjson where that
    happens to be installed.
    """
    images = np.array(json.loads(request.get_body())["data"], dtype=np.float32)
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    scores = np.asarray(session.run(None, {"input_0": images})[0])
    return func.HttpResponse(
        json.dumps({"digits": scores.argmax(axis=1).tolist()}), mimetype="application/json"
    )
