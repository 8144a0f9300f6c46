"""mc-check: which checks a selection names, what it prints, and how it ends."""

import io
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pytest
from rich.console import Console

from mc_assets.check import JOB, UnknownChoiceError, check, choose
from mc_assets.commands import ROOT
from mc_assets.local_cloud.settings import LocalSettings
from release_scene import Scene
from tiny_onnx import tiny_onnx, tiny_weights

CHECKS = [
    dg.AssetCheckKey(dg.AssetKey(["m", asset]), name)
    for asset, name in (("dataset", "balance"), ("dataset", "shapes"), ("model", "parity"))
]


@pytest.mark.parametrize(
    ("selection", "places"),
    [
        ([], [0, 1, 2]),
        (["m/dataset"], [0, 1]),
        (["m/dataset:shapes"], [1]),
        (["m/model", "m/dataset:balance", "m/model:parity"], [0, 2]),
    ],
)
def test_what_a_selection_names(selection: Sequence[str], places: Sequence[int]) -> None:
    assert list(choose(CHECKS, selection)) == [CHECKS[place] for place in places]


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        ("m/modell", "No asset 'm/modell' has checks; these have: m/dataset, m/model."),
        ("m/dataset:parity", "m/dataset has no check 'parity'; it has: balance, shapes."),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(selection: str, said: str) -> None:
    with pytest.raises(UnknownChoiceError) as refused:
        choose(CHECKS, ["m/model", selection])
    assert str(refused.value) == said


@pytest.fixture
def scene(local_clouds: LocalSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A dataset, and a model of another accuracy than its floor asks for."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(ROOT / ".dagster" / "dagster.yaml", home)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    data = tmp_path / "data"
    data.mkdir()
    return Scene.set("checked", data, "premium", dg.DagsterInstance.ephemeral())


def run(scene: Scene, *selection: str) -> tuple[int, list[str]]:
    out = io.StringIO()
    status = check(scene.graph.defs, selection, Console(file=out))
    return status, out.getvalue().splitlines()


def test_one_check_all_of_an_asset_and_nothing_materialised(scene: Scene) -> None:
    assert run(scene, "checked/dataset:no_leakage") == (0, ["passed   checked/dataset:no_leakage"])
    status, lines = run(scene, "checked/dataset")
    assert status == 0
    assert [line.split()[1] for line in lines] == [
        f"checked/dataset:{name}" for name in ("class_balance", "files_and_shapes", "no_leakage")
    ]
    with dg.DagsterInstance.get() as instance:
        assert [each.job_name for each in instance.get_runs()] == [JOB, JOB]
        assert instance.get_latest_materialization_event(scene.graph.key("dataset")) is None


def test_a_check_that_blocks_ends_with_1_and_its_why(scene: Scene) -> None:
    weights = tiny_weights()
    scene.leave_model(tiny_onnx(weights), weights)
    trained = scene.graph.record("trained_model")
    poor = trained.model_copy(update={"metrics": {"test_accuracy": 0.25}})
    scene.graph.store.write_latest(scene.graph.key("trained_model"), poor)
    status, lines = run(scene, "checked/trained_model")
    assert status == 1
    passed, failed = lines
    assert passed == "passed   checked/trained_model:archive_contents"
    assert failed == (
        "FAILED   checked/trained_model:training_metrics  The training job measured an accuracy of "
        "0.2500, below min_training_accuracy 0.98."
    )


def test_a_check_that_blocks_nothing_may_fail(scene: Scene, tmp_path: Path) -> None:
    dataset = scene.graph.record("dataset")
    training = {name: file for name, file in dataset.files.items() if name.startswith("train")}
    testing = {name.replace("train", "t10k"): file for name, file in training.items()}
    leaky = dataset.model_copy(update={"files": {**training, **testing}})
    scene.graph.store.write_latest(scene.graph.key("dataset"), leaky)
    status, (line,) = run(scene, "checked/dataset:no_leakage")
    assert status == 0
    assert line == (
        "FAILED   checked/dataset:no_leakage  (blocks nothing)  60 of 60 test images are among the "
        "training images."
    )


def test_a_check_that_cannot_run_ends_with_1_and_says_what_to_do(scene: Scene) -> None:
    status, lines = run(scene, "checked/function_package:contents", "checked/dataset:no_leakage")
    assert status == 1
    assert lines[:2] == [
        "passed   checked/dataset:no_leakage",
        "not run  checked/function_package:contents",
    ]
    assert "checked/function_package has no record" in lines[-1]
    assert "Run `dg launch" in lines[-1]


def test_the_command_refuses_what_is_not_there_and_explains_itself(tmp_path: Path) -> None:
    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        code = "from mc_assets.check import main; main()"
        return subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=tmp_path
        )

    refused = command("mnist/onnx_model:paritty")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        "mc-check: mnist/onnx_model has no check 'paritty'; it has: not_worse_than_champion, "
        "parity, signature, structure, test_accuracy.\n"
    )
    helped = command("--help")
    assert helped.returncode == 0
    assert "mc-check mnist/onnx_model:parity" in helped.stdout
