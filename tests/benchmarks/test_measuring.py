"""Turns, timelines and augmented data: what the figures rest on."""

from pathlib import Path

import numpy as np
import pytest

from mc_assets import idx
from speed.augmented import write_times
from speed.measuring import BenchmarkError, rounds_of, run_python
from speed.results import Round
from speed.timeline import Span, seconds_of


def test_both_sides_take_turns_and_who_begins_changes() -> None:
    turns: list[str] = []

    def side(name: str, seconds: float) -> float:
        turns.append(name)
        return seconds

    found = rounds_of(3, lambda: side("theirs", 2.0), lambda: side("ours", 1.0))
    assert found == [Round(2.0, 1.0)] * 3
    assert turns == ["theirs", "ours", "ours", "theirs", "theirs", "ours"]


def test_script_that_fails_says_why() -> None:
    assert run_python(["-c", "print(1); print('[2]')"]).said == [2]
    with pytest.raises(BenchmarkError, match=r"exit status 1: .*ValueError: no such thing"):
        run_python(["-c", "raise ValueError('no such thing')"])


def test_what_goes_on_side_by_side_counts_once() -> None:
    spans = [
        Span("a", "training", 0, 10),
        Span("b", "check", 4, 6),
        Span("c", "check", 8, 12),
        Span("d", "step", 0, 100),
        Span("e", "check", 20, 21),
    ]
    assert seconds_of(spans, ("training", "check")) == 13
    assert seconds_of(spans, ("check",)) == 7
    assert seconds_of([], ("check",)) == 0


def test_augmented_files_are_idx_files_the_original_first(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    original, several = tmp_path / "original", tmp_path / "several"
    original.mkdir()
    digits = np.zeros((50, 28, 28), np.uint8)
    digits[:, 8:20, 8:20] = random.integers(1, 256, (50, 12, 12), np.uint8)
    labels = random.integers(0, 10, 50).astype(np.uint8)
    for name, array in (
        (idx.TRAIN_IMAGES, digits), (idx.TRAIN_LABELS, labels),
        (idx.TEST_IMAGES, digits[:10]), (idx.TEST_LABELS, labels[:10]),
    ):  # fmt: skip
        (original / name).write_bytes(idx.write(array))

    assert write_times(3, original, several) == 150
    images = idx.read_images((several / idx.TRAIN_IMAGES).read_bytes())
    assert (images[:50] == digits).all()
    for copy in (images[50:100], images[100:]):
        assert not (copy == digits).all()
        # Moved by at most two pixels, and only weaker: no ink leaves the frame around the digit.
        assert copy[:, 6:22, 6:22].sum() == copy.sum()
        assert (copy.max(axis=(1, 2)) <= digits.max(axis=(1, 2))).all()
        assert (copy.max(axis=(1, 2)) > 0).all()
    assert (images[50:100] != images[100:]).any()
    found = idx.read_labels((several / idx.TRAIN_LABELS).read_bytes())
    assert found.tolist() == labels.tolist() * 3
    assert (several / idx.TEST_IMAGES).read_bytes() == idx.write(digits[:10])
