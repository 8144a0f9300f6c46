"""mc_assets.evaluation: every number against one worked out by hand, published or simulated."""

from statistics import NormalDist

import numpy as np
import pytest

from mc_assets.evaluation import (
    Mistake,
    PairedComparison,
    compare_paired,
    evaluate,
    normalise,
    paired_bounds,
    percentiles,
    standing,
    surest_mistakes,
)
from mc_assets.model_settings import Gates


def test_evaluate_counts_by_digit_and_by_answer() -> None:
    result = evaluate([0, 1, 1, 2, 9], [0, 1, 2, 2, 9])
    assert (result.n, result.correct, result.accuracy) == (5, 4, 0.8)
    assert result.recall == (1.0, 1.0, 0.5, None, None, None, None, None, None, 1.0)
    assert result.confusion[2][1] == 1
    assert result.confusion[1][2] == 0
    assert sum(map(sum, result.confusion)) == 5
    assert result.wrong == (2,)


def test_the_surest_mistakes_come_first_and_right_answers_not_at_all() -> None:
    shares = np.full((4, 10), 0.01)
    for place, (answer, share) in enumerate([(3, 0.91), (5, 0.4), (7, 0.8), (7, 0.8)]):
        shares[place] = (1 - share) / 9
        shares[place, answer] = share
    labels = [3, 1, 2, 2]
    expected = (Mistake(2, 2, 7, 0.8), Mistake(3, 2, 7, 0.8), Mistake(1, 1, 5, 0.4))
    # Unnormalised logits mean the same.
    for outputs in (np.log(shares), np.log(shares) + 100):
        found = surest_mistakes(outputs, labels, 5)
        assert [each.place for each in found] == [each.place for each in expected]
        for each, wanted in zip(found, expected, strict=True):
            assert (each.label, each.answer) == (wanted.label, wanted.answer)
            assert each.confidence == pytest.approx(wanted.confidence)
    assert len(surest_mistakes(np.log(shares), labels, 2)) == 2
    assert surest_mistakes(np.log(shares[:1]), labels[:1], 5) == ()


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


def test_compare_paired_counts_the_images_that_tell_two_models_apart() -> None:
    labels = [1, 2, 3, 4, 5]
    found = compare_paired([1, 2, 3, 0, 0], [1, 2, 0, 4, 0], labels)
    assert (found.n, found.n01, found.n10, found.difference) == (5, 1, 1, 0.0)
    better = compare_paired([0, 2, 3, 0, 0], [1, 2, 0, 4, 0], labels)
    assert (better.n01, better.n10, better.difference) == (1, 2, 0.2)
    assert better.lower < better.difference < better.upper
    with pytest.raises(ValueError, match="cannot be compared"):
        compare_paired([1], [1, 2], [1, 2])


def test_paired_bounds_are_tangos() -> None:
    # Airway hyper-responsiveness before and after a transplantation (Bentur et al. 2009): of 21
    # children 1 only before and 7 only after; Fagerland, Lydersen and Laake, Statistics in Medicine
    # 33 (2014), give Tango's 95 % interval as -0.517 to -0.026.
    assert paired_bounds(1, 7, 21, 0.975) == pytest.approx((-0.517, -0.026), abs=5e-4)


@pytest.mark.parametrize(("b", "c", "n"), [(12, 2, 50), (40, 20, 160), (35, 52, 10_000)])
def test_at_its_bounds_the_score_test_is_just_not_rejected(b: int, c: int, n: int) -> None:
    """The score with its nuisance share found by brute force, not by Tango's formula."""
    for bound, limit in zip(paired_bounds(b, c, n), (1.0, -1.0), strict=True):
        shares = np.linspace(max(0.0, -bound) + 1e-9, (1 - abs(bound)) / 2, 2_000_001)
        likelihood = (
            b * np.log(shares + bound)
            + c * np.log(shares)
            + (n - b - c) * np.log(np.maximum(1 - 2 * shares - bound, 1e-300))
        )
        share = shares[likelihood.argmax()]
        score = (b - c - n * bound) / np.sqrt(n * (2 * share + bound - bound**2))
        assert score == pytest.approx(limit * NormalDist().inv_cdf(0.95), abs=2e-3)


def test_paired_bounds_are_symmetric_and_stay_within_one() -> None:
    lower, upper = paired_bounds(3, 9, 40)
    assert paired_bounds(9, 3, 40) == pytest.approx((-upper, -lower))
    assert paired_bounds(0, 5, 5)[0] == -1.0
    assert paired_bounds(0, 0, 100) == pytest.approx((-0.02634, 0.02634), abs=1e-5)


@pytest.mark.parametrize("truth", [(0.004, 0.004), (0.002, 0.006), (0.1, 0.05)])
def test_the_lower_bound_is_above_the_truth_once_in_twenty(truth: tuple[float, float]) -> None:
    n, tries = 10_000, 4_000
    generator = np.random.default_rng(7)
    counts = generator.multinomial(n, (*truth, 1 - sum(truth)), tries)
    too_high = sum(paired_bounds(int(b), int(c), n)[0] > truth[0] - truth[1] for b, c, _ in counts)
    assert 0.035 < too_high / tries < 0.065


def compared(n01: int, n10: int, n: int = 10_000) -> PairedComparison:
    return PairedComparison(n, n01, n10, (n10 - n01) / n, *paired_bounds(n10, n01, n))


@pytest.mark.parametrize(
    ("n01", "n10", "expected"),
    [
        (40, 42, "accepted"),
        (51, 39, "accepted"),  # 12 images fewer, beyond doubt fewer than 40
        (70, 45, "worse"),  # 25 fewer: perhaps 40, and surely some
        (90, 30, "worse"),
        (200, 180, "needs decision"),  # so many differ that 20 fewer may be chance, or 50
        (0, 0, "needs decision"),
    ],
)
def test_a_challenger_is_accepted_or_worse_or_a_matter_for_a_person(
    n01: int, n10: int, expected: str
) -> None:
    assert standing(compared(n01, n10), 0.004) == expected


def test_few_images_decide_nothing() -> None:
    assert standing(compared(1, 0, n=100), 0.004) == "needs decision"
    assert standing(compared(0, 1, n=100), 0.004) == "needs decision"


def test_retraining_with_another_seed_is_normally_accepted() -> None:
    """Equally good models that 51 images tell apart, the most that was measured."""
    generator = np.random.default_rng(11)
    counts = generator.multinomial(10_000, (0.00255, 0.00255, 0.9949), 2_000)
    margin = Gates().champion_margin
    outcomes = [standing(compared(int(c), int(b)), margin) for b, c, _ in counts]
    assert outcomes.count("accepted") / len(outcomes) > 0.98
