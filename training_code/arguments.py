"""The command line of train.py: hyperparameters as SageMaker passes them, and folders."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from container import folder

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Hyperparameters:
    """What decides the weights, together with the data, the machine and torch's version.

    The names are the walkthrough's. The network and the recipe are not: see network.py.
    """

    arch: str
    batch_size: int
    test_batch_size: int
    epochs: float
    lr: float
    gamma: float
    warm_up: float
    weight_decay: float
    label_smoothing: float
    shift: int
    target_accuracy: float
    holdout: int
    seed: int
    precision: str
    no_cuda: bool
    dry_run: bool


@dataclass(frozen=True)
class Arguments:
    """One call of train.py."""

    hyperparameters: Hyperparameters
    training: Path
    testing: Path
    model_dir: Path
    output_dir: Path
    log_interval: int
    unknown: tuple[str, ...]


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Arguments:
    """Read the command line; arguments this script does not know are kept aside, not refused.

    Raises:
        argparse.ArgumentError: a value is not of its kind, or out of its range.
    """
    known, unknown = _parser(environ).parse_known_args(argv)
    values = vars(known)
    names = Hyperparameters.__dataclass_fields__
    return Arguments(
        hyperparameters=Hyperparameters(**{name: values.pop(name) for name in names}),
        unknown=tuple(unknown),
        **values,
    )


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="train.py",
        description="Train a network on MNIST and write model.onnx, model.pt, metrics.json and "
        "reference.npz. Runs inside a SageMaker training job, or on its own.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        exit_on_error=False,
        allow_abbrev=False,
    )
    _add_hyperparameters(parser.add_argument_group("hyperparameters"))
    _add_folders(parser.add_argument_group("folders"), environ)
    return parser


def _add_hyperparameters(group: argparse._ArgumentGroup) -> None:
    def add(name: str, kind: Callable[[str], object], default: object, text: str) -> None:
        group.add_argument(name, type=kind, default=default, help=text, metavar="VALUE")

    def switch(name: str, text: str) -> None:
        group.add_argument(
            name, type=_boolean, nargs="?", const=True, default=False, help=text, metavar="BOOL"
        )

    add("--arch", str, "compact", "the network, by its name in network.py")
    add("--batch-size", _positive, 64, "images in one training step")
    add("--test-batch-size", _positive, 250, "images in one step of the evaluation")
    add("--epochs", _rate, 1.4, "passes over the training images; 1.4 ends within the second")
    add("--lr", _rate, 0.2, "highest learning rate")
    add("--gamma", _rate, 1.0, "factor on the learning rate after every epoch")
    add("--warm-up", _fraction, 0.15, "share of the training in which the rate rises to --lr")
    add("--weight-decay", _fraction, 0.002, "L2 penalty on the weights")
    add("--label-smoothing", _fraction, 0.05, "share of the target spread over all classes")
    add("--shift", _whole, 1, "pixels by which each image is moved at most, at random, every time")
    add("--target-accuracy", _fraction, 0.0, "stop once held-out images reach it; 0 is never")
    add("--holdout", _positive, 5000, "last training images, held out if there is a target")
    add("--seed", int, 1, "of the initial weights, the order of the images and the dropout")
    group.add_argument(
        "--precision",
        choices=["auto", "float32", "bfloat16"],
        default="auto",
        help="of the training steps; auto takes bfloat16 where the processor has it in hardware",
    )
    switch("--no-cuda", "train on the CPU even if there is a GPU")
    switch("--dry-run", "one training step only, then everything else as usual")
    add("--log-interval", _positive, 50, "training steps between two lines of progress")


def _add_folders(group: argparse._ArgumentGroup, environ: Mapping[str, str]) -> None:
    def add(name: str, variable: str, text: str) -> None:
        default = folder(environ, variable)
        group.add_argument(
            name, type=Path, default=default, metavar="PATH", help=f"{text} [{variable}]"
        )

    add("--training", "SM_CHANNEL_TRAINING", "train-images and train-labels lie in or below it")
    add("--testing", "SM_CHANNEL_TESTING", "t10k-images and t10k-labels lie in or below it")
    add("--model-dir", "SM_MODEL_DIR", "where the four files go; checkpoints/ lies beside it")
    add("--output-dir", "SM_OUTPUT_DIR", "where the file named failure goes")


def _boolean(text: str) -> bool:
    # Both spellings of SageMaker's two ways of passing hyperparameters: "True" and "true".
    values = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return values[text.lower()]


def _positive(text: str) -> int:
    return _checked(text, int, "a whole number of at least 1", lambda value: value >= 1)


def _whole(text: str) -> int:
    return _checked(text, int, "a whole number of at least 0", lambda value: value >= 0)


def _rate(text: str) -> float:
    return _checked(text, float, "a number above 0", lambda value: 0 < value < float("inf"))


def _fraction(text: str) -> float:
    return _checked(text, float, "a number from 0 to below 1", lambda value: 0 <= value < 1)


def _checked(
    text: str, kind: Callable[[str], Number], wanted: str, allowed: Callable[[Number], bool]
) -> Number:
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not allowed(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return value
