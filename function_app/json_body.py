"""JSON bodies: normalised numbers, grey levels or base64, each under a key of its own."""

import binascii
import json
from itertools import chain
from typing import Any

import numpy as np

from bad_input import BadInput, empty_batch
from images import (
    IMAGE_SHAPE,
    LARGEST_VALUE,
    GreyLevels,
    Images,
    Normalised,
    first_out_of_range,
    grey_levels,
)
from well_formed_json import read_well_formed

SHAPES = {"data": IMAGE_SHAPE, "pixels": IMAGE_SHAPE[1:]}
KEYS = (*SHAPES, "pixels_base64")


def read_json(body: bytes) -> Images:
    """The images of an object with exactly one of three keys.

    `data` holds N x 1 x 28 x 28 normalised numbers, `pixels` N x 28 x 28 whole numbers from 0 to
    255, and `pixels_base64` the base64 of N x 784 bytes. Other keys are not looked at.

    Raises:
        BadInput: 400 for anything else; the detail names the place.
    """
    images = read_well_formed(body)
    return _read_patiently(body) if images is None else images


def _read_patiently(body: bytes) -> Images:
    document = _parsed(body)
    keys = [key for key in KEYS if isinstance(document, dict) and key in document]
    if len(keys) != 1:
        found = f"found {' and '.join(keys)}" if keys else "found none of them"
        raise BadInput(
            400,
            "No data",
            f"The body must be a JSON object with one of the keys {', '.join(KEYS)}, {found}.",
        )
    key = keys[0]
    if key == "pixels_base64":
        return _from_base64(document[key])
    values = _flattened(key, document[key])
    count = len(document[key])
    return _grey_levels(values, count) if key == "pixels" else _normalised(values, count)


def _parsed(body: bytes) -> Any:
    try:
        # Integers as float too: 10**400 is then an infinity to refuse, not an OverflowError.
        return json.loads(body.decode("utf-8"), parse_int=float)
    except UnicodeDecodeError as error:
        raise BadInput(
            400, "Not UTF-8", f"The body is not UTF-8 text: byte {error.start} does not fit."
        ) from error
    except RecursionError as error:
        raise BadInput(400, "Not readable", "The JSON is nested too deeply.") from error
    except ValueError as error:
        raise BadInput(400, "Not JSON", f"The body is not valid JSON: {error}.") from error


def _from_base64(text: object) -> GreyLevels:
    if not isinstance(text, str):
        raise BadInput(400, "Not base64", "pixels_base64 must be a text.")
    try:
        return grey_levels(binascii.a2b_base64(text, strict_mode=True))
    except ValueError as error:
        raise BadInput(400, "Not base64", f"pixels_base64 is not base64: {error}.") from error


def _flattened(key: str, data: Any) -> list[float]:
    """All numbers in reading order, once every list has its length and holds nothing else."""
    shape = SHAPES[key]
    outline = _outline(data)
    if outline == (0,):
        raise empty_batch()
    if outline[1:] != shape:
        found = " x ".join(map(str, outline)) if outline else "no list"
        wanted = " x ".join(map(str, shape))
        raise BadInput(400, "Wrong shape", f"Expected {key} of N x {wanted}, found {found}.")
    parts = data
    for depth, length in enumerate(shape):
        for index, part in enumerate(parts):
            if not isinstance(part, list) or len(part) != length:
                place = _place(key, index, len(data), depth)
                found = f"{len(part)} values" if isinstance(part, list) else "no list"
                raise BadInput(
                    400, "Wrong shape", f"Expected {length} values in {place}, found {found}."
                )
        parts = list(chain.from_iterable(parts))
    _check_numbers(key, parts, len(data))
    return parts


def _outline(data: Any) -> tuple[int, ...]:
    """The lengths met on the way down the first elements; enough to name a wrong shape."""
    lengths: list[int] = []
    while isinstance(data, list) and len(lengths) < 8:
        lengths.append(len(data))
        data = data[0] if data else None
    return tuple(lengths)


def _check_numbers(key: str, values: list[Any], count: int) -> None:
    # Types are looked at before numpy sees them: it would read "1", true and null as numbers.
    if set(map(type, values)) != {float}:
        index = next(i for i, value in enumerate(values) if type(value) is not float)
        kind = _kind(values[index])
        raise BadInput(400, "Not a number", f"{_place(key, index, count)} is {kind}, not a number.")


def _normalised(values: list[float], count: int) -> Normalised:
    numbers = np.array(values)
    if (index := first_out_of_range(numbers)) is not None:
        place = _place("data", index, count)
        raise BadInput(400, "Not a pixel", f"{place} is not a number within +/-{LARGEST_VALUE:g}.")
    return numbers.astype(np.float32).reshape(count, *IMAGE_SHAPE)


def _grey_levels(values: list[float], count: int) -> GreyLevels:
    numbers = np.array(values)
    # A comparison that NaN fails as well.
    are_levels = (numbers >= 0) & (numbers <= 255) & (np.floor(numbers) == numbers)
    if not are_levels.all():
        place = _place("pixels", int(are_levels.argmin()), count)
        raise BadInput(400, "Not a pixel", f"{place} is not a whole number from 0 to 255.")
    return numbers.astype(np.uint8).reshape(count, *IMAGE_SHAPE)


def _place(key: str, index: int, count: int, depth: int | None = None) -> str:
    position = np.unravel_index(index, (count, *SHAPES[key][:depth]))
    return key + "".join(f"[{i}]" for i in position)


def _kind(value: object) -> str:
    names = {str: "text", bool: "a boolean", list: "a list", dict: "an object"}
    return names.get(type(value), "null")
