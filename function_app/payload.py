"""What clients send: bodies in, normalised images (float32 [N, 1, 28, 28]) or BadInput out."""

import json
from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

IMAGE_SHAPE = (1, 28, 28)
PIXELS = 784

# Far outside any normalised pixel, far inside what a float32 network can multiply without overflow.
LARGEST_VALUE = 1e6

Images = NDArray[np.float32]


class BadInput(Exception):  # noqa: N818 - the name says whose error it is
    """A request the client has to change: a 4xx status, a short title, what was wrong with it."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail


def grey_levels(mean: float, std: float) -> NDArray[np.float32]:
    """The normalised value of each of the 256 grey levels, float32 [256].

    Divided, shifted and scaled in float32 one step at a time, as torchvision's ToTensor and
    Normalize do it, so that a pixel means bit for bit what it meant in training.
    """
    scaled = np.arange(256, dtype=np.float32) / np.float32(255)
    return (scaled - np.float32(mean)) / np.float32(std)


def read_images(headers: Mapping[str, str], body: bytes, levels: NDArray[np.float32]) -> Images:
    """Read a body as its content-type says; one without a content-type is taken for JSON.

    Args:
        headers: looked up by lower-case name.
        body: `{"data": N x 1 x 28 x 28 normalised numbers}` as `application/json`, or N x 784
            raw bytes, row by row, as `application/octet-stream`.
        levels: what each raw byte means, from `grey_levels`.

    Raises:
        BadInput: 400 for a body that cannot be read, 415 for a type or encoding not offered.
    """
    encoding = headers.get("content-encoding") or "identity"
    if encoding.strip().lower() != "identity":
        raise BadInput(
            415,
            "Unsupported content encoding",
            f"The body must be sent unencoded, found content-encoding {encoding[:80]!r}.",
        )
    content_type = headers.get("content-type") or "application/json"
    match content_type.partition(";")[0].strip().lower():
        case "application/json":
            return _from_json(body)
        case "application/octet-stream":
            return _from_pixels(body, levels)
    raise BadInput(
        415,
        "Unsupported content type",
        "The content type must be application/json or application/octet-stream, "
        f"found {content_type[:80]!r}.",
    )


def read_flag(params: Mapping[str, str], name: str) -> bool:
    """Read `true` or `false` from the query; an absent flag is false.

    Raises:
        BadInput: 400 for any other value.
    """
    value = params.get(name, "false").strip().lower()
    if value not in ("true", "false"):
        raise BadInput(
            400, "Wrong query", f"{name} must be true or false, found {params[name][:80]!r}."
        )
    return value == "true"


def _from_pixels(body: bytes, levels: NDArray[np.float32]) -> Images:
    if not body:
        raise _empty_batch()
    if len(body) % PIXELS:
        raise BadInput(
            400,
            "Wrong length",
            f"Expected a multiple of {PIXELS} bytes (28 x 28 an image), found {len(body)} bytes.",
        )
    return levels[np.frombuffer(body, np.uint8)].reshape(-1, *IMAGE_SHAPE)


def _from_json(body: bytes) -> Images:
    document = _parsed(body)
    if not isinstance(document, dict) or "data" not in document:
        raise BadInput(400, "No data", 'The body must be a JSON object with the key "data".')
    data = document["data"]
    outline = _outline(data)
    if outline == (0,):
        raise _empty_batch()
    if outline[1:] != IMAGE_SHAPE:
        found = " x ".join(map(str, outline)) if outline else "no list"
        raise BadInput(400, "Wrong shape", f"Expected data of N x 1 x 28 x 28, found {found}.")
    return _numbers(_flattened(data), len(data))


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


def _outline(data: Any) -> tuple[int, ...]:
    """The lengths met on the way down the first elements; enough to name a wrong shape."""
    lengths: list[int] = []
    while isinstance(data, list) and len(lengths) < 8:
        lengths.append(len(data))
        data = data[0] if data else None
    return tuple(lengths)


def _flattened(data: list[Any]) -> list[Any]:
    parts = data
    for depth, length in enumerate(IMAGE_SHAPE):
        for index, part in enumerate(parts):
            if not isinstance(part, list) or len(part) != length:
                place = _place(index, len(data), depth)
                found = f"{len(part)} values" if isinstance(part, list) else "no list"
                raise BadInput(
                    400, "Wrong shape", f"Expected {length} values in {place}, found {found}."
                )
        parts = list(chain.from_iterable(parts))
    return parts


def _numbers(values: list[Any], count: int) -> Images:
    # Types are looked at before numpy sees them: it would read "1", true and null as numbers.
    if set(map(type, values)) != {float}:
        index = next(i for i, value in enumerate(values) if type(value) is not float)
        place, kind = _place(index, count, 3), _kind(values[index])
        raise BadInput(400, "Not a number", f"{place} is {kind}, not a number.")
    numbers = np.array(values)
    in_range = np.abs(numbers) <= LARGEST_VALUE  # false for NaN too, which Python's JSON knows
    if not in_range.all():
        place = _place(int(in_range.argmin()), count, 3)
        raise BadInput(400, "Not a pixel", f"{place} is not a number within +/-{LARGEST_VALUE:g}.")
    return numbers.astype(np.float32).reshape(count, *IMAGE_SHAPE)


def _place(index: int, count: int, depth: int) -> str:
    position = np.unravel_index(index, (count, *IMAGE_SHAPE[:depth]))
    return "data" + "".join(f"[{i}]" for i in position)


def _kind(value: object) -> str:
    names = {str: "text", bool: "a boolean", list: "a list", dict: "an object"}
    return names.get(type(value), "null")


def _empty_batch() -> BadInput:
    return BadInput(400, "Empty batch", "Expected at least one image, found none.")
