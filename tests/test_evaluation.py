"""mc_assets.evaluation: counts, normalisation and percentiles against values worked out by hand."""

import numpy as np
import pytest

from mc_assets.evaluation import evaluate, normalise, percentiles


def test_evaluate_counts_by_digit_and_by_answer() -> None:
    result = evaluate([0, 1, 1, 2, 9], [0, 1, 2, 2, 9])
    assert (result.n, result.correct, result.accuracy) == (5, 4, 0.8)
    assert result.recall == (1.0, 1.0, 0.5, None, None, None, None, None, None, 1.0)
    assert result.confusion[2][1] == 1
    assert result.confusion[1][2] == 0
    assert sum(map(sum, result.confusion)) == 5
    assert result.wrong == (2,)


def test_evaluate_keeps_whole_counts_of_small_integer_types() -> None:
    ones = np.ones(1000, np.uint8)
    assert evaluate(ones, ones).correct == 1000


@pytest.mark.parametrize(
    ("predicted", "labels"),
    [([1], [1, 2]), ([], []), ([10], [1]), ([-1], [1]), ([1.0], [1]), ([[1]], [[1]])],
)
def test_evaluate_refuses_what_cannot_be_compared(predicted: list, labels: list) -> None:
    with pytest.raises(ValueError, match=r"compared|digits"):
        evaluate(predicted, labels)


def test_normalise_gives_what_the_network_was_trained_on() -> None:
    images = np.zeros((2, 28, 28), np.uint8)
    images[1, 3, 4] = 255
    result = normalise(images, 0.1307, 0.3081)
    assert (result.shape, result.dtype) == ((2, 1, 28, 28), np.float32)
    assert result[0, 0, 0, 0] == pytest.approx(-0.42421296, abs=1e-6)
    assert result[1, 0, 3, 4] == pytest.approx(2.8214867, abs=1e-6)


@pytest.mark.parametrize(
    ("images", "std"),
    [
        (np.zeros((1, 28, 28), np.float32), 1.0),
        (np.zeros((1, 27, 28), np.uint8), 1.0),
        (np.zeros((28, 28), np.uint8), 1.0),
        (np.zeros((1, 28, 28), np.uint8), 0.0),
        (np.zeros((1, 28, 28), np.uint8), float("nan")),
    ],
)
def test_normalise_refuses_other_input(images: np.ndarray, std: float) -> None:
    with pytest.raises(ValueError, match=r"uint8|deviation"):
        normalise(images, 0.0, std)


def test_percentiles_are_in_milliseconds() -> None:
    latency = percentiles([n / 1000 for n in range(1, 102)])
    assert (latency.p50, latency.p95, latency.p99) == pytest.approx((51, 96, 100))
    with pytest.raises(ValueError, match="no latencies"):
        percentiles([])
