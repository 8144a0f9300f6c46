"""A model of the test's own, and a garden of things that it and others have on the clouds."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from graph_runs import Graph
from mc_assets.local_cloud.settings import LocalSettings
from planted import Garden


@pytest.fixture
def graph(local_clouds: LocalSettings, request: pytest.FixtureRequest) -> Graph:
    return Graph.of("j" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:8])


@pytest.fixture
def garden(graph: Graph, tmp_path: Path) -> Iterator[Garden]:
    with Garden(graph, tmp_path).cleared_at_the_end() as made:
        yield made
