"""Going back: by itself and by hand, once and not twice, and never overtaken by what was left."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from release_scene import Scene
from small_function_apps import gated_app, zipped


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


def test_what_fails_after_the_promotion_is_undone_and_then_tried_again(scene: Scene) -> None:
    [one] = scene.live_after(1)
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
    _, two, three = scene.live_after(1, 2, 3)
    with answer_lost(scene, "live_endpoint"):
        ran = scene.roll_back()
    assert ran.success, ran.messages[-10:]
    assert f"Going from version {three.version[:12]} to {two.version[:12]}." in ran.messages
    assert (scene.live.version, scene.serving) == (two.version, two.content_version)


@pytest.mark.parametrize("plan", ["flex_consumption"])
def test_what_is_still_being_deployed_does_not_overtake_a_rollback(
    scene: Scene, tmp_path: Path
) -> None:
    [one] = scene.live_after(1)
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
    one, two = scene.live_after(1, 2)
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
