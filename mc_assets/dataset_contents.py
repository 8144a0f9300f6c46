"""What four IDX files hold, found out in one pass over each as it arrives; a sample is kept."""

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from mc_assets import idx

# Places that are looked at for a sample of each digit; at most twice as many are kept meanwhile.
SAMPLED = 500
EXAMPLES = 8  # of each digit, at most
LABELS_HEADER = 8  # bytes before the first label

FoundT = TypeVar("FoundT")


@dataclass(frozen=True, slots=True)
class Contents:
    """Images counted, labels by digit; leaked is a test image that is among the training images.

    `samples` holds some training images of each digit; none where there are not as many labels.
    """

    training_images: int
    training_labels: tuple[int, ...]
    test_images: int
    test_labels: tuple[int, ...]
    leaked_images: int
    samples: tuple[tuple[bytes, ...], ...] = ()


def look_through(files: Mapping[str, tuple[Iterator[bytes], int]]) -> Contents:
    """Read every file once.

    Args:
        files: MNIST's file names -> the file's bytes in chunks, and its size. The chunks of a file
            that is unsound are read to their end: it may have more to say of them.

    Raises:
        ValueError: a file is no IDX file of images or of labels.
    """
    tested = _look_at(files, idx.TEST_IMAGES, _digests)
    images: list[bytes] = []
    training, leaked = _look_at(
        files, idx.TRAIN_IMAGES, lambda *file: _leaks(_sampled(images, *file), tested)
    )
    digits = bytearray()
    counts = _look_at(
        files,
        idx.TRAIN_LABELS,
        lambda chunks, size, name: idx.count_labels(_tapped(digits, chunks, size), size, name),
    )
    return Contents(
        training_images=training,
        training_labels=counts,
        test_images=tested.total(),
        test_labels=_look_at(files, idx.TEST_LABELS, idx.count_labels),
        leaked_images=leaked,
        samples=_by_digit(images, digits) if training == sum(counts) else (),
    )


def _look_at(
    files: Mapping[str, tuple[Iterator[bytes], int]],
    name: str,
    look: Callable[[Iterable[bytes], int, str], FoundT],
) -> FoundT:
    chunks, size = files[name]
    try:
        return look(chunks, size, name)
    except ValueError:
        deque(chunks, maxlen=0)
        raise


def _digests(chunks: Iterable[bytes], size: int, name: str) -> Counter[bytes]:
    return Counter(_digest(image) for image in idx.each_image(chunks, size, name))


def _leaks(images: Iterable[bytes], tested: Counter[bytes]) -> tuple[int, int]:
    """How many training images there are, and how many test images are among them."""
    count, found = 0, set()
    for count, image in enumerate(images, 1):  # noqa: B007 - the last one is how many there are
        if (digest := _digest(image)) in tested:
            found.add(digest)
    return count, sum(tested[digest] for digest in found)


def _sampled(kept: list[bytes], chunks: Iterable[bytes], size: int, name: str) -> Iterator[bytes]:
    """The images, of which every so many-th is kept: some of all of them, also of a sorted file."""
    step = _step(size // idx.PIXELS)  # its header is less than an image
    for place, image in enumerate(idx.each_image(chunks, size, name)):
        if place % step == 0:
            kept.append(image)
        yield image


def _tapped(kept: bytearray, chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The chunks of a file of labels, of which those of the images that are kept are kept."""
    step, first = _step(size - LABELS_HEADER), LABELS_HEADER
    for chunk in chunks:
        kept += chunk[first::step]
        first = first - len(chunk) if first >= len(chunk) else (first - len(chunk)) % step
        yield chunk


def _step(count: int) -> int:
    return max(1, count // SAMPLED)


def _by_digit(images: Iterable[bytes], digits: Iterable[int]) -> tuple[tuple[bytes, ...], ...]:
    found: list[list[bytes]] = [[] for _ in range(idx.CLASSES)]
    for image, digit in zip(images, digits, strict=True):
        if len(found[digit]) < EXAMPLES:
            found[digit].append(image)
    return tuple(map(tuple, found))


def _digest(image: bytes) -> bytes:
    """Sixteen bytes for an image's 784, so that of a million test images little is kept."""
    return hashlib.blake2b(image, digest_size=16).digest()
