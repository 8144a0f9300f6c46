"""What a model.onnx must be before it may serve: structure, signature, and agreement with torch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mc_assets.evaluation import normalise

if TYPE_CHECKING:
    import onnx
    import onnxruntime

# The newest operator set the function's runtime is held to; a newer one is refused before it fails.
MAX_OPSET = 22
# Twice a generous model of this size; a plan's package limit is far above it.
MAX_BYTES = 64 * 1024 * 1024
TRIED_BATCHES = (1, 2, 33)

_STANDARD_DOMAINS = ("", "ai.onnx")

FloatArray = NDArray[np.float32]


class OnnxInvalid(ValueError):  # noqa: N818 - what it says of the model
    """The model may not serve; `problems` holds every reason, and the text lists them."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("The ONNX model may not serve: " + "; ".join(problems) + ".")


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """One input or output; a free dimension is None."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class OnnxFacts:
    """What a sound model says of itself; size in bytes."""

    opset: int
    ir_version: int
    producer: str
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    parameters: int
    size: int
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Parity:
    """How far two sets of outputs are apart: over all numbers, and in the class they choose."""

    max_abs: float
    max_rel: float
    flips: int
    n: int


EXPECTED_INPUT = TensorFacts("input_0", "float32", (None, 1, 28, 28))
EXPECTED_OUTPUT = TensorFacts("output_0", "float32", (None, 10))


def check_structure(model: bytes, max_opset: int = MAX_OPSET) -> OnnxFacts:
    """The facts of a self-contained model of standard operators that ONNX's own checker accepts.

    External data is refused outright: onnx and onnxruntime disagree on hard links to it.

    Raises:
        OnnxInvalid: anything else, every problem found.
    """
    proto = _parse(model)
    problems = list(_structure_problems(proto, max_opset))
    # The checker trusts what the lines above refuse, so it is asked only about the rest.
    problems = problems or list(_checker_problems(proto))
    if problems:
        raise OnnxInvalid(problems)
    return _facts(proto, len(model))


def check_signature(
    model: bytes,
    expected_input: TensorFacts = EXPECTED_INPUT,
    expected_output: TensorFacts = EXPECTED_OUTPUT,
    batches: tuple[int, ...] = TRIED_BATCHES,
) -> None:
    """One input and one output of the expected names, types and shapes, for every batch size.

    A free batch dimension in the file proves nothing, so each size is really run.

    Raises:
        OnnxInvalid: every difference found.
    """
    session = _session(model)
    problems = [
        *_signature_problems("input", session.get_inputs(), expected_input),
        *_signature_problems("output", session.get_outputs(), expected_output),
    ]
    problems = problems or list(_batch_problems(session, expected_input, expected_output, batches))
    if problems:
        raise OnnxInvalid(problems)


def run(model: bytes, images: FloatArray, batch: int = 500, threads: int = 1) -> FloatArray:
    """The model's first output for all images, computed `batch` images at a time.

    Args:
        model: a model that has passed both checks.
        images: float32 [N, 1, 28, 28], normalised.
        batch: images in one call of the runtime, at least 1.
        threads: the runtime's; 1 gives the same bits on every machine of a kind.

    Raises:
        OnnxInvalid: the runtime refuses the model or fails on these images.
    """
    session = _session(model, threads)
    starts = range(0, len(images), batch)
    return np.concatenate([_infer(session, images[at : at + batch]) for at in starts])


def run_on_pixels(model: bytes, images: NDArray[np.uint8], threads: int = 1) -> FloatArray:
    """The model's first output for grey images uint8 [N, 28, 28].

    They are normalised as the model's own metadata (`input_mean`, `input_std`) says.

    Raises:
        OnnxInvalid: the metadata lacks them, or as `run` does.
    """
    metadata = {entry.key: entry.value for entry in _parse(model).metadata_props}
    try:
        mean, std = float(metadata["input_mean"]), float(metadata["input_std"])
    except (KeyError, ValueError) as error:
        problem = f"its metadata does not say how images are normalised ({error})"
        raise OnnxInvalid([problem]) from error
    return run(model, normalise(images, mean, std), threads=threads)


def compare(reference: FloatArray, outputs: FloatArray) -> Parity:
    """How far `outputs` [N, classes] are from `reference` of the same shape.

    The relative difference is taken against the reference, or against 1 where that is smaller: a
    log-probability near 0 would otherwise make any rounding look large.

    Raises:
        ValueError: the shapes differ, there is nothing to compare, or a number is not finite.
    """
    if reference.shape != outputs.shape or reference.ndim != 2 or not len(reference):
        raise ValueError(f"Outputs {outputs.shape} cannot be compared with {reference.shape}.")
    if not (np.isfinite(reference).all() and np.isfinite(outputs).all()):
        raise ValueError("The outputs to compare hold numbers that are not finite.")
    difference = np.abs(outputs.astype(np.float64) - reference)
    flips = reference.argmax(axis=1) != outputs.argmax(axis=1)
    return Parity(
        max_abs=float(difference.max()),
        max_rel=float((difference / np.maximum(np.abs(reference), 1.0)).max()),
        flips=int(flips.sum()),
        n=len(reference),
    )


def _parse(model: bytes) -> "onnx.ModelProto":
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


def _structure_problems(proto: "onnx.ModelProto", max_opset: int) -> Iterator[str]:
    opsets = {imported.domain: imported.version for imported in proto.opset_import}
    for domain in sorted(set(opsets) - set(_STANDARD_DOMAINS)):
        yield f"it imports operators of the domain {domain!r}; only ONNX's own are served"
    version = max((opsets.get(domain, 0) for domain in _STANDARD_DOMAINS), default=0)
    if not 0 < version <= max_opset:
        yield f"its operator set is {version}; the runtime is held to 1 to {max_opset}"
    if proto.functions or proto.training_info:
        yield "it brings functions or training graphs of its own"
    if proto.graph.sparse_initializer:
        yield "it has sparse weights"
    for node in proto.graph.node:
        yield from _node_problems(node)
    yield from _external_problems(proto)


def _external_problems(proto: "onnx.ModelProto") -> Iterator[str]:
    for tensor in _tensors(proto):
        if tensor.data_location == tensor.EXTERNAL or tensor.external_data:
            yield f"the tensor {tensor.name!r} is external data; export with external_data=False"


def _node_problems(node: "onnx.NodeProto") -> Iterator[str]:
    if node.domain not in _STANDARD_DOMAINS:
        yield f"the operator {node.op_type} is of the unknown domain {node.domain!r}"
    for attribute in node.attribute:
        if attribute.HasField("g") or attribute.graphs:
            yield f"the operator {node.op_type} carries a graph of its own"


def _tensors(proto: "onnx.ModelProto") -> Iterator["onnx.TensorProto"]:
    yield from proto.graph.initializer
    for node in proto.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _checker_problems(proto: "onnx.ModelProto") -> Iterator[str]:
    import onnx
    from onnx import checker, shape_inference

    try:
        onnx.checker.check_model(proto, full_check=True)
    except (checker.ValidationError, shape_inference.InferenceError, ValueError) as error:
        yield f"ONNX's checker refuses it: {_first_line(error)}"


def _facts(proto: "onnx.ModelProto", size: int) -> OnnxFacts:
    weights = {tensor.name: tuple(tensor.dims) for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in weights]
    return OnnxFacts(
        opset=max(imported.version for imported in proto.opset_import),
        ir_version=proto.ir_version,
        producer=f"{proto.producer_name} {proto.producer_version}".strip(),
        inputs=tuple(_tensor_facts(value) for value in inputs),
        outputs=tuple(_tensor_facts(value) for value in proto.graph.output),
        parameters=sum(int(np.prod(shape, dtype=np.int64)) for shape in weights.values()),
        size=size,
        metadata={entry.key: entry.value for entry in proto.metadata_props},
    )


def _tensor_facts(value: "onnx.ValueInfoProto") -> TensorFacts:
    import onnx

    tensor = value.type.tensor_type
    dtype = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
    shape = tuple(
        axis.dim_value if axis.HasField("dim_value") else None for axis in tensor.shape.dim
    )
    return TensorFacts(value.name, "float32" if dtype == "float" else dtype, shape)


def _session(model: bytes, threads: int = 1) -> "onnxruntime.InferenceSession":
    import onnxruntime

    # A session made from bytes still reads external data that lies in the working directory.
    if problems := list(_external_problems(_parse(model))):
        raise OnnxInvalid(problems)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # its errors come as exceptions; the log would repeat them
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a class per status, with no common base
        raise OnnxInvalid([f"onnxruntime refuses it: {_first_line(error)}"]) from error


def _signature_problems(kind: str, found: Sequence[Any], expected: TensorFacts) -> Iterator[str]:
    if len(found) != 1:
        names = ", ".join(value.name for value in found) or "none"
        yield f"it has {len(found)} {kind}s ({names}), expected one named {expected.name}"
        return
    value = found[0]
    if value.name != expected.name:
        yield f"its {kind} is named {value.name!r}, expected {expected.name!r}"
    if value.type != "tensor(float)":
        yield f"its {kind} is of type {value.type}, expected {expected.dtype}"
    shape = tuple(axis if isinstance(axis, int) else None for axis in value.shape)
    if shape != expected.shape:
        yield f"its {kind} has the shape {_written(shape)}, expected {_written(expected.shape)}"


def _batch_problems(
    session: "onnxruntime.InferenceSession",
    expected_input: TensorFacts,
    expected_output: TensorFacts,
    batches: tuple[int, ...],
) -> Iterator[str]:
    generator = np.random.default_rng(0)
    for batch in batches:
        images = generator.standard_normal((batch, *_fixed(expected_input))).astype(np.float32)
        try:
            output = _infer(session, images)
        except OnnxInvalid as error:
            yield f"with a batch of {batch}, {'; '.join(error.problems)}"
            continue
        wanted = (batch, *_fixed(expected_output))
        if output.shape != wanted:
            answer = f"{_written(output.shape)}, not {_written(wanted)}"
            yield f"with a batch of {batch} it answers {answer}"
        elif not np.isfinite(output).all():
            yield f"with a batch of {batch} it answers numbers that are not finite"


def _infer(session: "onnxruntime.InferenceSession", images: FloatArray) -> FloatArray:
    try:
        return np.asarray(session.run(None, {session.get_inputs()[0].name: images})[0])
    except Exception as error:  # as in _session
        raise OnnxInvalid([f"onnxruntime fails: {_first_line(error)}"]) from error


def _fixed(tensor: TensorFacts) -> tuple[int, ...]:
    return tuple(axis for axis in tensor.shape[1:] if axis is not None)


def _written(shape: tuple[int | None, ...]) -> str:
    return "[" + ", ".join("N" if axis is None else str(axis) for axis in shape) + "]"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
