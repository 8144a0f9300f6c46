"""Servers for the tests of the local AWS: one that they share, and some of their own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from local_aws import Jobs, Server


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that tests share and do not stop."""
    environ = {"MC_LOCAL_STOP_GRACE": "1", "MC_TEST_SECRET": "not for training scripts"}
    server = Server(tmp_path_factory.mktemp("aws"), environ).start()
    yield server
    server.stop()


@pytest.fixture
def own_aws(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Makes servers for one test alone, on the same state folder unless another is named."""
    made: list[Server] = []

    def make(state: Path = tmp_path / "state", **options: Any) -> Server:
        made.append(Server(state, **options).start())
        return made[-1]

    yield make
    for server in made:
        if server.health():
            server.stop()


@pytest.fixture(scope="session")
def jobs(aws: Server) -> Jobs:
    return Jobs(aws)
