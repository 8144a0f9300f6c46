"""How right a model's answers are and how long they took: counts and percentiles, plain numpy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

CLASSES = 10


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Answers against labels; shares go from 0 to 1.

    Attributes:
        n: answers compared.
        correct: how many were right.
        accuracy: `correct / n`.
        recall: for each digit, the share of its images recognised; None where there was none.
        confusion: 10 x 10 counts, a row per label, a column per answer.
        wrong: places of the wrong answers, in order.
    """

    n: int
    correct: int
    accuracy: float
    recall: tuple[float | None, ...]
    confusion: tuple[tuple[int, ...], ...]
    wrong: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles in milliseconds."""

    p50: float
    p95: float
    p99: float


def evaluate(predicted: ArrayLike, labels: ArrayLike) -> Evaluation:
    """Compare predicted digits [N] with labels [N].

    Raises:
        ValueError: the two differ in length, are empty, or hold something that is no digit.
    """
    answers, truth = _digits(predicted, "predicted"), _digits(labels, "labels")
    if len(answers) != len(truth) or not len(truth):
        raise ValueError(f"{len(answers)} answers cannot be compared with {len(truth)} labels.")
    confusion = np.zeros((CLASSES, CLASSES), np.int64)
    np.add.at(confusion, (truth, answers), 1)
    hits, images = confusion.diagonal(), confusion.sum(axis=1)
    return Evaluation(
        n=len(truth),
        correct=int(hits.sum()),
        accuracy=float(hits.sum() / len(truth)),
        recall=tuple(
            float(hit / total) if total else None for hit, total in zip(hits, images, strict=True)
        ),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        wrong=tuple(int(place) for place in np.flatnonzero(answers != truth)),
    )


def normalise(images: NDArray[np.uint8], mean: float, std: float) -> NDArray[np.float32]:
    """Grey images uint8 [N, 28, 28] as a network takes them: float32 [N, 1, 28, 28].

    Args:
        images: 0 to 255.
        mean: of the training images' pixels, as a share of 255.
        std: their standard deviation, likewise, above 0.

    Raises:
        ValueError: the images are of another type or shape, or `std` is not above 0.
    """
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (28, 28):
        raise ValueError(f"Images are uint8 [N, 28, 28]; these are {images.dtype} {images.shape}.")
    if not std > 0:
        raise ValueError(f"The standard deviation is {std}; it must be above 0.")
    scaled = images.astype(np.float32) / np.float32(255)
    return ((scaled - np.float32(mean)) / np.float32(std))[:, np.newaxis]


def percentiles(seconds: Sequence[float]) -> Latency:
    """The latencies' median, 95th and 99th percentile, in milliseconds.

    Raises:
        ValueError: there are none.
    """
    if not len(seconds):
        raise ValueError("There are no latencies to take percentiles of.")
    p50, p95, p99 = np.percentile(np.asarray(seconds, np.float64) * 1000, (50, 95, 99))
    return Latency(float(p50), float(p95), float(p99))


def _digits(values: ArrayLike, name: str) -> NDArray[np.int64]:
    array = np.asarray(values)
    whole = array.ndim == 1 and (np.issubdtype(array.dtype, np.integer) or not array.size)
    if not whole or (array.size and not 0 <= array.min() <= array.max() < CLASSES):
        raise ValueError(f"{name} is not a list of digits from 0 to 9.")
    return array.astype(np.int64)
