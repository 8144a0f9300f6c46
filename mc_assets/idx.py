"""The IDX file format of MNIST: reading it, writing it, and which four files are the real ones.

Source of the format and of the file names: http://yann.lecun.com/exdb/mnist/ (a magic number, one
big-endian 32-bit length per dimension, then the bytes).
"""

import hashlib
import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"

SIDE = 28
PIXELS = SIDE * SIDE
CLASSES = 10

# How many dimensions either kind of file has.
IMAGES, LABELS = 3, 1

_UNSIGNED_BYTE = 0x08


@dataclass(frozen=True, slots=True)
class KnownFile:
    """What an uncompressed file must be, to the byte."""

    sha256: str
    size: int


MNIST_FILES: Mapping[str, KnownFile] = MappingProxyType(
    {
        TRAIN_IMAGES: KnownFile(
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", 47_040_016
        ),
        TRAIN_LABELS: KnownFile(
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", 60_008
        ),
        TEST_IMAGES: KnownFile(
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", 7_840_016
        ),
        TEST_LABELS: KnownFile(
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", 10_008
        ),
    }
)


def read_images(data: bytes, name: str = "images") -> "NDArray[np.uint8]":
    """Grey images of one IDX file, [N, 28, 28], 0 (paper) to 255 (ink); a read-only view of `data`.

    Raises:
        ValueError: `data` is not exactly one IDX file of 28 x 28 bytes per image.
    """
    return _read(data, name, IMAGES)


def read_labels(data: bytes, name: str = "labels") -> "NDArray[np.uint8]":
    """Digits of one IDX file, [N], 0 to 9; a read-only view of `data`.

    Raises:
        ValueError: `data` is not exactly one IDX file of labels, or a label is no digit.
    """
    labels = _read(data, name, LABELS)
    _require_digits(labels.tobytes(), name)
    return labels


def each_image(chunks: Iterable[bytes], size: int, name: str = "images") -> Iterator[bytes]:
    """The images of one IDX file that arrives in chunks, 28 x 28 bytes each.

    Args:
        size: of the whole file, in bytes.

    Raises:
        ValueError: the file is not exactly one IDX file of 28 x 28 bytes per image.
    """
    left = b""
    for chunk in _data(chunks, size, name, IMAGES):
        left += chunk
        whole = len(left) - len(left) % PIXELS
        yield from (left[first : first + PIXELS] for first in range(0, whole, PIXELS))
        left = left[whole:]


def count_labels(chunks: Iterable[bytes], size: int, name: str = "labels") -> tuple[int, ...]:
    """How often each digit is in one IDX file that arrives in chunks.

    Args:
        size: of the whole file, in bytes.

    Raises:
        ValueError: the file is not exactly one IDX file of labels, or a label is no digit.
    """
    counts, seen = [0] * CLASSES, 0
    for chunk in _data(chunks, size, name, LABELS):
        _require_digits(chunk, name, seen)
        counts = [count + chunk.count(digit) for digit, count in enumerate(counts)]
        seen += len(chunk)
    return tuple(counts)


def write(array: "NDArray[np.uint8]") -> bytes:
    """The IDX file of an array of unsigned bytes, of 1 to 255 dimensions.

    Raises:
        ValueError: the array is of another type, or has no dimension.
    """
    import numpy as np

    if array.dtype != np.uint8 or not array.ndim:
        raise ValueError(
            f"IDX is written from uint8 arrays; this one is {array.dtype}{array.shape}."
        )
    header = struct.pack(f">HBB{array.ndim}I", 0, _UNSIGNED_BYTE, array.ndim, *array.shape)
    return header + array.tobytes()


def check_known(name: str, data: bytes) -> None:
    """Refuse bytes that are not the MNIST file of that name.

    Raises:
        ValueError: the name is none of the four, or size or sha256 differ.
    """
    known = MNIST_FILES.get(name)
    if known is None:
        raise ValueError(f"{name} is none of MNIST's files: {', '.join(MNIST_FILES)}.")
    if len(data) != known.size:
        raise ValueError(f"{name}: {len(data):,} bytes, MNIST's file has {known.size:,}.")
    found = hashlib.sha256(data).hexdigest()
    if found != known.sha256:
        raise ValueError(f"{name}: sha256 is {found}, MNIST's file has {known.sha256}.")


def _read(data: bytes, name: str, dimensions: int) -> "NDArray[np.uint8]":
    import numpy as np

    shape = _shape(data, len(data), name, dimensions)
    return np.frombuffer(data, np.uint8, offset=_header_size(dimensions)).reshape(shape)


def _data(chunks: Iterable[bytes], size: int, name: str, dimensions: int) -> Iterator[bytes]:
    """What follows the header, once that is found to be sound."""
    rest, head = iter(chunks), b""
    while len(head) < _header_size(dimensions) and (chunk := next(rest, b"")):
        head += chunk
    _shape(head, size, name, dimensions)
    yield from chain((head[_header_size(dimensions) :],), rest)


def _shape(head: bytes, size: int, name: str, dimensions: int) -> tuple[int, ...]:
    """The lengths that a file of so many bytes, beginning like this, says that it has."""
    magic = struct.pack(">HBB", 0, _UNSIGNED_BYTE, dimensions)
    if head[:4] != magic:
        hint = " (it is gzip: uncompress it first)" if head[:2] == b"\x1f\x8b" else ""
        raise ValueError(
            f"{name}: the file begins with {head[:4].hex() or 'nothing'}, "
            f"an IDX file of {dimensions} dimension(s) begins with {magic.hex()}{hint}."
        )
    header = _header_size(dimensions)
    if size < header:
        raise ValueError(f"{name}: the file ends inside its header, after {size} bytes.")
    shape = struct.unpack_from(f">{dimensions}I", head, 4)
    expected = header + math.prod(shape)
    if size != expected:
        fault = "is truncated" if size < expected else "has trailing bytes"
        raise ValueError(
            f"{name}: the file {fault}: {size:,} bytes, its header announces {expected:,}."
        )
    if dimensions == IMAGES and shape[1:] != (SIDE, SIDE):
        height, width = shape[1:]
        raise ValueError(f"{name}: the images are {height} x {width}, MNIST's are {SIDE} x {SIDE}.")
    return shape


def _header_size(dimensions: int) -> int:
    return 4 + 4 * dimensions


def _require_digits(labels: bytes, name: str, first: int = 0) -> None:
    if strange := labels.translate(None, bytes(range(CLASSES))):
        where = first + labels.index(strange[0])
        raise ValueError(f"{name}: label {where} is {strange[0]}, which is not a digit 0 to 9.")
