"""No bad model ever serves: every one is stopped, says why, and users see nothing of it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from bad_challengers import Challenger, bad_challengers
from users import users_calling

from mc_assets.local_cloud.settings import LocalSettings
from release_scene import IMAGES, Scene
from tiny_onnx import expected_digits

RATE = 20.0
GATES = {"bake_max_latency_p95_ms": 250, "min_training_accuracy": 0.5}


@pytest.fixture
def scene(local_clouds: LocalSettings, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator:
    """A champion that serves users."""
    name = "bad" if "stopped" in request.node.name else "forced"
    instance = dg.DagsterInstance.ephemeral()
    with Scene.set(name, tmp_path, "flex_consumption", instance).taken_down() as scene:
        scene.package(0)
        ran = scene.release()
        assert ran.success, ran.messages[-10:]
        yield scene


def choose(scene: Scene, challenger: Challenger) -> None:
    scene.use(
        gates=GATES,
        training={"code": challenger.training_code(scene.folder / challenger.name)},
        function_app=scene.function(
            expected_digits(IMAGES, challenger.weights), flaw=challenger.flaw
        ),
    )


def refuse_alone(scene: Scene, challenger: Challenger) -> None:
    """Past the check that stopped it, stage by stage: the next release stage has the verdict, with
    its number."""
    asset, check = challenger.stopped_by.split()
    stage = "staged_endpoint"
    if asset == "staged_endpoint":
        stage = "live_endpoint"
    elif "function_package" not in scene.graph.materialise("function_package").materialised:
        return  # there is nothing to release: such a model cannot even be packed
    refusal = scene.refusal(scene.release(stage), stage)
    assert f"{check}: failed in run" in refusal
    assert challenger.word in refusal


@pytest.mark.timeout(900)
def test_every_bad_challenger_is_stopped_before_a_user_meets_it(
    scene: Scene, tmp_path: Path, times: Callable[[str], int], count: Callable[[str], None]
) -> None:
    chosen = list(bad_challengers())[: times("bad challengers")]
    champion, stopped = scene.live, []
    key = scene.graph.releases.client(champion).key
    body = IMAGES[:3].tobytes()
    with users_calling(champion.url, key, body, RATE, tmp_path) as users:
        for challenger in chosen:
            choose(scene, challenger)
            ran = scene.graph.materialise()
            assert not ran.success, challenger.name
            assert "live_endpoint" not in ran.materialised
            assert challenger.stopped_by in ran.failed_checks, (challenger.name, ran.failed_checks)
            said = ran.checks[challenger.stopped_by]
            assert challenger.word in str(said.description)
            refuse_alone(scene, challenger)
            assert scene.live == champion
            stopped.append(challenger.name)
    count(
        f"bad challengers: {len(stopped)} of {len(chosen)} stopped before a user met them; {users}"
    )
    assert users.failed == []
    assert users.bodies.keys() == {champion.content_version}
    assert len(users.bodies[champion.content_version]) == 1, "byte-identical throughout"


@pytest.mark.timeout(600)
def test_one_forced_past_the_gates_is_stopped_in_staging_or_taken_back(
    scene: Scene, count: Callable[[str], None]
) -> None:
    champion, answer = scene.live, scene.answer().content
    by_name = {challenger.name: challenger for challenger in bad_challengers()}

    choose(scene, by_name["crashes on load"])
    assert not scene.graph.materialise().success
    crashed = scene.release("staged_endpoint", reason="it works on my machine")
    said = scene.refusal(crashed, "staged_endpoint")
    assert "no weights to be found" in said
    assert scene.answer().content == answer

    choose(scene, by_name["slow"])
    assert not scene.graph.materialise().success
    ran = scene.release("live_endpoint", reason="it is only slow today")
    said = scene.refusal(ran)
    assert "failed its bake" in said
    assert "took longer than 250 ms" in said
    assert any("it is only slow today" in line for line in ran.messages)
    assert scene.answer().content == answer
    assert scene.live.version == champion.version
    event = scene.graph.last_materialised("live_endpoint")
    assert event.metadata["refused_version"].value == scene.graph.record("function_package").version
    count("bad challengers forced on: 1 stopped in staging, 1 rolled back by its bake")
