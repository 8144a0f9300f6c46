"""A real ONNX model small enough to reckon with by hand: flatten, multiply, log-softmax."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx  # noqa: TID253 - what this module is for
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper  # noqa: TID253 - as above

MEAN, STD = 0.1307, 0.3081
METADATA = {"input_mean": "0.1307", "input_std": "0.3081", "classes": "0,1,2,3,4,5,6,7,8,9"}


def tiny_weights(seed: int = 0) -> NDArray[np.float32]:
    """float32 [784, 10]."""
    return np.random.default_rng(seed).normal(0, 0.05, (784, 10)).astype(np.float32)


def tiny_images(count: int, seed: int = 1) -> NDArray[np.uint8]:
    """uint8 [count, 28, 28]."""
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28), np.uint8)


def normalised(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """float32 [N, 1, 28, 28]."""
    scaled = images[:, np.newaxis].astype(np.float32) / np.float32(255)
    return (scaled - np.float32(MEAN)) / np.float32(STD)


def expected_digits(images: NDArray[np.uint8], weights: NDArray[np.float32]) -> list[int]:
    """What a tiny model with these weights answers, by numpy."""
    return (normalised(images).reshape(-1, 784) @ weights).argmax(axis=1).tolist()


def tiny_onnx(
    weights: NDArray[np.float32] | None = None,
    *,
    metadata: Mapping[str, str] = METADATA,
    input_shape: Sequence[str | int] = ("batch", 1, 28, 28),
    input_type: int = TensorProto.FLOAT,
    outputs: Sequence[str] = ("output_0",),
) -> bytes:
    """input_0 [batch, 1, 28, 28] to output_0 [batch, 10], unless asked for a misfit."""
    weights = tiny_weights() if weights is None else weights
    pixels = int(np.prod([size for size in input_shape[1:] if isinstance(size, int)]))
    nodes = [
        helper.make_node("Cast", ["input_0"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["float", "flat_shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        *(helper.make_node("LogSoftmax", ["logits"], [name], axis=1) for name in outputs),
    ]
    batch = input_shape[0]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("input_0", input_type, list(input_shape))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, 10]) for name in outputs],
        [
            numpy_helper.from_array(weights[:pixels], "weights"),
            numpy_helper.from_array(np.array([-1, pixels]), "flat_shape"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    return model.SerializeToString()
