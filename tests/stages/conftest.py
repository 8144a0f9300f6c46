"""What the tests of the stages share."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from by_hand import ByHand, folder_of

from graph_runs import Graph
from mc_assets.local_cloud.settings import LocalSettings
from release_scene import Scene

# Every floor is a half, so that a test decides by its artifact alone on which side it falls.
GATES = {
    "min_training_accuracy": 0.5,
    "min_test_accuracy": 0.5,
    "min_endpoint_accuracy": 0.5,
    "champion_margin": 0.05,
}


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A model's name of this test's own."""
    return "s" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:8]


@pytest.fixture(scope="session")
def seed(local_clouds: LocalSettings, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """A graph whose dataset, a small one made up, is in S3."""
    folder = folder_of(tmp_path_factory.mktemp("data"))
    graph = Graph.of("seed", dataset_folder=str(folder), gates=GATES)
    assert graph.materialise("dataset").success
    return graph


@pytest.fixture
def hand(seed: Graph, name: str) -> ByHand:
    """A graph of this test's own that has the seed's dataset."""
    hand = ByHand(Graph.of(name, gates=GATES))
    hand.dataset(seed.record("dataset"))
    return hand


@pytest.fixture(params=["flex_consumption", "premium"])
def plan(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def scene(local_clouds: LocalSettings, name: str, plan: str, tmp_path: Path) -> Iterator[Scene]:
    with Scene.set(name, tmp_path, plan, dg.DagsterInstance.ephemeral()).taken_down() as scene:
        yield scene
