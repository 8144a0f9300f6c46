"""A real ONNX model small enough to reckon with by hand: flatten, multiply, log-softmax."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx  # noqa: TID253 - what this module is for
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper  # noqa: TID253 - as above

MEAN, STD = 0.1307, 0.3081
METADATA = {"input_mean": "0.1307", "input_std": "0.3081", "classes": "0,1,2,3,4,5,6,7,8,9"}

NO_PIXELS = np.empty((0, 1, 28, 28), np.uint8)


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
    pixels: NDArray[Any] | None = None,
) -> bytes:
    """input_0 [batch, 1, 28, 28] to output_0 [batch, 10], unless asked for a misfit.

    Args:
        weights: float32 [784, 10].
        metadata: the model's own.
        input_shape, input_type, outputs: other than what a model has.
        pixels: the default of a second input for grey levels; NO_PIXELS makes a proper one.
    """
    weights = tiny_weights() if weights is None else weights
    pixel_count = int(np.prod([size for size in input_shape[1:] if isinstance(size, int)]))
    nodes = [
        helper.make_node("Cast", ["input_0"], ["float"], to=TensorProto.FLOAT),
        *([] if pixels is None else _beside_pixels()),
        helper.make_node("Reshape", ["float" if pixels is None else "all", "flat_shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        *(helper.make_node("LogSoftmax", ["logits"], [name], axis=1) for name in outputs),
    ]
    batch = input_shape[0]
    inputs = [helper.make_tensor_value_info("input_0", input_type, list(input_shape))]
    weights_and_defaults = [
        numpy_helper.from_array(weights[:pixel_count], "weights"),
        numpy_helper.from_array(np.array([-1, pixel_count]), "flat_shape"),
    ]
    if pixels is not None:
        kind = helper.np_dtype_to_tensor_dtype(pixels.dtype)
        inputs.append(helper.make_tensor_value_info("pixels", kind, ["more", *pixels.shape[1:]]))
        weights_and_defaults += [
            numpy_helper.from_array(pixels, "pixels"),
            numpy_helper.from_array(np.array(1 / (255 * STD), np.float32), "scale"),
            numpy_helper.from_array(np.array(-MEAN / STD, np.float32), "shift"),
        ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        inputs,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, 10]) for name in outputs],
        weights_and_defaults,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _beside_pixels() -> list[onnx.NodeProto]:
    return [
        helper.make_node("Cast", ["pixels"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["levels", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shift"], ["shifted"]),
        helper.make_node("Concat", ["float", "shifted"], ["all"], axis=0),
    ]
