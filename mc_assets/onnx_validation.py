"""What a model.onnx must be before it may serve: structure, signature, and agreement with torch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mc_assets.evaluation import normalise
from mc_assets.onnx_session import (
    PIXELS,
    FloatArray,
    OnnxInvalid,
    external_problems,
    first_line,
    infer,
    normalisation,
    open_session,
    parse,
    pixel_feed,
    run,
    run_on_pixels,
    takes_pixels,
)

if TYPE_CHECKING:
    import onnx
    import onnxruntime

# The newest operator set the function's runtime is held to; a newer one is refused before it fails.
MAX_OPSET = 22
__all__ = [
    "OnnxFacts",
    "OnnxInvalid",
    "Parity",
    "TensorFacts",
    "check_signature",
    "check_structure",
    "compare",
    "run",
    "run_on_pixels",
]

TRIED_BATCHES = (1, 2, 33)

_STANDARD_DOMAINS = ("", "ai.onnx")
_RUNTIME_TYPES = {"float32": "tensor(float)", "uint8": "tensor(uint8)"}


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
EXPECTED_PIXELS = TensorFacts(PIXELS, "uint8", (None, 1, 28, 28))
# How far the same image's two answers may be apart, as `compare` has it. The normalisation folded
# into the first layer was measured to change a log-probability by up to 8e-6.
MAX_INPUT_DIFFERENCE = 1e-3


def check_structure(model: bytes, max_opset: int = MAX_OPSET) -> OnnxFacts:
    """The facts of a self-contained model of standard operators that ONNX's own checker accepts.

    External data is refused outright: onnx and onnxruntime disagree on hard links to it.

    Raises:
        OnnxInvalid: anything else, every problem found.
    """
    proto = parse(model)
    problems = list(_structure_problems(proto, max_opset))
    # The checker trusts what the lines above refuse, so it is asked only about the rest.
    problems = problems or list(_checker_problems(proto))
    if problems:
        raise OnnxInvalid(problems)
    return _facts(proto, len(model))


def check_signature(model: bytes) -> None:
    """`input_0` and perhaps `pixels` in, `output_0` out, of the expected types, for any batch size.

    A free batch dimension in the file proves nothing, so each size is really run, and the same
    images have to get the same answers through both inputs.

    Raises:
        OnnxInvalid: every difference found.
    """
    session = open_session(model)
    optional = session.get_overridable_initializers()
    problems = [
        *_signature_problems("input", session.get_inputs(), EXPECTED_INPUT),
        *_signature_problems("output", session.get_outputs(), EXPECTED_OUTPUT),
        *(_signature_problems("optional input", optional, EXPECTED_PIXELS) if optional else ()),
    ]
    problems = problems or [each for size in TRIED_BATCHES for each in _tried(session, size)]
    if problems:
        raise OnnxInvalid(problems)


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
    yield from external_problems(proto)


def _node_problems(node: "onnx.NodeProto") -> Iterator[str]:
    if node.domain not in _STANDARD_DOMAINS:
        yield f"the operator {node.op_type} is of the unknown domain {node.domain!r}"
    for attribute in node.attribute:
        if attribute.HasField("g") or attribute.graphs:
            yield f"the operator {node.op_type} carries a graph of its own"


def _checker_problems(proto: "onnx.ModelProto") -> Iterator[str]:
    import onnx
    from onnx import checker, shape_inference

    try:
        onnx.checker.check_model(proto, full_check=True)
    except (checker.ValidationError, shape_inference.InferenceError, ValueError) as error:
        yield f"ONNX's checker refuses it: {first_line(error)}"


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


def _signature_problems(kind: str, found: Sequence[Any], expected: TensorFacts) -> Iterator[str]:
    if len(found) != 1:
        names = ", ".join(value.name for value in found) or "none"
        yield f"it has {len(found)} {kind}s ({names}), expected one named {expected.name}"
        return
    value = found[0]
    if value.name != expected.name:
        yield f"its {kind} is named {value.name!r}, expected {expected.name!r}"
    if value.type != _RUNTIME_TYPES[expected.dtype]:
        yield f"its {kind} is of type {value.type}, expected {expected.dtype}"
    shape = tuple(axis if isinstance(axis, int) else None for axis in value.shape)
    if shape != expected.shape:
        yield f"its {kind} has the shape {_written(shape)}, expected {_written(expected.shape)}"


def _tried(session: "onnxruntime.InferenceSession", batch: int) -> Iterator[str]:
    generator = np.random.default_rng(0)
    images = generator.standard_normal((batch, 1, 28, 28)).astype(np.float32)
    try:
        yield from _answer_problems(infer(session, {EXPECTED_INPUT.name: images}), batch, "")
        if takes_pixels(session):
            grey = generator.integers(0, 256, (batch, 28, 28), np.uint8)
            yield from _pixel_problems(session, grey)
    except OnnxInvalid as error:
        yield f"with a batch of {batch}, {'; '.join(error.problems)}"


def _pixel_problems(
    session: "onnxruntime.InferenceSession", grey: NDArray[np.uint8]
) -> Iterator[str]:
    batch, pixels = len(grey), grey[:, np.newaxis]
    alone = infer(session, pixel_feed(session, pixels))
    if problems := list(_answer_problems(alone, batch, " of pixels")):
        yield from problems
        return
    floats = {EXPECTED_INPUT.name: normalise(grey, *normalisation(session))}
    # Backwards, so that rows in the wrong order are another image's.
    both = infer(session, {**floats, PIXELS: pixels[::-1]})
    if problems := list(_answer_problems(both, 2 * batch, " through both inputs")):
        yield from problems
        return
    for way, answers in {"alone": alone, "beside others": both[batch:][::-1]}.items():
        apart = compare(both[:batch], answers).max_rel
        if apart > MAX_INPUT_DIFFERENCE:
            yield (
                f"with a batch of {batch} the pixels {way} get answers that are {apart:.2g} apart "
                "from those of the same images, normalised"
            )


def _answer_problems(answers: FloatArray, batch: int, kind: str) -> Iterator[str]:
    wanted = (batch, *_fixed(EXPECTED_OUTPUT))
    if answers.shape != wanted:
        found = f"{_written(answers.shape)}, not {_written(wanted)}"
        yield f"with a batch of {batch}{kind} it answers {found}"
    elif not np.isfinite(answers).all():
        yield f"with a batch of {batch}{kind} it answers numbers that are not finite"


def _fixed(tensor: TensorFacts) -> tuple[int, ...]:
    return tuple(axis for axis in tensor.shape[1:] if axis is not None)


def _written(shape: tuple[int | None, ...]) -> str:
    return "[" + ", ".join("N" if axis is None else str(axis) for axis in shape) + "]"
