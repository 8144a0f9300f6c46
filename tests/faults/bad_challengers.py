"""Eight challengers that must never serve: what a job leaves, and the function around it."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx  # noqa: TID253 - what this module is for

from release_scene import IMAGES, WEIGHTS, reference
from tiny_onnx import expected_digits, tiny_onnx

TRAIN = """
import base64, json, os, pathlib
made = json.loads((pathlib.Path(__file__).parent / "made.json").read_text())
for name, data in made.items():
    (pathlib.Path(os.environ["SM_MODEL_DIR"]) / name).write_bytes(base64.b64decode(data))
print("epoch 1 of 1 test_accuracy=0.99", flush=True)
"""


@dataclass(frozen=True)
class Challenger:
    """`stopped_by` is the first check that fails, with a word or the number that it says."""

    name: str
    model: bytes
    weights: np.ndarray
    stopped_by: str
    word: str
    flaw: str = ""

    def training_code(self, folder: Path) -> str:
        """A folder whose train.py leaves this model."""
        made = {
            "model.onnx": self.model,
            "model.pt": self.weights.tobytes(),
            "metrics.json": b'{"test_accuracy": 0.99}',
            "reference.npz": reference(self.weights),
        }
        folder.mkdir(parents=True)
        (folder / "train.py").write_text(TRAIN)
        encoded = {name: base64.b64encode(data).decode() for name, data in made.items()}
        (folder / "made.json").write_text(json.dumps(encoded))
        return str(folder)


def bad_challengers() -> Iterator[Challenger]:
    nan = WEIGHTS.copy()
    nan[100, 3] = np.nan
    yield Challenger("NaN weights", tiny_onnx(nan), nan, "onnx_model parity", "not finite")
    yield Challenger(
        "wrong input name", _renamed(tiny_onnx(WEIGHTS)), WEIGHTS, "onnx_model signature", "'image'"
    )
    small = tiny_onnx(WEIGHTS, input_shape=("batch", 1, 14, 14))
    yield Challenger("wrong shape", small, WEIGHTS, "onnx_model signature", "14")
    future = _of_opset(tiny_onnx(WEIGHTS), 99)
    yield Challenger("future opset", future, WEIGHTS, "onnx_model structure", "99")
    poor = _right_on(12)
    yield Challenger("30 % accuracy", tiny_onnx(poor), poor, "onnx_model test_accuracy", " 0.3000,")
    constant = np.zeros_like(WEIGHTS)  # the first of ten equal answers is taken: 0
    zeros = expected_digits(IMAGES, WEIGHTS).count(0) / len(IMAGES)
    yield Challenger(
        "constant class",
        tiny_onnx(constant),
        constant,
        "onnx_model test_accuracy",
        f" {zeros:.4f},",
    )
    for seed, (flaw, check, word) in enumerate(
        [
            ("slow", "staged_endpoint latency", " ms, beyond 250 ms"),
            ("crashes on load", "function_package clean_process", "no weights to be found"),
        ]
    ):
        weights = _near(seed)
        yield Challenger(flaw, tiny_onnx(weights), weights, check, word, flaw)


def _near(seed: int, distance: float = 0.01) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, distance, WEIGHTS.shape)
    return WEIGHTS + noise.astype(np.float32)


def _right_on(images: int) -> np.ndarray:
    """Weights that get exactly so many of the forty test images right."""
    truth = expected_digits(IMAGES, WEIGHTS)
    for seed in range(10_000):
        weights = _near(seed, 0.15)
        answers = expected_digits(IMAGES, weights)
        if sum(one == other for one, other in zip(answers, truth, strict=True)) == images:
            return weights
    raise LookupError(f"No weights are right on {images} images.")


def _renamed(data: bytes) -> bytes:
    model = onnx.load_from_string(data)
    model.graph.input[0].name = "image"
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name == "input_0":
                node.input[place] = "image"
    return model.SerializeToString()


def _of_opset(data: bytes, version: int) -> bytes:
    model = onnx.load_from_string(data)
    model.opset_import[0].version = version
    return model.SerializeToString()
