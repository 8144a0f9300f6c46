"""Releases of one model started at once: one at a time, and the endpoint ends at the last."""

import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from mc_assets.local_cloud.settings import LocalSettings
from mc_assets.resources.endpoint_client import serving
from release_scene import IMAGES, WEIGHTS, Scene
from tiny_onnx import expected_digits, tiny_onnx

TESTS = Path(__file__).parent.parent
REPOSITORY = TESTS.parent
PATIENCE = 900
ENDED = {dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE}


@pytest.fixture
def history(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """One history on disk, with the repository's own settings."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(REPOSITORY / ".dagster" / "dagster.yaml", home)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


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
            events = [
                (event.get_dagster_event().event_type, event.timestamp)
                for event in history.all_logs(run.run_id)
                if event.is_dagster_event and event.step_key == step
            ]
            began = [at for kind, at in events if kind == dg.DagsterEventType.STEP_START]
            ended = [at for kind, at in events if kind in ENDED]
            found += [Turn(step, *pair) for pair in zip(began, ended, strict=True)]
    return sorted(found, key=lambda turn: turn.began)


def refusals(history: dg.DagsterInstance) -> list[str]:
    """Why runs failed, each in a line."""
    failures = [
        event.get_dagster_event().step_failure_data
        for run in history.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
        for event in history.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    ]
    return [
        str((each.user_failure_data and each.user_failure_data.description) or each.error)
        for each in failures
    ]


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

        accepted = codes.count(0)
        taken = turns(history, "atonce")
        assert accepted >= 1, refusals(history)
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
    assert live.version == newest.version, refusals(history)
