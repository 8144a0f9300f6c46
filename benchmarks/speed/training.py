"""Benchmark: seconds to an accuracy, and the whole script from its start to the ONNX file."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from speed.epochs import EPOCHS_TO_99
from speed.measuring import BenchmarkError
from speed.results import Goal, Round, Row, alone, compared
from speed.trainings import QUICK, STANDARD, Trained, train_ours, train_walkthrough
from speed.workshop import Workshop

SEEDS, SEEDS_FULL = 5, 10
WALKTHROUGH_EPOCHS = 2


def run(workshop: Workshop) -> Iterator[Row]:
    counted = _counted_epochs(workshop)
    theirs, quick, standard = _trainings(workshop)
    their_accuracy = f"the walkthrough's epoch ends at {_percents(theirs)}"
    yield compared(
        "train to 99.0 %", "s", _rounds(theirs, quick, "loop_seconds", counted["epochs"]),
        goal=Goal("ratio", "at least", 80),
        note=f"the walkthrough's side: {counted['epochs']} epochs (counted on {counted['date']}, "
        f"{counted['settings']}) times the epoch measured in this run",
    )  # fmt: skip
    yield alone(
        "train to 99.0 %: accuracy, worst of the seeds", "%",
        [100 * each.accuracy for each in quick], middle=min, goal=Goal("ours", "at least", 99.0),
    )  # fmt: skip
    yield compared(
        "train to 99.4 %, against one epoch", "s", _rounds(theirs, standard, "loop_seconds"),
        goal=Goal("ratio", "at least", 10), note=their_accuracy,
    )  # fmt: skip
    yield alone(
        "train to 99.4 %: accuracy, mean of the seeds", "%",
        [100 * each.accuracy for each in standard], middle=statistics.mean,
        goal=Goal("ours", "at least", 99.4),
    )  # fmt: skip
    for name, trained in (("99.0 %", quick), ("99.4 %", standard)):
        yield compared(
            f"training script from start to ONNX file, {name}", "s",
            _rounds(theirs, trained, "whole_seconds"),
            note=f"the whole process, imports and export included; {their_accuracy}",
        )  # fmt: skip


def _trainings(workshop: Workshop) -> tuple[list[Trained], list[Trained], list[Trained]]:
    """The walkthrough's epochs between the seeds of ours, so that all see the same minutes."""
    seeds = SEEDS_FULL if workshop.full else SEEDS
    every = -(-seeds // WALKTHROUGH_EPOCHS)
    theirs, quick, standard = [], [], []
    for seed in range(1, seeds + 1):
        if seed % every == 1:
            theirs.append(train_walkthrough(workshop, seed))
        quick.append(train_ours(workshop, QUICK, seed))
        standard.append(train_ours(workshop, STANDARD, seed))
    return theirs, quick, standard


def _rounds(
    theirs: Sequence[Trained], ours: Sequence[Trained], part: str, epochs: int = 1
) -> list[Round]:
    """Every training of ours with the walkthrough's that was nearest before it."""
    every = -(-len(ours) // len(theirs))
    return [
        Round(epochs * getattr(theirs[number // every], part), getattr(each, part))
        for number, each in enumerate(ours)
    ]


def _percents(trained: Sequence[Trained]) -> str:
    accuracies = sorted(100 * each.accuracy for each in trained)
    return f"{accuracies[0]:.2f} to {accuracies[-1]:.2f} %"


def _counted_epochs(workshop: Workshop) -> Mapping[str, Any]:
    counted = workshop.earlier("epochs", EPOCHS_TO_99)
    if counted is None:
        raise BenchmarkError(
            "How many epochs the walkthrough needs to 99.0 % is not among the results: "
            "count them with `make bench-full`, or `--only epochs`."
        )
    return counted.details
