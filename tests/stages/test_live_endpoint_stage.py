"""Releasing: what a bake finds, what is taken back at once, and what is refused."""

import pytest

from mc_assets import idx
from mc_assets.resources.endpoint_client import serving
from mc_assets.resources.releases import Candidate
from release_scene import Scene


def test_a_bad_bake_brings_the_version_before_back_and_says_so(scene: Scene) -> None:
    scene.package(1)
    first = scene.release()
    assert first.success, first.messages[-10:]
    one = scene.live
    assert (one.number, one.previous, one.override) == (1, None, None)
    assert first.metadata("live_endpoint", "reason") == "promoted"
    assert first.metadata("live_endpoint", "bake_calls") == 4
    assert first.metadata("live_endpoint", "bake_images") == 40
    percentiles = [first.metadata("live_endpoint", f"bake_p{n}_ms") for n in (50, 95, 99)]
    assert 0 < percentiles[0] <= percentiles[1] <= percentiles[2]
    assert first.metadata("staged_endpoint", "size_bytes") == one.package.size
    assert any("] answered 2 of 3 times, after " in line for line in first.messages)
    for endpoint in ("staged_endpoint", "live_endpoint"):
        latencies = first.found(f"{endpoint} latency", "latency_distribution")
        assert "](data:image/png;base64," in latencies
    answer = scene.answer().content

    refused = scene.package(2, fault="slow")
    bad = scene.release()
    said = scene.refusal(bad)
    assert f"Package {refused.version[:12]} failed its bake" in said
    assert "longer than 4000 ms" in said
    assert f"serves the version before it again, {one.version[:12]}" in said
    assert scene.serving == one.content_version
    assert scene.answer().content == answer
    why = scene.live.brought_back
    assert "longer than 4000 ms" in why
    assert scene.live == one.model_copy(
        update={"since": scene.live.since, "run_id": bad.result.run_id, "brought_back": why}
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
    [one], store = scene.live_after(1), scene.graph.store
    scene.package(2)
    assert scene.release("staged_endpoint").success
    images = scene.graph.record("dataset").files[idx.TEST_IMAGES]
    store.client.delete_object(Bucket=store.bucket, Key=images.key)
    assert images.uri in scene.refusal(scene.release("live_endpoint"))
    assert scene.serving == one.content_version


@pytest.mark.parametrize("plan", ["premium"])
def test_redeploy_brings_the_same_package_to_users_anew(scene: Scene) -> None:
    [one] = scene.live_after(1)
    again = scene.graph.materialise("live_endpoint", config={"live_endpoint": {"redeploy": True}})
    assert again.success, again.messages[-10:]
    assert again.metadata("live_endpoint", "release") == "swapped"
    assert any("Deploying" in line for line in again.messages)
    assert (scene.live.version, scene.live.number) == (one.version, 1)
    assert scene.serving == one.content_version
