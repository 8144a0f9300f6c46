"""One local Azure for all tests that need no server of their own."""

from collections.abc import Iterator

import pytest
from azure_server import AzureServer


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureServer]:
    server = AzureServer(tmp_path_factory.mktemp("azure") / "state")
    server.start()
    yield server
    server.end()


@pytest.fixture
def own_azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureServer]:
    """A server that a test may kill, with a state folder nobody else uses; not yet started."""
    server = AzureServer(tmp_path_factory.mktemp("own") / "state")
    yield server
    server.end()
