"""The model: loaded once from bytes, asked for the scores of grey levels or normalised images."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from images import IMAGE_SHAPE, GreyLevels, Images

# Bounds what one request can make the network hold in memory, however many images it brings. The
# layers of 64 images fit the processor's cache: 256 of them take a fifth longer in one piece.
CHUNK = 64

# MNIST's own mean and standard deviation of pixels scaled to 0..1, for models that name none.
MNIST_MEAN = 0.1307
MNIST_STD = 0.3081

NO_IMAGES = np.empty((0, *IMAGE_SHAPE), np.float32)


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
            ValueError: the model does not take float32 [N, 1, 28, 28] and give [N, 10], takes
                `pixels` that are not uint8 [N, 1, 28, 28], or its normalisation is not a finite
                mean and a positive deviation.
        """
        self._session = onnxruntime.InferenceSession(
            model, _session_options(threads), providers=["CPUExecutionProvider"]
        )
        self._input = _only("input", self._session.get_inputs(), [1, 28, 28])
        self._output = _only("output", self._session.get_outputs(), [10])
        self._pixels = _pixel_input(self._session.get_overridable_initializers())
        self.sha256 = hashlib.sha256(model).hexdigest()
        self.metadata: Mapping[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self.input_mean, self.input_std = _normalisation(self.metadata)
        self._levels = normalised_levels(self.input_mean, self.input_std)
        self._outputs = [self._output.name]

    def scores(self, images: Images) -> NDArray[np.float32]:
        """The model's output, N x 10.

        Args:
            images: [N, 1, 28, 28] with N above 0; uint8 are grey levels, float32 normalised.

        Raises:
            ArithmeticError: the model answered with something that is not a number.
        """
        if len(images) <= CHUNK:
            scores = self._run(images)
        else:
            starts = range(0, len(images), CHUNK)
            scores = np.concatenate([self._run(images[at : at + CHUNK]) for at in starts])
        # A comparison that NaN fails as well.
        if not np.maximum.reduce(scores, axis=None) < np.inf:
            raise ArithmeticError("The model's scores are not all numbers below infinity.")
        return scores

    def _run(self, images: Images) -> NDArray[np.float32]:
        if images.dtype.kind == "f":
            feed = {self._input.name: images}
        elif self._pixels is None:
            feed = {self._input.name: self._levels[cast(GreyLevels, images)]}
        else:
            feed = {self._input.name: NO_IMAGES, self._pixels.name: images}
        return np.asarray(self._session.run(self._outputs, feed)[0])

    def signature(self) -> dict[str, list[dict[str, Any]]]:
        """Name, type and shape of the inputs and of the output; a text is a free dimension."""
        inputs = [self._input, *([self._pixels] if self._pixels else [])]
        return {"inputs": list(map(_described, inputs)), "outputs": [_described(self._output)]}


def normalised_levels(mean: float, std: float) -> NDArray[np.float32]:
    """The normalised value of each of the 256 grey levels, float32 [256].

    Divided, shifted and scaled in float32 one step at a time, as torchvision's ToTensor and
    Normalize do it, so that a pixel means bit for bit what it meant in training.
    """
    scaled = np.arange(256, dtype=np.float32) / np.float32(255)
    return (scaled - np.float32(mean)) / np.float32(std)


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
    # It warns that `pixels` has a default and is an input: that is what makes it optional.
    options.log_severity_level = 3
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


def _pixel_input(optional: Sequence[Any]) -> Any:
    """The input for raw grey levels, which a model may have beside its own; None without one."""
    found = [node for node in optional if node.name == "pixels"]
    if not found:
        return None
    node = found[0]
    if node.type != "tensor(uint8)" or not _is_batch_of([1, 28, 28], node.shape):
        raise ValueError(
            "The model's input pixels must be tensor(uint8) [N, 1, 28, 28] with N free; found "
            f"{_described(node)}."
        )
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
