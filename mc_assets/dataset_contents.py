"""What four IDX files hold, found out in one pass over each as it arrives: none of it is kept."""

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from mc_assets import idx

FoundT = TypeVar("FoundT")


@dataclass(frozen=True, slots=True)
class Contents:
    """Images counted, labels by digit; leaked is a test image that is among the training images."""

    training_images: int
    training_labels: tuple[int, ...]
    test_images: int
    test_labels: tuple[int, ...]
    leaked_images: int


def look_through(files: Mapping[str, tuple[Iterator[bytes], int]]) -> Contents:
    """Read every file once.

    Args:
        files: MNIST's file names -> the file's bytes in chunks, and its size. The chunks of a file
            that is unsound are read to their end: it may have more to say of them.

    Raises:
        ValueError: a file is no IDX file of images or of labels.
    """
    tested = _look_at(files, idx.TEST_IMAGES, _digests)
    training, leaked = _look_at(
        files, idx.TRAIN_IMAGES, lambda *file: _leaks(idx.each_image(*file), tested)
    )
    return Contents(
        training_images=training,
        training_labels=_look_at(files, idx.TRAIN_LABELS, idx.count_labels),
        test_images=tested.total(),
        test_labels=_look_at(files, idx.TEST_LABELS, idx.count_labels),
        leaked_images=leaked,
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


def _digest(image: bytes) -> bytes:
    """Sixteen bytes for an image's 784, so that of a million test images little is kept."""
    return hashlib.blake2b(image, digest_size=16).digest()
