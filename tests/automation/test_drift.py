"""The drift alarm: a live endpoint whose data has changed, asked by the scheduled check."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from mc_assets import idx
from mc_assets.local_cloud.settings import LocalSettings
from mc_assets.stages.drift import Baseline, compare
from release_scene import Scene

AUTOMATION = {"live_check": {"cron": "0 6 * * *", "max_drop": 0.1}}
FLEX = "flex_consumption"


@pytest.fixture
def scene(
    local_clouds: LocalSettings, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Scene]:
    name = "d" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:8]
    with Scene.set(name, tmp_path, FLEX, dg.DagsterInstance.ephemeral()).taken_down() as scene:
        yield scene


def test_new_data_that_the_live_model_does_badly_on_is_an_alarm(scene: Scene) -> None:
    scene.package(1)
    function = str(scene.folder / f"function-{scene.built}")
    scene.use(function_app=function, automation=AUTOMATION)
    released = scene.release()
    assert released.success, released.messages[-10:]
    at_promotion = released.found("live_endpoint accuracy_drift", "accuracy_at_promotion")
    assert at_promotion == released.found("live_endpoint prediction_accuracy", "accuracy")

    same = scene.graph.run_job("live_check")
    assert same.success
    assert same.materialised == {}
    assert len(same.checks) == 4
    assert same.failed_checks == set()
    assert same.found("live_endpoint accuracy_drift", "drop") == 0

    labels = idx.read_labels((scene.folder / idx.TEST_LABELS).read_bytes()).copy()
    labels[:8] = (labels[:8] + 1) % 10  # of forty
    (scene.folder / idx.TEST_LABELS).write_bytes(idx.write(labels.astype(np.uint8)))
    assert scene.graph.materialise("dataset").success
    drifted = scene.graph.run_job("live_check")
    assert drifted.success, "it warns, and stops nothing"
    assert drifted.failed_checks == {"live_endpoint accuracy_drift"}
    check = drifted.checks["live_endpoint accuracy_drift"]
    assert check.severity is dg.AssetCheckSeverity.WARN
    assert drifted.found("live_endpoint accuracy_drift", "drop") == pytest.approx(0.2)
    assert "less, beyond max_drop 0.1." in str(check.description)
    version = scene.graph.record("dataset").version
    assert drifted.found("live_endpoint accuracy_drift", "dataset") == version
    assert drifted.found("live_endpoint accuracy_drift", "dataset_at_promotion") != version


@pytest.mark.parametrize(("today", "passed"), [(0.98, True), (0.9799, False), (1.0, True)])
def test_a_drop_of_just_as_much_as_is_let_go_passes(today: float, passed: bool) -> None:
    baseline = Baseline(accuracy=0.99, dataset="a", at="then")
    finding = compare(baseline, Baseline(accuracy=today, dataset="b", at="now"), 0.01)
    assert finding.passed is passed
    assert (finding.description is None) is passed
