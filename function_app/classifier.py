"""The model: loaded once from bytes, asked for the digits of normalised images."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

# Bounds what one request can make the network hold in memory, however many images it brings.
CHUNK = 256

# MNIST's own mean and standard deviation of pixels scaled to 0..1, for models that name none.
MNIST_MEAN = 0.1307
MNIST_STD = 0.3081


class Classifier:
    """One ONNX model in one session, safe to share between threads.

    Attributes:
        sha256: of the model's bytes.
        metadata: the model's metadata_props.
        input_mean: what the model's pixels, scaled to 0..1, were shifted by in training.
        input_std: what they were then divided by.
    """

    def __init__(self, model: bytes, threads: int = 1) -> None:
        """Load the model; `threads` is how many one call may compute on.

        Raises:
            ValueError: the model does not take float32 [N, 1, 28, 28] and give [N, 10], or its
                normalisation is not a finite mean and a positive deviation.
        """
        self._session = onnxruntime.InferenceSession(
            model, _session_options(threads), providers=["CPUExecutionProvider"]
        )
        self._input = _only("input", self._session.get_inputs(), [1, 28, 28])
        self._output = _only("output", self._session.get_outputs(), [10])
        self.sha256 = hashlib.sha256(model).hexdigest()
        self.metadata: Mapping[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self.input_mean, self.input_std = _normalisation(self.metadata)

    def scores(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """The model's output for float32 [N, 1, 28, 28], N x 10.

        Raises:
            ArithmeticError: the model answered with something that is not a number.
        """
        chunks = [
            self._session.run([self._output.name], {self._input.name: images[at : at + CHUNK]})[0]
            for at in range(0, len(images), CHUNK)
        ]
        scores = np.concatenate([np.asarray(chunk, np.float32) for chunk in chunks])
        # A comparison that NaN fails as well.
        if not (scores < np.inf).all():
            raise ArithmeticError("The model's scores are not all numbers below infinity.")
        return scores

    def signature(self) -> dict[str, list[dict[str, Any]]]:
        """Name, type and shape of the input and of the output; a text is a free dimension."""
        return {"inputs": [_described(self._input)], "outputs": [_described(self._output)]}


def probabilities(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Softmax by row; log-probabilities and raw logits give the same probabilities."""
    exponentials = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def _session_options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    # Left alone, ONNX Runtime pins threads to cores, which fails in CPU-limited containers
    # (source: github.com/microsoft/onnxruntime/issues/8313).
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Idle threads that spin take the cores from the other requests of the same worker.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _only(role: str, nodes: Sequence[Any], shape: list[int]) -> Any:
    described = [_described(node) for node in nodes]
    wanted = f"exactly one {role}, tensor(float) [N, {', '.join(map(str, shape))}] with N free"
    node = nodes[0] if len(nodes) == 1 else None
    if node is None or node.type != "tensor(float)" or not _is_batch_of(shape, node.shape):
        raise ValueError(f"The model must have {wanted}; found {described}.")
    return node


def _is_batch_of(shape: list[int], found: list[Any]) -> bool:
    # ONNX Runtime writes a free dimension as its name, or None.
    return len(found) > 1 and not isinstance(found[0], int) and found[1:] == shape


def _described(node: Any) -> dict[str, Any]:
    return {"name": node.name, "type": node.type, "shape": list(node.shape)}


def _normalisation(metadata: Mapping[str, str]) -> tuple[float, float]:
    mean = float(metadata.get("input_mean", MNIST_MEAN))
    std = float(metadata.get("input_std", MNIST_STD))
    if not math.isfinite(mean) or not math.isfinite(std) or std <= 0:
        raise ValueError(
            f"The model's metadata has input_mean {mean} and input_std {std}; "
            "a finite mean and a positive deviation are needed."
        )
    return mean, std
