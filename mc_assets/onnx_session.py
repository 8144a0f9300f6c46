"""Asking an ONNX model for its answers: its bytes in, its first output out, or why not."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mc_assets.evaluation import normalise

if TYPE_CHECKING:
    import onnx
    import onnxruntime

# Twice a generous model of this size; a plan's package limit is far above it.
MAX_BYTES = 64 * 1024 * 1024
# The layers of so many images fit a processor's cache: 256 in one piece take a fifth longer.
BATCH = 64
# The input that a model may have beside its own, for raw grey levels; its default is no images.
PIXELS = "pixels"

FloatArray = NDArray[np.float32]


class OnnxInvalid(ValueError):  # noqa: N818 - what it says of the model
    """The model may not serve; `problems` holds every reason, and the text lists them."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("The ONNX model may not serve: " + "; ".join(problems) + ".")


def run(model: bytes, images: FloatArray, batch: int = BATCH, threads: int = 1) -> FloatArray:
    """The model's first output for all images, computed `batch` images at a time.

    Args:
        model: a model that has passed both checks.
        images: float32 [N, 1, 28, 28], normalised.
        batch: images in one call of the runtime, at least 1.
        threads: the runtime's; 1 gives the same bits on every machine of a kind.

    Raises:
        OnnxInvalid: the runtime refuses the model or fails on these images.
    """
    session = open_session(model, threads)
    name = session.get_inputs()[0].name
    starts = range(0, len(images), batch)
    return np.concatenate([infer(session, {name: images[at : at + batch]}) for at in starts])


def run_on_pixels(model: bytes, images: NDArray[np.uint8], threads: int = 1) -> FloatArray:
    """The model's first output for grey images uint8 [N, 28, 28].

    A model with the input `pixels` takes them as they are; for another they are normalised as its
    own metadata (`input_mean`, `input_std`) says.

    Raises:
        OnnxInvalid: the metadata lacks them, or as `run` does.
    """
    session = open_session(model, threads)
    if not takes_pixels(session):
        return run(model, normalise(images, *normalisation(session)), threads=threads)
    pixels, starts = images[:, np.newaxis], range(0, len(images), BATCH)
    return np.concatenate(
        [infer(session, pixel_feed(session, pixels[at : at + BATCH])) for at in starts]
    )


def takes_pixels(session: "onnxruntime.InferenceSession") -> bool:
    """Whether raw grey levels may be given to it, uint8 [N, 1, 28, 28] as `pixels`."""
    return PIXELS in {value.name for value in session.get_overridable_initializers()}


def pixel_feed(
    session: "onnxruntime.InferenceSession", pixels: NDArray[np.uint8]
) -> dict[str, NDArray[Any]]:
    """Grey levels alone: the other input, which has no default, gets no image."""
    return {session.get_inputs()[0].name: np.empty((0, 1, 28, 28), np.float32), PIXELS: pixels}


def normalisation(session: "onnxruntime.InferenceSession") -> tuple[float, float]:
    """Mean and deviation of the pixels that the model was trained on, as shares of 255.

    Raises:
        OnnxInvalid: its metadata does not say.
    """
    metadata = session.get_modelmeta().custom_metadata_map
    try:
        return float(metadata["input_mean"]), float(metadata["input_std"])
    except (KeyError, ValueError) as error:
        problem = f"its metadata does not say how images are normalised ({error})"
        raise OnnxInvalid([problem]) from error


def open_session(model: bytes, threads: int = 1) -> "onnxruntime.InferenceSession":
    """A session of a self-contained model, on as many threads.

    Raises:
        OnnxInvalid: the runtime refuses it, or its weights lie elsewhere.
    """
    import onnxruntime

    # A session made from bytes still reads external data that lies in the working directory.
    if problems := list(external_problems(parse(model))):
        raise OnnxInvalid(problems)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # its errors come as exceptions; the log would repeat them
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a class per status, with no common base
        raise OnnxInvalid([f"onnxruntime refuses it: {first_line(error)}"]) from error


def infer(session: "onnxruntime.InferenceSession", feed: Mapping[str, NDArray[Any]]) -> FloatArray:
    """The first output.

    Raises:
        OnnxInvalid: the runtime fails on this input.
    """
    try:
        return np.asarray(session.run(None, dict(feed))[0])
    except Exception as error:  # as in open_session
        raise OnnxInvalid([f"onnxruntime fails: {first_line(error)}"]) from error


def parse(model: bytes) -> "onnx.ModelProto":
    """The model's own description of itself.

    Raises:
        OnnxInvalid: it has none, or it has too many bytes.
    """
    import onnx
    from google.protobuf.message import DecodeError

    if not model:
        raise OnnxInvalid(["the file is empty"])
    if len(model) > MAX_BYTES:
        raise OnnxInvalid([f"it has {len(model):,} bytes, more than the {MAX_BYTES:,} it may have"])
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(model)
    except DecodeError as error:
        raise OnnxInvalid(["the bytes are no ONNX model, or a truncated one"]) from error
    if not proto.graph.node:
        raise OnnxInvalid(["the bytes hold no graph: no ONNX model, or a truncated one"])
    return proto


def external_problems(proto: "onnx.ModelProto") -> Iterator[str]:
    """A sentence for each tensor whose numbers lie in another file."""
    for tensor in _tensors(proto):
        if tensor.data_location == tensor.EXTERNAL or tensor.external_data:
            yield f"the tensor {tensor.name!r} is external data; export with external_data=False"


def _tensors(proto: "onnx.ModelProto") -> Iterator["onnx.TensorProto"]:
    yield from proto.graph.initializer
    for node in proto.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def first_line(error: BaseException) -> str:
    """What a library's error says, without its long tail."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
