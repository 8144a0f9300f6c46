"""The two kinds of images a model is asked about, and the checks that every body has to pass."""

import numpy as np
from numpy.typing import NDArray

from bad_input import BadInput, empty_batch

IMAGE_SHAPE = (1, 28, 28)
PIXELS = 784

# Far outside any normalised pixel, far inside what a float32 network can multiply without overflow.
LARGEST_VALUE = 1e6

GreyLevels = NDArray[np.uint8]  # [N, 1, 28, 28], 0 is black
Normalised = NDArray[np.float32]  # [N, 1, 28, 28], as the model's metadata says
Images = GreyLevels | Normalised


def grey_levels(data: bytes) -> GreyLevels:
    """The images of N x 784 raw bytes, row by row; a view, not a copy.

    Raises:
        BadInput: 400 for no bytes, or for part of an image.
    """
    if not data:
        raise empty_batch()
    if len(data) % PIXELS:
        raise BadInput(
            400,
            "Wrong length",
            f"Expected a multiple of {PIXELS} bytes (28 x 28 an image), found {len(data)} bytes.",
        )
    return np.frombuffer(data, np.uint8).reshape(-1, *IMAGE_SHAPE)


def first_out_of_range(numbers: NDArray[np.floating]) -> int | None:
    """Where, in reading order, the first number is that no model is asked about; NaN is one."""
    # A comparison that NaN fails as well.
    in_range = np.abs(numbers) <= LARGEST_VALUE
    return None if in_range.all() else int(in_range.argmin())
