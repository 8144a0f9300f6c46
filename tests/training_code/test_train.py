"""training_code/train.py, from its command line to its four files, on a true subset of MNIST."""

import re
import signal
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnxruntime  # noqa: TID253 - asked beside our own validation
import pytest
import torch  # noqa: TID253 - compared with
from script_mode import Run, environment, start, train

from mc_assets import idx, onnx_validation
from mnist_idx import normalise

ARGV = ("--batch-size", "200", "--epochs", "2", "--log-interval", "1", "--seed", "3")
PARAMETERS = {"compact": 29_322, "walkthrough": 1_199_882}
NO_FLOATS = np.zeros((0, 1, 28, 28), np.float32)
FILES = {"metrics.json", "model.onnx", "model.pt", "reference.npz"}


@pytest.fixture(scope="module")
def finished(mnist_subset: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = train(tmp_path_factory.mktemp("job"), *ARGV, data=mnist_subset)
    assert run.code == 0, run.output
    return run


@pytest.fixture(scope="module", params=["compact", "walkthrough"])
def either(
    request: pytest.FixtureRequest,
    finished: Run,
    mnist_subset: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    """A short training of each network."""
    if request.param == "compact":
        return finished
    argv = ("--arch", request.param, "--epochs", "0.5", "--batch-size", "200")
    run = train(tmp_path_factory.mktemp(request.param), *argv, data=mnist_subset)
    assert run.code == 0, run.output
    return run


def digest(run: Run, name: str) -> str:
    return sha256((run.model / name).read_bytes()).hexdigest()


def answered(model: bytes, **inputs: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns that `pixels` may be given and has a default
    return np.asarray(onnxruntime.InferenceSession(model, options).run(None, inputs)[0])


def test_it_leaves_exactly_four_files(finished: Run) -> None:
    assert {path.name for path in finished.model.iterdir()} == FILES
    assert not (finished.base / "output" / "failure").exists()


def test_it_learns_and_says_so_in_lines_that_metric_definitions_match(finished: Run) -> None:
    number = r"=([0-9.eE+-]+)"
    found = {
        name: [float(value) for value in re.findall(name + number, finished.output)]
        for name in ("train_loss", "test_loss", "test_accuracy")
    }
    assert [len(values) for values in found.values()] == [2, 2, 2]
    assert found["test_accuracy"][1] > 0.5
    assert found["test_loss"][1] < found["test_loss"][0]
    assert re.search(r"50 % epoch 1 step 10/20 loss \d\.\d{4}, \d+ s left", finished.output)


def test_metrics_say_what_was_done(finished: Run) -> None:
    metrics = finished.metrics
    assert metrics["images"] == {"training": 2000, "testing": 500}
    assert metrics["hyperparameters"]["batch_size"] == 200
    assert metrics["steps"] == 20
    assert [epoch["epoch"] for epoch in metrics["epochs"]] == [1, 2]
    assert [epoch["step"] for epoch in metrics["epochs"]] == [10, 20]
    assert metrics["train_loss"] == metrics["epochs"][1]["train_loss"]
    said = re.findall(r"step (\d+)/20 loss (\d\.\d{4})", finished.output)
    assert metrics["losses"] == [[int(step), float(loss)] for step, loss in said]
    assert len(said) == 20
    assert metrics["epochs"][1]["test_accuracy"] == metrics["test_accuracy"]


def test_the_onnx_file_is_valid_and_answers_as_torch_did(either: Run, mnist_subset: Path) -> None:
    model = (either.model / "model.onnx").read_bytes()
    facts = onnx_validation.check_structure(model)
    onnx_validation.check_signature(model)
    assert facts.parameters > PARAMETERS[either.metrics["hyperparameters"]["arch"]]
    assert facts.metadata["classes"] == "0,1,2,3,4,5,6,7,8,9"
    images = idx.read_images((mnist_subset / idx.TEST_IMAGES).read_bytes())
    labels = idx.read_labels((mnist_subset / idx.TEST_LABELS).read_bytes())
    with np.load(either.model / "reference.npz", allow_pickle=False) as reference:
        answers, kept = reference["log_probabilities"], reference["labels"]
    floats = normalise(torch.from_numpy(images.copy()).unsqueeze(1)).numpy()
    outputs = answered(model, input_0=floats)
    for each in (outputs, answered(model, input_0=NO_FLOATS, pixels=images[:, np.newaxis])):
        parity = onnx_validation.compare(answers, each)
        assert (parity.flips, parity.n) == (0, 500)
        assert parity.max_abs < 1e-4
    assert (kept.dtype, kept.tolist()) == (np.uint8, labels.tolist())
    assert np.exp(outputs).sum(axis=1) == pytest.approx(np.ones(500), abs=1e-5)
    assert (outputs.argmax(axis=1) == labels).mean() == either.metrics["test_accuracy"]


def test_floats_and_pixels_are_answered_in_one_call(either: Run, mnist_subset: Path) -> None:
    model = (either.model / "model.onnx").read_bytes()
    images = idx.read_images((mnist_subset / idx.TEST_IMAGES).read_bytes())[:5, np.newaxis].copy()
    floats = normalise(torch.from_numpy(images)).numpy()
    mixed = answered(model, input_0=floats[:3], pixels=images[3:])
    assert mixed == pytest.approx(answered(model, input_0=floats), abs=1e-4)


def test_the_onnx_file_names_no_path_of_the_machine(finished: Run) -> None:
    model = (finished.model / "model.onnx").read_bytes()
    assert b"training_code" not in model
    assert b".py" not in model


def test_the_weights_are_a_state_dict_that_loads_without_running_code(either: Run) -> None:
    weights = torch.load(either.model / "model.pt", weights_only=True)
    trained = {name: value for name, value in weights.items() if value.is_floating_point()}
    assert (
        sum(tensor.numel() for tensor in trained.values())
        >= PARAMETERS[either.metrics["hyperparameters"]["arch"]]
    )
    assert all(tensor.dtype == torch.float32 for tensor in trained.values())


def test_a_stopped_training_leaves_its_checkpoint_and_resumes_to_the_same_bytes(
    finished: Run, mnist_subset: Path, tmp_path: Path
) -> None:
    process = start(list(ARGV), environment(tmp_path, mnist_subset))
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    assert any("step 3/20" in line for line in lines)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=300)
    stopped = Run(tmp_path, process.returncode, output)

    assert stopped.code == 0, output
    assert not stopped.model.exists() or not any(stopped.model.iterdir())
    told = re.search(r"stopped after step (\d+) of 20", output)
    assert told
    steps = int(told[1])
    assert 3 <= steps < 20

    resumed = train(tmp_path, *ARGV, data=mnist_subset)
    assert f"resumed after step {steps} of 20" in resumed.output
    assert resumed.metrics["epochs"] == finished.metrics["epochs"]
    assert resumed.metrics["losses"] == finished.metrics["losses"]
    for name in FILES - {"metrics.json"}:
        assert digest(resumed, name) == digest(finished, name)


def test_a_dry_run_takes_one_step_and_writes_everything(mnist_subset: Path, tmp_path: Path) -> None:
    # As the classic toolkit passes hyperparameters: sorted, booleans capitalised, and unknown ones.
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "training.pt").write_bytes(b"PK half a checkpoint")
    argv = ("--dry-run", "True", "--no-cuda", "False", "--save-model", "True")
    run = train(tmp_path, *argv, data=mnist_subset)
    assert run.code == 0, run.output
    assert "ignored: --save-model True" in run.output
    assert "cannot be read" in run.output
    assert run.metrics["steps"] == 1
    assert {path.name for path in run.model.iterdir()} == FILES


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        ((), "FileNotFoundError: There is no train-images-idx3-ubyte in or below"),
        (("--epochs", "none"), "--epochs: 'none' is not a number above 0"),
        (("--dry-run", "perhaps"), "neither true nor false"),
    ],
)
def test_a_failure_says_why_in_the_failure_file(
    tmp_path: Path, argv: tuple[str, ...], reason: str
) -> None:
    run = train(tmp_path, *argv)
    assert run.code != 0
    assert reason in run.failure
    assert len(run.failure) <= 1024
    assert not run.model.exists()


def test_help_is_quick_to_read_and_needs_no_torch() -> None:
    process = start(["--help"], {"PYTHONPATH": "", "PATH": ""})
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "SM_CHANNEL_TRAINING" in output
    assert "--label-smoothing" in output
