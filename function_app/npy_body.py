"""`.npy` bodies: what numpy.save writes, of grey levels or of normalised numbers."""

import io
import math
import tokenize

import numpy as np

from bad_input import BadInput, empty_batch
from images import IMAGE_SHAPE, LARGEST_VALUE, Images, first_out_of_range

DTYPES = (np.dtype(np.uint8), np.dtype("<f4"))
SHAPES = (IMAGE_SHAPE, IMAGE_SHAPE[1:])

Header = tuple[tuple[int, ...], bool, np.dtype]


def read_npy(body: bytes) -> Images:
    """The images of a uint8 or float32 array [N, 28, 28] or [N, 1, 28, 28].

    uint8 are grey levels, float32 normalised numbers. Only the header is given to numpy, which
    reads it as a literal; the numbers are then taken from the body, so that a header can promise
    any size and nothing is allocated for it.

    Raises:
        BadInput: 400 for anything else.
    """
    stream = io.BytesIO(body)
    shape, in_columns, dtype = _header(stream)
    if dtype not in DTYPES or shape[1:] not in SHAPES:
        found = f"{dtype} [{', '.join(map(str, shape))}]"[:200]
        raise BadInput(
            400,
            "Wrong array",
            f"Expected uint8 or float32 [N, 28, 28] or [N, 1, 28, 28], found {found}.",
        )
    if shape[0] == 0:
        raise empty_batch()
    expected = stream.tell() + math.prod(shape) * dtype.itemsize
    if len(body) != expected:
        raise BadInput(
            400,
            "Wrong length",
            f"An array of this shape takes {expected} bytes with its header, found {len(body)}.",
        )
    numbers = np.frombuffer(body, dtype, offset=stream.tell())
    if dtype.kind == "f" and first_out_of_range(numbers) is not None:
        raise BadInput(
            400, "Not a pixel", f"The array holds what is not a number within +/-{LARGEST_VALUE:g}."
        )
    images = numbers.reshape(shape, order="F" if in_columns else "C")
    return np.ascontiguousarray(images).reshape(-1, *IMAGE_SHAPE)


def _header(stream: io.BytesIO) -> Header:
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            return np.lib.format.read_array_header_1_0(stream)
        return np.lib.format.read_array_header_2_0(stream)
    # All that numpy raises for headers made to hurt; the literal is read by Python's own parser.
    except (ValueError, TypeError, SyntaxError, tokenize.TokenError, RecursionError, MemoryError):
        raise BadInput(
            400, "Not a .npy file", "The body does not begin with the header of a .npy file."
        ) from None
