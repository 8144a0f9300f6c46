"""The drawings: what they show is what they were given, and they are small and always the same."""

import base64
import io
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from PIL import Image

from mc_assets import plots
from mc_assets.evaluation import Mistake, evaluate
from mc_assets.pictures import FULL_DPI, SMALL_DPI
from mc_assets.plots import Drawing
from mc_assets.training_metrics import History
from tiny_onnx import tiny_images

RANDOM = np.random.default_rng(4)
IMAGES = np.zeros((40, 28, 28), np.uint8)
IMAGES[:, 4:24, 12:17] = tiny_images(40)[:, 4:24, 12:17]  # paper, and one stroke
LABELS = np.arange(40) % 10
ANSWERS = np.where(np.arange(40) < 5, 8, LABELS)  # 0 to 4 are taken for an eight
MISTAKES = tuple(Mistake(place, place, 8, 1 - place / 10) for place in range(4))
SAMPLES = [[image.tobytes() for image in IMAGES[digit::10][: digit % 3 + 1]] for digit in range(10)]
HISTORY = History.model_validate(
    {
        "losses": [[50, 1.25], [100, 0.5], [120, 0.25]],
        "epochs": [
            {"epoch": 1, "step": 100, "train_loss": 0.9, "test_loss": 0.4, "test_accuracy": 0.91},
            {"epoch": 2, "step": 120, "train_loss": 0.5, "test_loss": 0.3, "test_accuracy": 0.955},
        ],
    }
)  # fmt: skip
REFERENCE = RANDOM.normal(0, 1, (40, 10))
OUTPUTS = REFERENCE + RANDOM.normal(0, 1e-6, (40, 10))
SECONDS = [0.004 + 0.0001 * call for call in range(50)]
DRAWN: Mapping[str, Callable[[], Drawing]] = {
    "sample_images": lambda: plots.sample_images(SAMPLES),
    "class_balance": lambda: plots.class_balance([6000] * 10, [1000] * 10),
    "training_curves": lambda: plots.training_curves(HISTORY),
    "confusion_matrix": lambda: plots.confusion_matrix(evaluate(ANSWERS, LABELS)),
    "worst_digits": lambda: plots.worst_digits(IMAGES, MISTAKES),
    "parity_differences": lambda: plots.parity_differences(REFERENCE, OUTPUTS, 1e-3),
    "latency_distribution": lambda: plots.latency_distribution(SECONDS, 250),
}


@pytest.fixture(params=DRAWN)
def draw(request: pytest.FixtureRequest) -> Callable[[], Drawing]:
    return DRAWN[request.param]


def texts(drawing: Drawing) -> list[str]:
    return [text.get_text() for axes in drawing.figure.axes for text in axes.texts]


def heights(drawing: Drawing) -> list[float]:
    """Of a histogram's bars."""
    import matplotlib.patches

    (stairs,) = (
        patch
        for patch in drawing.figure.axes[0].patches
        if isinstance(patch, matplotlib.patches.StepPatch)
    )
    return list(stairs.get_data()[0])


def pixels(drawing: Drawing) -> np.ndarray:
    """Of the mosaic that it shows."""
    return np.asarray(drawing.figure.axes[0].images[0].get_array())


def test_the_small_one_is_small_and_the_full_one_is_full(draw: Callable[[], Drawing]) -> None:
    small, full = draw().png(SMALL_DPI), draw().png(FULL_DPI)
    assert len(base64.b64encode(small)) < 30_000
    assert len(full) < 100_000
    width, height = Image.open(io.BytesIO(small)).size
    assert width <= 640
    assert height <= 400
    assert Image.open(io.BytesIO(full)).size == pytest.approx(
        (width * FULL_DPI / SMALL_DPI, height * FULL_DPI / SMALL_DPI), abs=3
    )


def test_it_is_the_same_every_time_and_leaves_no_trace(draw: Callable[[], Drawing]) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    assert draw().png(SMALL_DPI) == draw().png(SMALL_DPI)
    assert dict(mpl.rcParams) == before


def test_nothing_is_drawn_off_the_paper(draw: Callable[[], Drawing]) -> None:
    grey = np.asarray(Image.open(io.BytesIO(draw().png(SMALL_DPI))).convert("L"))
    assert grey.min() < 64, "there is nothing on it"
    edges = [grey[0], grey[-1], grey[:, 0], grey[:, -1]]
    # The palette's white is a mean of whites.
    assert all((edge > 250).all() for edge in edges)


def test_samples_stand_in_the_column_of_their_digit() -> None:
    mosaic = pixels(plots.sample_images(SAMPLES))
    for digit, images in enumerate(SAMPLES):
        left = digit * 30 + 1
        for row in range(3):
            cell = mosaic[row * 30 + 1 :][:28, left : left + 28]
            wanted = images[row] if row < len(images) else bytes(784)
            assert cell.tobytes() == wanted


def test_bars_are_as_high_as_the_counts() -> None:
    training, test = list(range(10, 20)), list(range(10))
    drawing = plots.class_balance(training, test)
    bars = [bar.get_height() for bar in drawing.figure.axes[0].patches]  # pyright: ignore[reportAttributeAccessIssue] they are rectangles
    assert bars == training + test
    assert "145 for training, 45 for tests" in drawing.title


def test_the_curves_go_through_what_was_measured() -> None:
    loss, accuracy = plots.training_curves(HISTORY).figure.axes
    lines = {line.get_label(): np.asarray(line.get_xydata()).tolist() for line in loss.lines}
    assert lines == {
        "one batch": [[50, 1.25], [100, 0.5], [120, 0.25]],
        "training, by epoch": [[100, 0.9], [120, 0.5]],
        "test": [[100, 0.4], [120, 0.3]],
    }
    assert np.asarray(accuracy.lines[0].get_xydata()).tolist() == [[100, 91.0], [120, 95.5]]


@pytest.mark.parametrize("told", ["losses", "epochs"])
def test_half_a_history_is_drawn_as_well(told: str) -> None:
    half = History.model_validate({told: HISTORY.model_dump()[told]})
    assert plots.training_curves(half).png(SMALL_DPI)


def test_every_count_of_the_confusion_is_there_and_the_wrong_ones_are_red() -> None:
    drawing = plots.confusion_matrix(evaluate(ANSWERS, LABELS))
    assert drawing.title == "Answers to each digit: 35 of 40 right"
    assert sorted(texts(drawing)) == ["1"] * 5 + ["3"] * 5 + ["4"] * 5
    shades = np.ma.asarray(drawing.figure.axes[0].images[0].get_array())
    assert shades.count() == 5
    assert [int(shades[digit, 8]) for digit in range(5)] == [1] * 5


def test_a_model_that_is_always_right_has_a_confusion_too() -> None:
    drawing = plots.confusion_matrix(evaluate(LABELS, LABELS))
    assert texts(drawing) == ["4"] * 10
    assert drawing.png(SMALL_DPI)


@pytest.mark.parametrize("count", [1, 10, 11, 30])
def test_the_worst_are_shown_with_what_they_were_taken_for(count: int) -> None:
    mistakes = [Mistake(39 - place, 3, 5, 0.987) for place in range(count)]
    drawing = plots.worst_digits(IMAGES, mistakes)
    assert texts(drawing) == ["3 \u2192 5  99 %"] * count
    mosaic = pixels(drawing)
    for place in range(count):
        row, column = divmod(place, 10)
        cell = mosaic[row * 39 + 1 :][:28, column * 30 + 1 :][:, :28]
        assert cell.tolist() == IMAGES[39 - place].tolist()
    assert drawing.png(SMALL_DPI)


def test_every_image_is_in_the_histogram_of_differences() -> None:
    drawing = plots.parity_differences(REFERENCE, OUTPUTS, 1e-3)
    assert sum(heights(drawing)) == 40
    assert f"at most {np.abs(OUTPUTS - REFERENCE).max():.2g} apart" in drawing.title


@pytest.mark.parametrize("outputs", [REFERENCE, REFERENCE + 5], ids=["equal", "far apart"])
def test_no_difference_and_a_large_one_are_drawn(outputs: np.ndarray) -> None:
    drawing = plots.parity_differences(REFERENCE, outputs, 1e-3)
    assert sum(heights(drawing)) == 40
    assert drawing.png(SMALL_DPI)


@pytest.mark.parametrize(("limit", "shown"), [(10, True), (2000, False)])
def test_the_limit_is_drawn_where_it_is_near(limit: float, shown: bool) -> None:
    drawing = plots.latency_distribution(SECONDS, limit)
    assert sum(heights(drawing)) == 50
    assert (" limit" in texts(drawing)) is shown
    assert f"the p95 may be {limit} ms" in drawing.title
    assert "p50 6.5 ms" in drawing.title
