"""Releasing: the bake, the way back by itself and by hand, overrides, and what is refused."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import requests

from mc_assets import idx
from mc_assets.artifacts import LiveEndpoint
from mc_assets.local_cloud.settings import LocalSettings
from mc_assets.resources.endpoint_client import serving
from mc_assets.resources.releases import Candidate
from release_scene import Scene
from small_function_apps import gated_app, zipped

PLANS = ("flex_consumption", "premium")


@pytest.fixture(params=PLANS)
def plan(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def scene(local_clouds: LocalSettings, name: str, plan: str, tmp_path: Path) -> Iterator[Scene]:
    with Scene.set(name, tmp_path, plan, dg.DagsterInstance.ephemeral()).taken_down() as scene:
        yield scene


def live_after(scene: Scene, *seeds: int) -> list[LiveEndpoint]:
    """What was live after each of these versions was released."""
    found = []
    for seed in seeds:
        scene.package(seed)
        ran = scene.release()
        assert ran.success, ran.messages[-10:]
        found.append(scene.live)
    return found


@contextmanager
def answer_lost(scene: Scene, record: str) -> Iterator[None]:
    """S3 takes this record the next time it is written, and its answer does not arrive."""
    from botocore.exceptions import EndpointConnectionError

    events, lost = scene.graph.store.client.meta.events, threading.Event()

    def lose(http_response: Any, **_: Any) -> None:
        if f"/records/{scene.name}/{record}.json" in http_response.url and not lost.is_set():
            lost.set()
            raise EndpointConnectionError(endpoint_url=http_response.url)

    events.register("after-call.s3.PutObject", lose)
    try:
        yield
    finally:
        events.unregister("after-call.s3.PutObject", lose)
    assert lost.is_set(), "the record was not written"


def test_a_bad_bake_brings_the_version_before_back_and_says_so(scene: Scene) -> None:
    scene.package(1)
    first = scene.release()
    assert first.success, first.messages[-10:]
    one = scene.live
    assert (one.number, one.previous, one.override) == (1, None, None)
    assert first.metadata("live_endpoint", "reason") == "promoted"
    assert first.metadata("live_endpoint", "bake_calls") == 4
    assert first.metadata("live_endpoint", "bake_images") == 40
    answer = scene.answer().content

    refused = scene.package(2, fault="slow")
    bad = scene.release()
    said = scene.refusal(bad)
    assert f"Package {refused.version[:12]} failed its bake" in said
    assert "longer than 4000 ms" in said
    assert f"serves the version before it again, {one.version[:12]}" in said
    assert scene.serving == one.content_version
    assert scene.answer().content == answer
    assert scene.live == one.model_copy(
        update={"since": scene.live.since, "run_id": bad.result.run_id}
    )
    event = scene.graph.last_materialised("live_endpoint")
    assert event.tags is not None
    assert event.tags["dagster/data_version"] == one.version
    assert scene.graph.times_materialised("live_endpoint", bad.result.run_id) == 1
    assert event.metadata["refused_version"].value == refused.version
    assert "longer than 4000 ms" in str(event.metadata["reason"].value)

    again = scene.refusal(scene.release("live_endpoint"))
    assert f"{refused.version[:12]} was taken back in run {bad.result.run_id}" in again
    assert scene.serving == one.content_version


@pytest.mark.parametrize("plan", ["flex_consumption"])
@pytest.mark.parametrize(
    ("fault", "words"), [("failing", "answered 500"), ("wrong", "its accuracy was 0.0000, below")]
)
def test_a_first_release_that_fails_its_bake_is_not_called_live(
    scene: Scene, fault: str, words: str
) -> None:
    scene.package(1, fault=fault)
    said = scene.refusal(scene.release())
    assert words in said
    assert "no version before it to go back to" in said
    assert scene.graph.record("live_endpoint") is None


def test_back_by_hand_one_step_and_to_a_named_version(scene: Scene) -> None:
    for seed in (1, 2):
        scene.package(seed)
        assert scene.release().success
    two = scene.live
    assert two.number == 2
    scene.package(3, fault="failing")
    assert two.version[:12] in scene.refusal(scene.release())
    scene.package(4)
    assert scene.release().success
    four = scene.live
    assert (four.number, four.previous) == (3, two.package)

    back = scene.roll_back(reason="users complain")
    assert back.success, back.messages[-10:]
    assert (scene.live.version, scene.serving) == (two.version, two.content_version)
    event = scene.graph.last_materialised("live_endpoint")
    assert event.metadata["reason"].value == "rolled back: users complain"
    assert scene.graph.times_materialised("live_endpoint", back.result.run_id) == 1
    assert event.metadata["refused_version"].value == four.version
    alone = scene.refusal(scene.release("live_endpoint"))
    assert f"taken back in run {back.result.run_id}: users complain" in alone

    further = scene.roll_back()
    assert further.success, "never the refused one, and not the one just left"
    assert scene.live.number == 1
    nothing = scene.roll_back()
    assert not nothing.success
    said = nothing.failure(f"{scene.name}_roll_back")
    assert "Nothing was live before" in said
    assert two.version[:12] in said

    forth = scene.roll_back(to_version=four.version[:8])
    assert forth.success
    assert (scene.live.number, scene.serving) == (3, four.content_version)
    unknown = scene.roll_back(to_version="0123456789")
    assert not unknown.success
    said = unknown.failure(f"{scene.name}_roll_back")
    assert all(version[:12] in said for version in (two.version, four.version))
    assert scene.serving == four.content_version


def test_what_was_displaced_from_staging_is_staged_again(scene: Scene) -> None:
    scene.package(1)
    assert scene.release().success
    built = scene.package(2)
    assert scene.release("staged_endpoint").success
    staged = scene.graph.record("staged_endpoint")

    other, store = scene.package(3), scene.graph.store
    hosting = scene.graph.lifecycle.settings().hosting_in(store.target.connection.subscription_id)
    stranger = Candidate(store.read(other.package), other.content_version)
    scene.graph.releases.stage(hosting, stranger, redeploy=False, log=lambda _: None)
    assert serving(staged.url) == stranger.content_version
    looked = scene.graph.check("staged_endpoint")
    assert not looked.success
    description = looked.checks["staged_endpoint prediction_accuracy"].description
    assert "displaced by a later release" in str(description)

    older = scene.refusal(scene.release("live_endpoint"))
    assert f"package {built.version[:12]} is older than the newest" in older
    assert "prediction_accuracy: failed in run" in older
    ran = scene.release("live_endpoint", reason="the newest is not ready")
    assert ran.success, ran.messages[-10:]
    assert scene.serving == built.content_version
    assert ran.metadata("live_endpoint", "override_reason") == "the newest is not ready"
    assert len(ran.metadata("live_endpoint", "overridden")) == 3
    assert scene.live.override is not None
    assert scene.live.override.reason == "the newest is not ready"


@pytest.mark.parametrize("plan", ["flex_consumption"])
def test_without_a_way_back_nothing_is_released(scene: Scene) -> None:
    scene.package(1)
    assert scene.release().success
    one, store = scene.live, scene.graph.store
    scene.package(2)
    assert scene.release("staged_endpoint").success
    store.client.delete_object(Bucket=store.bucket, Key=one.package.key)
    said = scene.refusal(scene.release("live_endpoint"))
    assert f"The package {one.version[:12]} is gone" in said
    assert scene.serving == one.content_version
    gone = scene.roll_back(to_version=one.version)
    assert not gone.success
    assert "no way back" in gone.failure(f"{scene.name}_roll_back")


@pytest.mark.parametrize("plan", ["flex_consumption"])
def test_a_release_without_its_test_set_ends_before_users_see_it(scene: Scene) -> None:
    [one], store = live_after(scene, 1), scene.graph.store
    scene.package(2)
    assert scene.release("staged_endpoint").success
    images = scene.graph.record("dataset").files[idx.TEST_IMAGES]
    store.client.delete_object(Bucket=store.bucket, Key=images.key)
    assert images.uri in scene.refusal(scene.release("live_endpoint"))
    assert scene.serving == one.content_version


def test_what_fails_after_the_promotion_is_undone_and_then_tried_again(scene: Scene) -> None:
    [one] = live_after(scene, 1)
    two = scene.package(2)
    assert scene.release("staged_endpoint").success
    with answer_lost(scene, "live_endpoint"):
        ran = scene.release("live_endpoint")
    assert ran.success, ran.messages[-10:]
    assert any(f"Having {one.version[:12]} serve" in line for line in ran.messages)
    assert scene.serving == two.content_version
    assert (scene.live.version, scene.live.previous) == (two.version, one.package)


@pytest.mark.parametrize("plan", ["premium"])
def test_a_rollback_whose_last_answer_was_lost_goes_back_one_step(scene: Scene) -> None:
    _, two, three = live_after(scene, 1, 2, 3)
    with answer_lost(scene, "live_endpoint"):
        ran = scene.roll_back()
    assert ran.success, ran.messages[-10:]
    assert f"Going from version {three.version[:12]} to {two.version[:12]}." in ran.messages
    assert (scene.live.version, scene.serving) == (two.version, two.content_version)


@pytest.mark.parametrize("plan", ["flex_consumption"])
def test_what_is_still_being_deployed_does_not_overtake_a_rollback(
    scene: Scene, tmp_path: Path
) -> None:
    [one] = live_after(scene, 1)
    gate = tmp_path / "gate"
    waiting = {
        file: text.replace('os.environ["GATE"]', repr(str(gate)))
        for file, text in gated_app("what a run that was killed has sent").items()
    }
    azure = scene.graph.azure
    hosting = scene.graph.lifecycle.settings().hosting_in(azure.target.connection.subscription_id)
    app = azure.find_app(hosting, hosting.app_name)
    assert app is not None
    sent = requests.post(
        f"{app.scm_url}/api/publish?RemoteBuild=true",
        data=zipped(waiting),
        headers={"Authorization": f"Bearer {azure.scm_token()}"},
        timeout=30,
    )
    assert sent.status_code == 202
    assert scene.serving == one.content_version
    threading.Timer(2, gate.touch).start()
    ran = scene.roll_back(to_version=one.version)
    assert ran.success, ran.messages[-10:]
    assert any("is under way, begun before" in line for line in ran.messages)
    assert gate.exists()
    assert scene.serving == one.content_version
    assert scene.graph.releases.scm.let_end(app, print) is False


@pytest.mark.parametrize("plan", ["premium"])
def test_a_model_that_was_taken_back_is_not_released_in_another_function(scene: Scene) -> None:
    one, two = live_after(scene, 1, 2)
    assert scene.roll_back(reason="users complain of this model").success
    code = scene.folder / f"function-{scene.built}" / "function_app.py"
    code.write_text(code.read_text() + "# a typo mended\n")
    assert scene.graph.materialise("function_package").success
    said = scene.refusal(scene.release())
    assert f"'s model {two.model.sha256[:12]} was taken back in run" in said
    assert "users complain of this model" in said
    assert scene.serving == one.content_version
    mended = scene.release("live_endpoint", reason="it was the function")
    assert mended.success, mended.messages[-10:]
    code.write_text(code.read_text() + "# and another\n")
    assert scene.graph.materialise("function_package").success
    assert scene.release().success, "the model is live by now"


@pytest.mark.parametrize("plan", ["premium"])
def test_redeploy_brings_the_same_package_to_users_anew(scene: Scene) -> None:
    [one] = live_after(scene, 1)
    again = scene.graph.materialise("live_endpoint", config={"live_endpoint": {"redeploy": True}})
    assert again.success, again.messages[-10:]
    assert again.metadata("live_endpoint", "release") == "swapped"
    assert any("Deploying" in line for line in again.messages)
    assert (scene.live.version, scene.live.number) == (one.version, 1)
    assert scene.serving == one.content_version
