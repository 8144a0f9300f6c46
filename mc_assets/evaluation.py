"""How right a model's answers are, against labels or another model's, and how long they took."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

CLASSES = 10

Standing = Literal["accepted", "worse", "needs decision"]


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
class Mistake:
    """A wrong answer to the image at `place`; confidence is the share given to it, from 0 to 1."""

    place: int
    label: int
    answer: int
    confidence: float


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles in milliseconds."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """Two models on the same images; a difference above 0 is in the challenger's favour.

    Attributes:
        n: images.
        n01: those that the champion alone got right.
        n10: those that the challenger alone got right.
        difference: of the two accuracies.
        lower, upper: its one-sided 95 % confidence bounds.
    """

    n: int
    n01: int
    n10: int
    difference: float
    lower: float
    upper: float


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


def surest_mistakes(outputs: ArrayLike, labels: ArrayLike, most: int) -> tuple[Mistake, ...]:
    """Up to `most` wrong answers, the most confident first, of log-probabilities [N, 10]."""
    scores, truth = np.asarray(outputs, np.float64), _digits(labels, "labels")
    answers = scores.argmax(axis=1)
    top = scores.max(axis=1, keepdims=True)
    # Normalised again, so that the outputs of a model without a softmax are shares as well.
    confidence = 1 / np.exp(scores - top).sum(axis=1)
    wrong = np.flatnonzero(answers != truth)
    surest = wrong[np.argsort(-confidence[wrong], kind="stable")][:most]
    return tuple(
        Mistake(int(place), int(truth[place]), int(answers[place]), float(confidence[place]))
        for place in surest
    )


def compare_paired(
    champion: ArrayLike, challenger: ArrayLike, labels: ArrayLike
) -> PairedComparison:
    """Compare two models' digits [N] image by image.

    Two accuracies alone would hide most of what is known: on MNIST two good models differ on some
    80 of 10,000 images, and only those tell them apart.

    Raises:
        ValueError: the three differ in length, are empty, or hold something that is no digit.
    """
    truth = _digits(labels, "labels")
    first, second = _digits(champion, "champion"), _digits(challenger, "challenger")
    if not len(first) == len(second) == len(truth) or not len(truth):
        raise ValueError(
            f"{len(first)} and {len(second)} answers cannot be compared on {len(truth)} labels."
        )
    n01 = int(((first == truth) & (second != truth)).sum())
    n10 = int(((first != truth) & (second == truth)).sum())
    lower, upper = paired_bounds(n10, n01, len(truth))
    return PairedComparison(len(truth), n01, n10, (n10 - n01) / len(truth), lower, upper)


def paired_bounds(b: int, c: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """One-sided confidence bounds of (b - c) / n, a difference of paired proportions.

    The score interval of Tango, Statistics in Medicine 17 (1998), 891-908: the differences that a
    score test at this level would not reject. It holds its level where b and c are few or none,
    where the textbook's normal interval collapses.

    Args:
        b: pairs in which only the second succeeded.
        c: pairs in which only the first did.
        n: all pairs.
        confidence: of each bound; 0.975 gives the usual two-sided interval of 95 %.
    """
    limit = NormalDist().inv_cdf(confidence)
    return _crossing(b, c, n, limit), _crossing(b, c, n, -limit)


def standing(comparison: PairedComparison, margin: float) -> Standing:
    """Whether a challenger may follow its champion: a test of non-inferiority.

    Accepted is what is beyond doubt less than `margin` worse; worse, what otherwise is worse beyond
    doubt. Between the two, and where no image tells the models apart, a person has to decide.
    """
    if comparison.n01 == comparison.n10 == 0:
        return "needs decision"
    if comparison.lower > -margin:
        return "accepted"
    return "worse" if comparison.upper < 0 else "needs decision"


def _crossing(b: int, c: int, n: int, limit: float) -> float:
    """The difference at which Tango's score, which falls as the difference grows, is `limit`."""
    low, high = -1.0, 1.0
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if _tango_score(b, c, n, middle) > limit else (low, middle)
    return middle


def _tango_score(b: int, c: int, n: int, difference: float) -> float:
    """How many standard errors (b - c) / n lies above `difference`."""
    linear = (2 * n - b + c) * difference - b - c
    free = -c * difference * (1 - difference)
    # The likeliest share of pairs in which only the first succeeds, were `difference` the truth.
    share = (math.sqrt(max(linear**2 - 8 * n * free, 0.0)) - linear) / (4 * n)
    variance = n * (2 * share + difference * (1 - difference))
    distance = b - c - n * difference
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


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
