"""Drawings of what a run found: numbers and images in, PNG out; no setting of matplotlib's moved.

Axes have fixed places and a histogram is one artist: matplotlib's own layout and a patch for every
bar took most of the time that a drawing cost.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mc_assets.evaluation import Evaluation, Mistake, percentiles
from mc_assets.idx import CLASSES, SIDE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mc_assets.training_metrics import History

WIDTH = 7.6  # inches
BLUE, RED, PALE, INK = "#1f6f8b", "#c8374c", "#a9c7d2", "#222222"
MISTAKES_IN_A_ROW = 10
LEAST_DIFFERENCE = 1e-9  # shown for what is equal to the last bit: a logarithm needs something

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure that is drawn at any size, and what it shows in a few words."""

    title: str
    figure: "Figure"

    def png(self, dpi: int) -> bytes:
        """The same bytes for the same numbers, by the same matplotlib."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from PIL import Image

        self.figure.set_dpi(dpi)
        canvas, buffer = FigureCanvasAgg(self.figure), io.BytesIO()
        canvas.draw()
        drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        # With a palette it has a third of the bytes, and is compressed in a third of the time.
        drawn.quantize(method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
            buffer, "png"
        )
        return buffer.getvalue()


def sample_images(samples: Sequence[Sequence[bytes]]) -> Drawing:
    """Some images of each digit, a column each."""
    title = "Training images"
    rows = list(zip_longest(*samples))
    mosaic = _mosaic([image for row in rows for image in row], columns=CLASSES)
    side = 0.42  # inches
    figure = _figure(side * len(rows) + 0.55, side * CLASSES + 0.2)
    share = side * len(rows) / figure.get_figheight()
    axes = _axes(figure, (0.02, 0.02, 0.96, share - 0.02), title)
    _show_grey(axes, mosaic)
    centres = (np.arange(CLASSES) + 0.5) * (mosaic.shape[1] / CLASSES) - 0.5
    axes.set_xticks(centres, [str(digit) for digit in range(CLASSES)])
    axes.xaxis.tick_top()
    return Drawing(title, figure)


def class_balance(training: Sequence[int], test: Sequence[int]) -> Drawing:
    """How many images of each digit there are."""
    title = f"Images of each digit: {sum(training):,} for training, {sum(test):,} for tests"
    figure = _figure(2.7)
    axes = _axes(figure, (0.08, 0.1, 0.9, 0.76), title)
    digits, width = np.arange(CLASSES), 0.42
    axes.bar(digits - width / 2, training, width, color=BLUE, label="training")
    axes.bar(digits + width / 2, test, width, color=PALE, label="test")
    for digit, count in enumerate(training):
        axes.text(digit - width / 2, count, f"{count:,}", ha="center", va="bottom", fontsize=6.5)
    axes.set_xticks(digits)
    axes.set_ylim(0, 1.22 * max(*training, *test, 1))
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper right")
    return Drawing(title, figure)


def training_curves(history: "History") -> Drawing:
    """Loss by training step, and accuracy on the test images after each epoch."""
    title = "Training"
    figure = _figure(2.7)
    losses = _axes(figure, (0.07, 0.17, 0.48, 0.7), "Loss")
    steps = [epoch.step for epoch in history.epochs]
    if history.losses:
        losses.plot(*zip(*history.losses, strict=True), color=PALE, label="one batch")
    if history.epochs:
        training = [epoch.train_loss for epoch in history.epochs]
        testing = [epoch.test_loss for epoch in history.epochs]
        losses.plot(steps, training, "o-", color=BLUE, markersize=4, label="training, by epoch")
        losses.plot(steps, testing, "o-", color=RED, markersize=4, label="test")
    losses.set_xlabel("training step", fontsize=8)
    losses.set_xlim(left=0)
    losses.set_ylim(bottom=0)
    losses.legend(frameon=False, fontsize=8)
    accuracies = [100 * epoch.test_accuracy for epoch in history.epochs]
    accuracy = _axes(figure, (0.65, 0.17, 0.33, 0.7), "Accuracy on the test images, percent")
    accuracy.plot(steps, accuracies, "o-", color=RED, markersize=4)
    if accuracies:
        place = {"xytext": (0, 6), "textcoords": "offset points", "ha": "center"}
        last = (steps[-1], accuracies[-1])
        accuracy.annotate(f"{accuracies[-1]:.2f}", last, fontsize=8, **place)
    accuracy.margins(0.25, 0.3)
    accuracy.set_xlabel("training step", fontsize=8)
    return Drawing(title, figure)


def confusion_matrix(found: Evaluation) -> Drawing:
    """What was answered to each digit; the stronger the red, the more often it was wrong."""
    title = f"Answers to each digit: {found.correct:,} of {found.n:,} right"
    figure = _figure(4.6)
    axes = _axes(figure, (0.09, 0.1, 0.88, 0.81), title)
    counts = np.array(found.confusion)
    right = np.eye(CLASSES, dtype=bool)
    most = max(int(counts[~right].max()), 1)
    # Masked where there are none: beside a pale red the palette makes white a pale red too.
    wrong = np.ma.masked_array(counts, right | (counts == 0))
    axes.imshow(wrong, cmap="Reds", vmin=0, vmax=1.2 * most, aspect="auto")
    axes.imshow(
        np.ma.masked_array(0.12 * right, ~right), cmap="Blues", vmin=0, vmax=1, aspect="auto"
    )
    for digit, answer in np.argwhere(counts):
        is_dark = digit != answer and counts[digit, answer] > 0.6 * most
        colour = "white" if is_dark else INK
        text = f"{counts[digit, answer]:,}"
        axes.text(answer, digit, text, ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(CLASSES))
    axes.set_yticks(range(CLASSES))
    axes.set_xlabel("answer", fontsize=8)
    axes.set_ylabel("digit", fontsize=8)
    return Drawing(title, figure)


def worst_digits(images: NDArray[np.uint8], mistakes: Sequence[Mistake]) -> Drawing:
    """The wrong answers that the model was surest of: each image, its label and the answer."""
    title = "Wrong, and surest of it: digit \u2192 answer, confidence"
    columns, caption = MISTAKES_IN_A_ROW, 9
    mosaic = _mosaic(
        [images[mistake.place].tobytes() for mistake in mistakes], columns, below=caption
    )
    height, width = mosaic.shape
    inches = WIDTH * 0.96 * height / width
    figure = _figure(inches + 0.45)
    share = inches / figure.get_figheight()
    axes = _axes(figure, (0.02, 0.02, 0.96, share - 0.02), title)
    _show_grey(axes, mosaic)
    axes.set_xticks([])
    corners = _corners(len(mistakes), columns, caption)
    for (top, left), mistake in zip(corners, mistakes, strict=True):
        text = f"{mistake.label} \u2192 {mistake.answer}  {100 * mistake.confidence:.0f} %"
        axes.text(left + SIDE / 2, top + SIDE + 1, text, ha="center", va="top", fontsize=7)
    return Drawing(title, figure)


def parity_differences(reference: NDArray[Any], outputs: NDArray[Any], limit: float) -> Drawing:
    """How far ONNX Runtime's answers [N, 10] are from PyTorch's, the largest of each image."""
    apart = np.abs(outputs.astype(np.float64) - reference).max(axis=1)
    title = f"PyTorch and ONNX Runtime: at most {apart.max():.2g} apart, where {limit:g} may be"
    exponents = np.log10(np.maximum(apart, LEAST_DIFFERENCE))
    first = int(np.floor(exponents.min()))
    last = int(np.ceil(max(exponents.max(), np.log10(limit)) + 0.2))
    figure = _figure(2.5)
    axes = _axes(figure, (0.08, 0.19, 0.9, 0.66), title)
    _histogram(axes, exponents, bins=48)
    axes.axvline(np.log10(limit), color=RED, linewidth=1)
    _label(axes, np.log10(limit), " limit", RED)
    ticks = range(first, last + 1)
    axes.set_xlim(first, last)
    axes.set_xticks(ticks, [f"1e{exponent}" for exponent in ticks])
    axes.set_xlabel("largest difference of an image's ten log-probabilities", fontsize=8)
    axes.set_ylabel("images", fontsize=8)
    return Drawing(title, figure)


def latency_distribution(seconds: Sequence[float], limit_ms: float) -> Drawing:
    """How long each of some calls took."""
    taken = np.asarray(seconds) * 1000
    found = percentiles(seconds)
    title = (
        f"{len(taken)} calls: p50 {found.p50:.1f} ms, p95 {found.p95:.1f} ms, "
        f"p99 {found.p99:.1f} ms; the p95 may be {limit_ms:g} ms"
    )
    figure = _figure(2.5)
    axes = _axes(figure, (0.08, 0.19, 0.9, 0.66), title)
    _histogram(axes, taken, bins=20)
    for value, name in ((found.p50, " p50"), (found.p95, " p95")):
        axes.axvline(value, color=INK, linewidth=1, linestyle=":")
        _label(axes, value, name, INK)
    if limit_ms < 2 * taken.max():
        axes.axvline(limit_ms, color=RED, linewidth=1)
        _label(axes, limit_ms, " limit", RED)
    axes.set_xlim(left=0)
    axes.set_xlabel("milliseconds", fontsize=8)
    axes.set_ylabel("calls", fontsize=8)
    return Drawing(title, figure)


def _figure(height: float, width: float = WIDTH) -> "Figure":
    # Not pyplot: it keeps every figure, and takes longer to import than all the rest.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), facecolor="white")


def _axes(figure: "Figure", box: Box, title: str) -> "Axes":
    axes = figure.add_axes(box)
    axes.set_title(title, fontsize=9, loc="left", color=INK)
    axes.tick_params(labelsize=8, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _show_grey(axes: "Axes", pixels: NDArray[np.uint8]) -> None:
    axes.imshow(pixels, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
    axes.set_yticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _histogram(axes: "Axes", values: NDArray[np.float64], bins: int) -> None:
    counts, edges = np.histogram(values, bins)
    axes.stairs(counts, edges, fill=True, color=BLUE)


def _label(axes: "Axes", place: float, text: str, colour: str) -> None:
    """A word at the upper end of a vertical line."""
    within = axes.get_xaxis_transform()
    axes.text(place, 1.0, text, transform=within, va="top", fontsize=8, color=colour)


def _mosaic(images: Sequence[bytes | None], columns: int, below: int = 0) -> NDArray[np.uint8]:
    """28 x 28 images in rows, with `below` pixels of paper under each; None leaves its place."""
    rows = -(-len(images) // columns)
    mosaic = np.zeros((rows * (SIDE + 2 + below), columns * (SIDE + 2)), np.uint8)
    corners = _corners(len(images), columns, below)
    for (top, left), image in zip(corners, images, strict=True):
        if image is not None:
            pixels = np.frombuffer(image, np.uint8).reshape(SIDE, SIDE)
            mosaic[top : top + SIDE, left : left + SIDE] = pixels
    return mosaic


def _corners(count: int, columns: int, below: int) -> Iterator[tuple[int, int]]:
    for place in range(count):
        row, column = divmod(place, columns)
        yield row * (SIDE + 2 + below) + 1, column * (SIDE + 2) + 1
