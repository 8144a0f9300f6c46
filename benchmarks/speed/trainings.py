"""One training of either side, in a process of its own, with its parts timed."""

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from speed.measuring import BenchmarkError, run_python
from speed.workshop import TRAINING_CODE, WALKTHROUGH_TRAINING, Workshop, our_training_folders

# Lines that train.py writes right before its first step, and, at --log-interval 1, after each.
BEGUN, STEP_DONE = re.compile(r"\d+ images on "), re.compile(r" step (\d+)/(\d+) loss ")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Hyperparameters of train.py that are for one accuracy, in percent."""

    percent: float
    hyperparameters: Sequence[str]


QUICK = Recipe(99.0, ("--epochs", "0.5", "--shift", "0"))
STANDARD = Recipe(99.4, ())


@dataclass(frozen=True, slots=True)
class Trained:
    """One training: its loop, its whole process, and the share of test images it gets right.

    The loop ends with the last step: the evaluation after it is in neither side's. What ours does
    in between, after each whole epoch (evaluation, checkpoint), is in ours.
    """

    loop_seconds: float
    whole_seconds: float
    accuracy: float


def train_walkthrough(workshop: Workshop, seed: int) -> Trained:
    """One epoch with the walkthrough's numbers: Adadelta, rate 0.1, batches of 100."""
    with tempfile.TemporaryDirectory() as folder:
        ended = run_python(
            [WALKTHROUGH_TRAINING, "--data", workshop.data, "--out", folder, "--seed", str(seed)]
        )
    (epoch,) = ended.said["epochs"]
    return Trained(epoch["train_seconds"], ended.seconds, epoch["accuracy"])


def train_ours(workshop: Workshop, recipe: Recipe, seed: int) -> Trained:
    """train.py as a training job runs it, timed by the lines it writes.

    Raises:
        BenchmarkError: it failed, or wrote other lines than it is known for.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-u", TRAINING_CODE / "train.py"]
        command += [*our_training_folders(workshop, Path(folder)), *recipe.hyperparameters]
        command += ["--seed", str(seed), "--log-interval", "1"]
        started = time.perf_counter()
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            lines = [(time.perf_counter(), line) for line in process.stdout]
        whole = time.perf_counter() - started
        if process.returncode:
            raise BenchmarkError(f"train.py failed: {lines[-1][1].strip() if lines else 'mute'}")
        metrics = json.loads(Path(folder, "model", "metrics.json").read_bytes())
    return Trained(_loop_seconds(lines), whole, metrics["test_accuracy"])


def _loop_seconds(lines: Sequence[tuple[float, str]]) -> float:
    begun = [at for at, line in lines if BEGUN.search(line)]
    steps = [(at, found) for at, line in lines if (found := STEP_DONE.search(line))]
    if not begun or not steps or steps[-1][1][1] != steps[-1][1][2]:
        raise BenchmarkError("train.py's log lines are not those that its loop is timed by.")
    return steps[-1][0] - begun[0]
