"""SageMaker's own API model, the one botocore ships, and what breaks it."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session
from botocore.model import ServiceModel

from mc_assets.local_cloud.aws.errors import AwsError, validation_error

# botocore computes its shapes' attributes in a way that type checkers cannot follow.
Shape = Any

_PYTHON_TYPES = {
    "structure": dict,
    "map": dict,
    "list": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "double": (int, float),
    "float": (int, float),
    "timestamp": (int, float, str),
}


def require_valid(operation: str, request: Any) -> None:
    """Refuse a request that the API model does not allow.

    Raises:
        AwsError: SerializationException for a wrong type; ValidationException for a missing
            member, a value outside its enum or range, or one that its pattern does not match.
            All violations are named in one message, as the service does.
    """
    found = list(violations(_operation(operation).input_shape, request))
    if found:
        plural = "" if len(found) == 1 else "s"
        raise validation_error(
            f"{len(found)} validation error{plural} detected: {'; '.join(found)}"
        )


def output_shape(operation: str) -> Shape:
    """What the operation answers; None where it has nothing to say."""
    return _operation(operation).output_shape


def _operation(name: str) -> Shape:
    return _service_model().operation_model(name)


@cache
def _service_model() -> ServiceModel:
    return botocore.session.get_session().get_service_model("sagemaker")


def violations(shape: Shape, value: Any, where: str = "") -> Iterator[str]:
    """What in a request or an answer its shape does not allow, in the service's own words."""
    _require_type(shape, value, where)
    if shape.type_name == "structure":
        yield from _structure_violations(shape, value, where)
    elif shape.type_name == "list":
        yield from _size_violations(shape, value, len(value), where)
        for index, member in enumerate(value, start=1):
            yield from violations(shape.member, member, f"{where}.{index}.member")
    elif shape.type_name == "map":
        yield from _size_violations(shape, value, len(value), where)
        for key, member in value.items():
            yield from violations(shape.key, key, f"{where}.key")
            yield from violations(shape.value, member, f"{where}.{key}.member")
    elif isinstance(value, str):
        yield from _text_violations(shape, value, where)
    elif not isinstance(value, bool):
        yield from _range_violations(shape, value, where)


def _structure_violations(shape: Shape, value: Any, where: str) -> Iterator[str]:
    for name, member in shape.members.items():
        inner = f"{where}.{_lower_first(name)}".lstrip(".")
        if value.get(name) is not None:
            yield from violations(member, value[name], inner)
        elif name in shape.required_members:
            yield _violation(None, inner, "Member must not be null")


def _text_violations(shape: Shape, value: str, where: str) -> Iterator[str]:
    enum = shape.metadata.get("enum")
    if enum and value not in enum:
        yield _violation(value, where, f"Member must satisfy enum value set: [{', '.join(enum)}]")
    yield from _size_violations(shape, value, len(value), where)
    pattern = shape.metadata.get("pattern")
    if pattern and not _matches(pattern, value):
        yield _violation(value, where, f"Member must satisfy regular expression pattern: {pattern}")


def _size_violations(shape: Shape, value: Any, size: int, where: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and size < low:
        yield _violation(value, where, f"Member must have length greater than or equal to {low}")
    if high is not None and size > high:
        yield _violation(value, where, f"Member must have length less than or equal to {high}")


def _range_violations(shape: Shape, value: float, where: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and value < low:
        yield _violation(value, where, f"Member must have value greater than or equal to {low}")
    if high is not None and value > high:
        yield _violation(value, where, f"Member must have value less than or equal to {high}")


def _violation(value: Any, where: str, constraint: str) -> str:
    shown = "null" if value is None else value
    # Naming the value at null needs no quotes; every other value has them.
    subject = "Value" if value is None else f"Value '{shown}'"
    return f"{subject} at '{where}' failed to satisfy constraint: {constraint}"


def _require_type(shape: Shape, value: Any, where: str) -> None:
    expected = _PYTHON_TYPES.get(shape.type_name, object)
    wrong = not isinstance(value, expected)
    if wrong or (isinstance(value, bool) and shape.type_name != "boolean"):
        raise AwsError(
            "SerializationException",
            f"{where or 'The request'} must be a {shape.type_name}, not {type(value).__name__}.",
        )


def _matches(pattern: str, value: str) -> bool:
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:
        # A few patterns use Java's character classes, which Python does not know.
        return True


def _lower_first(name: str) -> str:
    return name[:1].lower() + name[1:]
