"""Users' requests never fail while versions are promoted and taken back."""

import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from users import users_calling

from mc_assets.local_cloud.settings import LocalSettings
from release_scene import IMAGES, Scene

RATE = 200.0


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("plan", ["flex_consumption", "premium"])
def test_no_request_fails_while_versions_come_and_go(
    local_clouds: LocalSettings,
    plan: str,
    tmp_path: Path,
    times: Callable[[str], int],
    count: Callable[[str], None],
) -> None:
    releases, rollbacks = times("releases under load"), times("forced rollbacks under load")
    requests = times("requests under load")
    name = f"load{plan[:4]}"
    with Scene.set(name, tmp_path, plan, dg.DagsterInstance.ephemeral()).taken_down() as scene:
        known = {scene.package(0).content_version}
        assert scene.release().success
        key = scene.graph.releases.client(scene.live).key
        body = IMAGES[:3].tobytes()
        with users_calling(scene.live.url, key, body, RATE, tmp_path) as users:
            began = time.monotonic()
            for turn in range(1, releases + 1):
                known.add(scene.package(turn).content_version)
                ran = scene.release()
                assert ran.success, ran.messages[-10:]
                if turn > releases - rollbacks:
                    live = scene.live
                    refused = scene.package(100 + turn, fault="failing")
                    known.add(refused.content_version)
                    assert "failed its bake" in scene.refusal(scene.release())
                    assert scene.serving == live.content_version
            time.sleep(max(0.0, began + 1.02 * requests / RATE - time.monotonic()))
    count(f"{plan}: {releases} releases, {rollbacks} rollbacks, {users}")
    assert len(users.calls) >= requests
    assert users.failed == []
    assert set(users.packages) == known
    assert all(len(bodies) == 1 for bodies in users.bodies.values())
    assert len(users.calls) > 0.95 * RATE * users.seconds
