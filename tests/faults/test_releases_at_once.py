"""Releases of one model started at once: one at a time, and the endpoint ends at the last."""

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from mc_assets.artifacts import FunctionPackage
from mc_assets.evaluation import compare_paired, standing
from mc_assets.local_cloud.settings import LocalSettings
from mc_assets.resources.endpoint_client import serving
from mc_assets.resources.release_pool import ALONE
from release_scene import IMAGES, WEIGHTS, Scene
from tiny_onnx import expected_digits, tiny_onnx

TESTS = Path(__file__).parent.parent
REPOSITORY = TESTS.parent
PATIENCE = 900
MARGIN = {"champion_margin": 0.1}
# What a run that lost to a later one says; any other way to fail would be a release lost.
# The last: a run stages the newest package, which another has just made and not yet checked.
GAVE_WAY = (
    "is older than the newest",
    "displaced by a later release",
    "clean_process: never ran",
)
ENDED = {
    dg.DagsterEventType.STEP_OUTPUT,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_UP_FOR_RETRY,
}


@dataclass(frozen=True)
class Turn:
    """One step that touched the endpoints."""

    step: str
    began: float
    ended: float


def turns(history: dg.DagsterInstance, model: str) -> list[Turn]:
    """What held the release pool, in order, from the event log."""
    found = []
    for run in history.get_runs():
        for asset in ("staged_endpoint", "live_endpoint"):
            step = f"{model}__{asset}"
            events = [event for event in history.all_logs(run.run_id) if event.step_key == step]
            began = [each.timestamp for each in events if each.user_message.startswith(ALONE)]
            ended = [each.timestamp for each in events if _kind(each) in ENDED]
            found += [Turn(step, *pair) for pair in zip(began, ended, strict=True)]
    return sorted(found, key=lambda turn: turn.began)


def _kind(event: dg.EventLogEntry) -> dg.DagsterEventType | None:
    return event.dagster_event.event_type if event.dagster_event else None


def refusals(history: dg.DagsterInstance) -> dict[str, str]:
    """Why each run failed: what its steps that failed said, and its checks."""
    failed = history.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    return {run.run_id: " ".join(_faults(history, run.run_id)) for run in failed}


def _faults(history: dg.DagsterInstance, run_id: str) -> Iterator[str]:
    for entry in history.all_logs(run_id):
        if not entry.is_dagster_event:
            continue
        event = entry.get_dagster_event()
        if event.event_type == dg.DagsterEventType.STEP_FAILURE:
            failure = event.step_failure_data
            told = failure.user_failure_data and failure.user_failure_data.description
            yield str(told or failure.error)
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            found = event.asset_check_evaluation_data
            if not found.passed:
                yield f"{found.check_name}: {found.description}"


def exit_codes_of_all_at_once(
    folder: Path, functions: list[str], environ: dict[str, str]
) -> list[int]:
    """One process for each function, all let go at the same moment."""
    script = str(Path(__file__).with_name("one_release.py"))
    processes = [
        subprocess.Popen(
            [sys.executable, script, "atonce", "premium", str(folder), function],
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for function in functions
    ]
    try:
        while len(list(folder.glob("ready-*"))) < len(functions):
            assert all(process.poll() is None for process in processes)
            time.sleep(0.1)
        (folder / "go").touch()
        return [process.wait(PATIENCE) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.timeout(1800)
def test_releases_at_once_go_one_at_a_time_and_the_last_accepted_is_live(
    local_clouds: LocalSettings,
    history: dg.DagsterInstance,
    tmp_path: Path,
    times: Callable[[str], int],
    count: Callable[[str], None],
) -> None:
    number = times("releases at once")
    ephemeral = dg.DagsterInstance.ephemeral()
    with Scene.set("atonce", tmp_path, "premium", ephemeral).taken_down() as scene:
        scene.leave_model(tiny_onnx(WEIGHTS), WEIGHTS)
        assert scene.graph.check("onnx_model").success
        functions = [scene.function(expected_digits(IMAGES, WEIGHTS)) for _ in range(number)]
        for turn, function in enumerate(functions):
            with (Path(function) / "function_app.py").open("a") as code:
                code.write(f"# The change that makes this one number {turn}.\n")
        environ = {
            **os.environ,
            "DAGSTER_HOME": history.root_directory,
            "PYTHONPATH": f"{REPOSITORY}:{TESTS}",
        }
        codes = exit_codes_of_all_at_once(tmp_path, functions, environ)

        accepted, refused = codes.count(0), refusals(history)
        taken = turns(history, "atonce")
        live = scene.live
        assert serving(live.url) == live.content_version
        newest = scene.graph.record("function_package")
        last = history.get_latest_materialization_event(scene.graph.key("live_endpoint"))
    count(
        f"releases at once: {number} runs, {len(taken)} turns on the endpoints, one at a time; "
        f"{accepted} runs accepted, {number - accepted} gave way to a later one"
    )
    assert all(one.ended <= other.began for one, other in itertools.pairwise(taken))
    assert last is not None
    assert last.asset_materialization is not None
    assert last.asset_materialization.tags is not None
    assert last.asset_materialization.tags["dagster/data_version"] == live.version
    assert live.version == newest.version, refused
    assert accepted + len(refused) == number
    for why in refused.values():
        assert any(words in why for words in GAVE_WAY), why


def weights_right_on(images: int, better_than: np.ndarray | None = None) -> np.ndarray:
    """Weights that get so many of the forty test images right; beyond doubt better than others."""
    truth = expected_digits(IMAGES, WEIGHTS)
    for seed in range(10_000):
        noise = np.random.default_rng(seed).normal(0, 0.08, WEIGHTS.shape).astype(np.float32)
        found = expected_digits(IMAGES, WEIGHTS + noise)
        if sum(one == other for one, other in zip(found, truth, strict=True)) != images:
            continue
        if better_than is None:
            return WEIGHTS + noise
        compared = compare_paired(expected_digits(IMAGES, better_than), found, truth)
        if standing(compared, MARGIN["champion_margin"]) == "accepted":
            return WEIGHTS + noise
    raise LookupError(f"No weights are right on {images} images.")


def judge(scene: Scene, weights: np.ndarray) -> str:
    """What its comparison with the champion says of a model that a run has just made."""
    scene.use(gates=MARGIN)
    scene.leave_model(tiny_onnx(weights), weights)
    return scene.graph.check("onnx_model").found("onnx_model not_worse_than_champion", "outcome")


def pack(scene: Scene, weights: np.ndarray) -> FunctionPackage:
    scene.use(gates=MARGIN, function_app=scene.function(expected_digits(IMAGES, weights)))
    assert scene.graph.materialise("function_package").success
    return scene.graph.record("function_package")


@pytest.mark.parametrize("second", ["better", "worse"])
def test_of_two_judged_by_one_champion_the_second_is_judged_again(
    local_clouds: LocalSettings, tmp_path: Path, second: str
) -> None:
    """Both were better than what was live as they were judged. That one is not any more."""
    champion = weights_right_on(20)
    fair, good = weights_right_on(24, better_than=champion), WEIGHTS
    first, other = (fair, good) if second == "better" else (good, fair)
    instance = dg.DagsterInstance.ephemeral()
    name = f"two{second}"
    with Scene.set(name, tmp_path, "flex_consumption", instance).taken_down() as scene:
        assert judge(scene, champion) == "no champion"
        old = pack(scene, champion)
        assert scene.release().success
        assert judge(scene, first) == "accepted"
        newer = pack(scene, first)
        assert scene.release("staged_endpoint").success
        # Meanwhile another run trains, and compares with what is live still.
        assert judge(scene, other) == "accepted"
        assert scene.release("live_endpoint").success
        assert scene.serving == newer.content_version

        newest = pack(scene, other)
        said = scene.refusal(scene.release("staged_endpoint"), "staged_endpoint")
        assert f"compared with model {old.model.sha256[:12]}" in said
        assert f"but {newer.model.sha256[:12]} is live now" in said
        scene.graph.check("onnx_model")
        ran = scene.release()
        assert ran.success is (second == "better"), ran.messages[-10:]
        if second == "worse":
            said = scene.refusal(ran, "staged_endpoint")
            assert "not_worse_than_champion: failed in run" in said
            assert "Worse: of 40 images" in said
        best = newest if second == "better" else newer
        assert scene.serving == scene.live.content_version == best.content_version
