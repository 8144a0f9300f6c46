"""A release broken off amid its bake: users end with what was live, by itself or by hand."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from mc_assets.artifacts import FunctionPackage
from mc_assets.local_cloud.settings import LocalSettings
from mc_assets.stages.restoring import Ledger
from release_scene import Scene

TESTS = Path(__file__).parent.parent
REPOSITORY = TESTS.parent
PATIENCE = 120
# Long enough to be met amid it.
BAKE_SECONDS = "60"


@pytest.fixture(params=["flex_consumption", "premium"])
def plan(request: pytest.FixtureRequest, times: Callable[[str], int]) -> str:
    if request.param == "premium" and times("releases broken off") == 1:
        pytest.skip("not in the sample")
    return request.param


@pytest.fixture
def scene(
    local_clouds: LocalSettings,
    history: dg.DagsterInstance,
    plan: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Scene]:
    name = "b" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:8]
    with Scene.set(name, tmp_path, plan, history).taken_down() as scene:
        yield scene


def broken_off(scene: Scene, *signals: signal.Signals) -> tuple[FunctionPackage, int]:
    """A newer version whose release gets these signals while it is baked; the release's exit."""
    package = scene.package(9)
    function = str(scene.folder / f"function-{scene.built}")
    (scene.folder / "go").touch()
    process = subprocess.Popen(
        [
            *(sys.executable, str(Path(__file__).with_name("one_release.py"))),
            *(scene.name, scene.plan, str(scene.folder), function, BAKE_SECONDS),
        ],
        env={
            **os.environ,
            "DAGSTER_HOME": scene.graph.instance.root_directory,
            "PYTHONPATH": f"{REPOSITORY}:{TESTS}",
        },
        stdout=(scene.folder / "released").open("wb"),
        stderr=subprocess.STDOUT,
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while scene.serving != package.content_version:
            assert process.poll() is None, (scene.folder / "released").read_text()[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(1)  # warmed up, and called by the bake
        if signal.SIGINT in signals:  # as Dagster's UI terminates a run
            history = scene.graph.instance
            history.report_run_canceling(history.get_runs(limit=1)[0])
        for each in signals:
            process.send_signal(each)
            time.sleep(0.5)
        return package, process.wait(PATIENCE)
    finally:
        process.kill()
        process.wait()


def last_status(scene: Scene) -> dg.DagsterRunStatus:
    return scene.graph.instance.get_runs(limit=1)[0].status


def test_an_interrupted_release_takes_itself_back_and_can_be_made_again(
    scene: Scene, count: Callable[[str], None]
) -> None:
    [one] = scene.live_after(1)
    answer = scene.answer().content
    package, code = broken_off(scene, signal.SIGINT, signal.SIGINT)
    assert code != 0
    assert last_status(scene) == dg.DagsterRunStatus.CANCELED
    assert (scene.serving, scene.live.version) == (one.content_version, one.version)
    assert scene.answer().content == answer
    again = scene.release()
    assert again.success, "an interrupt says nothing against the version"
    assert scene.serving == package.content_version
    count(f"{scene.plan}: a release interrupted twice in its bake took itself back")


def test_after_a_release_that_was_killed_a_rollback_leads_to_what_is_written_down(
    scene: Scene, count: Callable[[str], None]
) -> None:
    older, one = scene.live_after(1, 2)
    package, code = broken_off(scene, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert (scene.serving, scene.live.version) == (package.content_version, one.version)

    back = scene.roll_back()
    assert back.success, back.messages[-10:]
    assert f"Going from version {package.version[:12]} to {one.version[:12]}." in back.messages
    assert (scene.serving, scene.live.version) == (one.content_version, one.version)
    ledger = Ledger(scene.graph.store, scene.graph.lifecycle.settings())
    assert not ledger.refusal(one)
    assert "was taken back in run" in scene.refusal(scene.release())

    further = scene.roll_back()
    assert further.success, further.messages[-10:]
    assert (scene.serving, scene.live.version) == (older.content_version, older.version)
    count(f"{scene.plan}: a release killed in its bake was taken back by the rollback job")


def test_after_a_release_that_was_killed_the_next_run_bakes_it(scene: Scene) -> None:
    [one] = scene.live_after(1)
    package, _ = broken_off(scene, signal.SIGKILL)
    again = scene.release()
    assert again.success, again.messages[-10:]
    assert again.metadata("live_endpoint", "bake_images") == 40
    assert (scene.live.version, scene.live.previous) == (package.version, one.package)
    assert scene.serving == package.content_version
