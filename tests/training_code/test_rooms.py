"""The rooms of training_code, one at a time and in this process."""

import argparse
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch  # noqa: TID253 - training_code computes with it

import checkpoint
from arguments import parse
from container import checkpoint_folder, write_failure
from descent import MOMENTUM, Descent
from fitting import LOSSES, Fitting, learning_rate, loss_interval, shifted, smoothed_loss
from mc_assets import idx
from mnist_idx import load, normalise
from network import build

WALKTHROUGH = ("conv1", "conv2", "fc1", "fc2")


def test_defaults_come_from_the_variables_and_else_from_opt_ml() -> None:
    arguments = parse([], {"SM_MODEL_DIR": "/somewhere/model"})
    assert arguments.model_dir == Path("/somewhere/model")
    assert arguments.training == Path("/opt/ml/input/data/training")
    assert checkpoint_folder(arguments.model_dir) == Path("/somewhere/checkpoints")


@pytest.mark.parametrize(
    ("text", "value"), [("True", True), ("true", True), ("False", False), ("false", False)]
)
def test_booleans_are_read_in_both_spellings(text: str, value: bool) -> None:
    assert parse(["--no-cuda", text], {}).hyperparameters.no_cuda is value
    assert parse(["--no-cuda"], {}).hyperparameters.no_cuda is True


@pytest.mark.parametrize(
    "argv",
    [
        ["--lr", "0"],
        ["--lr", "nan"],
        ["--epochs", "0"],
        ["--label-smoothing", "1"],
        ["--shift", "-1"],
    ],
)
def test_hyperparameters_out_of_range_are_refused(argv: list[str]) -> None:
    with pytest.raises(argparse.ArgumentError):
        parse(argv, {})


def test_the_failure_file_is_cut_at_what_sagemaker_reads(tmp_path: Path) -> None:
    write_failure(tmp_path / "output", ValueError("x" * 5000))
    text = (tmp_path / "output" / "failure").read_text()
    assert text.startswith("ValueError: xxx")
    assert len(text) == 1024


def test_the_failure_names_the_line_of_ours_that_raised(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no network") as caught:
        build("transformer")
    write_failure(tmp_path, caught.value)
    text = (tmp_path / "failure").read_text()
    assert "takes compact, walkthrough" in text
    assert "(network.py, line " in text
    assert str(Path.cwd()) not in text


def test_the_learning_rate_rises_falls_and_shrinks_by_gamma() -> None:
    hyper = parse(["--lr", "1", "--warm-up", "0.2", "--epochs", "2"], {}).hyperparameters
    rates = [learning_rate(hyper, step, 99) for step in range(99)]
    assert max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) == 19
    assert rates[0] == pytest.approx(0.05)
    assert rates[-1] == pytest.approx(0.0125)
    argv = ["--lr", "1", "--gamma", "0.5", "--warm-up", "0.2", "--epochs", "2"]
    shrunk = parse(argv, {}).hyperparameters
    assert learning_rate(shrunk, 60, 99) == pytest.approx(rates[60] / 2)
    assert learning_rate(shrunk, 30, 99) == pytest.approx(rates[30])


def test_the_smoothed_loss_is_cross_entropy_with_soft_targets() -> None:
    output = torch.randn(5, 10, generator=torch.Generator().manual_seed(0)).log_softmax(1)
    labels = torch.tensor([0, 1, 2, 3, 9])
    expected = torch.nn.functional.cross_entropy(output, labels, label_smoothing=0.1)
    assert smoothed_loss(output, labels, 0.1).item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_step_down_is_the_one_of_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    first = [torch.randn(3, 2, generator=generator), torch.randn(4, generator=generator)]
    ours = Descent([weights.clone() for weights in first], weight_decay=0.01)
    theirs = [weights.clone().requires_grad_() for weights in first]
    optimizer = torch.optim.SGD(theirs, lr=0.1, momentum=MOMENTUM, nesterov=True, weight_decay=0.01)
    for _ in range(3):
        gradients = [torch.randn(weights.shape, generator=generator) for weights in first]
        for weights, gradient in zip(theirs, gradients, strict=True):
            weights.grad = gradient.clone()
        optimizer.step()
        ours.step(gradients, 0.1)
    for mine, other in zip(ours.weights, theirs, strict=True):
        torch.testing.assert_close(mine, other.detach())


def test_shifted_images_are_the_same_somewhere_else() -> None:
    torch.manual_seed(0)
    images = torch.zeros(200, 1, 28, 28, dtype=torch.uint8)
    images[:, 0, 10, 12] = 7
    moved = shifted(images, 2)
    assert (moved.shape, moved.dtype) == (images.shape, images.dtype)
    places = {tuple(place) for place in (moved[:, 0] == 7).nonzero()[:, 1:].tolist()}
    assert places == {(y, x) for y in range(8, 13) for x in range(10, 15)}
    assert moved.sum() == images.sum()
    assert shifted(images, 0) is images


def test_it_stops_when_held_out_images_reach_the_target(mnist_subset: Path) -> None:
    training = load(mnist_subset, "train", "training")
    testing = load(mnist_subset, "t10k", "testing")
    argv = ["--target-accuracy", "0.5", "--holdout", "400", "--epochs", "9"]
    fitting = Fitting(parse(argv, {}).hyperparameters, training, testing, torch.device("cpu"))
    saved: list[int] = []
    fitting.run(lambda: saved.append(fitting.step), lambda: False, log_interval=1)
    assert len(fitting.training) == 1600
    assert torch.equal(fitting.holdout.images, training.images[1600:])
    assert fitting.is_done
    assert fitting.step < fitting.total_steps == 9 * 25
    assert saved[-1] == fitting.step
    assert fitting.epochs[-1].test_accuracy > 0.4


def test_with_a_target_too_it_resumes_to_the_same_weights(
    mnist_subset: Path, tmp_path: Path
) -> None:
    training = load(mnist_subset, "train", "training")
    testing = load(mnist_subset, "t10k", "testing")
    argv = ["--target-accuracy", "0.8", "--holdout", "400", "--epochs", "9"]

    def fresh() -> Fitting:
        hyper = parse(argv, {}).hyperparameters
        return Fitting(hyper, training, testing, torch.device("cpu"))

    whole = fresh()
    whole.run(lambda: None, lambda: False, log_interval=100)
    assert whole.has_reached_target

    # Between two looks at the held-out images.
    interrupted, kept, at = fresh(), tmp_path / "training.pt", whole.step // 2 + 1
    interrupted.run(
        lambda: checkpoint.save(kept, interrupted.identity, interrupted.state),
        lambda: interrupted.step == at,
        log_interval=100,
    )
    resumed = fresh()
    state = checkpoint.load(kept, resumed.identity)
    assert state is not None
    resumed.restore(state)
    assert resumed.step == at
    resumed.run(lambda: None, lambda: False, log_interval=100)
    assert (resumed.step, resumed.epochs) == (whole.step, whole.epochs)
    weights = whole.network.state_dict()
    for name, found in resumed.network.state_dict().items():
        assert torch.equal(found, weights[name]), name


@pytest.mark.parametrize("total", [1, 199, 200, 201, 1312, 1_000_003])
@pytest.mark.parametrize("log_interval", [1, 50])
def test_of_many_losses_some_are_kept_evenly(total: int, log_interval: int) -> None:
    interval = loss_interval(total, log_interval)
    assert interval % log_interval == 0
    assert total // interval <= LOSSES
    assert interval == log_interval or total // interval >= LOSSES // 2


def test_a_holdout_that_leaves_nothing_is_refused(mnist_subset: Path) -> None:
    split = load(mnist_subset, "t10k", "testing")
    with pytest.raises(ValueError, match="500 leaves none of 500 images"):
        split.divided(500)


def test_a_diverging_training_fails_instead_of_shipping_nothing_of_worth(
    mnist_subset: Path,
) -> None:
    argv = ["--lr", "1e9", "--warm-up", "0", "--precision", "float32"]
    hyper = parse(argv, {}).hyperparameters
    split = load(mnist_subset, "t10k", "testing")
    fitting = Fitting(hyper, split, split, torch.device("cpu"))
    with pytest.raises(ArithmeticError, match=r"loss is .* at step \d+: lower --lr"):
        fitting.run(save=lambda: None, stop=lambda: False, log_interval=1)


def test_the_network_is_the_walkthroughs() -> None:
    network = build("walkthrough").eval()
    assert sum(weights.numel() for weights in network.parameters()) == 1_199_882
    names = [f"{layer}.{kind}" for layer in WALKTHROUGH for kind in ("weight", "bias")]
    assert list(network.state_dict()) == names
    assert network(torch.zeros(3, 1, 28, 28)).exp().sum(dim=1).tolist() == pytest.approx([1, 1, 1])


def test_files_are_found_in_folders_below_and_normalised(
    mnist_subset: Path, tmp_path: Path
) -> None:
    shutil.copytree(mnist_subset, tmp_path / "MNIST" / "raw")
    split = load(tmp_path, "t10k", "testing")
    assert (tuple(split.images.shape), len(split)) == ((500, 1, 28, 28), 500)
    assert split.labels[:5].tolist() == [7, 2, 1, 0, 4]
    whole = normalise(split.images)
    assert whole.mean().item() == pytest.approx(0, abs=0.05)
    assert whole.std().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("images", "labels", "reason"),
    [
        (idx.write(np.zeros((2, 28, 28), np.uint8))[:-1], None, "damaged"),
        (idx.write(np.zeros((2, 28, 27), np.uint8)), None, "damaged"),
        (b"\x1f\x8b zipped", None, "uncompressed IDX"),
        (None, idx.write(np.zeros(3, np.uint8)), "3 labels"),
        (None, idx.write(np.array([1, 10], np.uint8)), "not a digit"),
        (
            idx.write(np.zeros((0, 28, 28), np.uint8)),
            idx.write(np.zeros(0, np.uint8)),
            "holds nothing",
        ),
    ],
)
def test_damaged_files_are_refused(
    tmp_path: Path, images: bytes | None, labels: bytes | None, reason: str
) -> None:
    whole = (idx.write(np.zeros((2, 28, 28), np.uint8)), idx.write(np.zeros(2, np.uint8)))
    (tmp_path / idx.TRAIN_IMAGES).write_bytes(whole[0] if images is None else images)
    (tmp_path / idx.TRAIN_LABELS).write_bytes(whole[1] if labels is None else labels)
    with pytest.raises(ValueError, match=reason):
        load(tmp_path, "train", "training")


def test_two_files_of_one_name_are_refused(mnist_subset: Path, tmp_path: Path) -> None:
    shutil.copytree(mnist_subset, tmp_path / "a")
    shutil.copytree(mnist_subset, tmp_path / "b")
    with pytest.raises(ValueError, match="2 times"):
        load(tmp_path, "train", "training")
