"""What every test may use: a small true subset of MNIST, and one pair of local clouds."""

import fcntl
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mc_assets import idx
from mc_assets.definitions import build_resources
from mc_assets.local_cloud import supervisor
from mc_assets.local_cloud.settings import LocalSettings
from mc_assets.resources.artifact_store import ArtifactStore
from mc_assets.resources.dataset_source import DatasetSource
from mc_assets.target import connect
from ports import free_ports

pytest_plugins = ["summary"]

SUBSET = {
    idx.TRAIN_IMAGES: 2000,
    idx.TRAIN_LABELS: 2000,
    idx.TEST_IMAGES: 500,
    idx.TEST_LABELS: 500,
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-clients",
        action="store_true",
        help="fail, do not skip, the conformance tests whose client cannot be installed",
    )
    parser.addoption(
        "--faults",
        choices=("quick", "full"),
        default="quick",
        help="how often the faults of tests/faults are repeated: a sample, or as often as promised",
    )


@pytest.fixture(scope="session")
def mnist(request: pytest.FixtureRequest) -> Path:
    """A folder with the four whole MNIST files, fetched once and kept in pytest's cache."""
    assert request.config.cache is not None
    folder = Path(request.config.cache.mkdir("mnist"))
    with (folder / "lock").open("w") as lock:  # another worker may be fetching it
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all((folder / name).exists() for name in idx.MNIST_FILES):
            DatasetSource().fetch(folder, lambda _: None)
    return folder


@pytest.fixture(scope="session")
def mnist_subset(mnist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 2,000 training and 500 test images, as four IDX files."""
    folder = tmp_path_factory.mktemp("mnist-subset")
    for name, count in SUBSET.items():
        read = idx.read_images if "images" in name else idx.read_labels
        (folder / name).write_bytes(idx.write(read((mnist / name).read_bytes())[:count]))
    return folder


@pytest.fixture(scope="session", autouse=True)
def _no_real_clouds() -> None:
    """No test ever meets a real account: whatever the machine has configured is taken out."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "MC_")):
            del os.environ[name]


@pytest.fixture(scope="session", autouse=True)
def _considerate_threads() -> None:
    """Tests run side by side: a training whose threads wait by spinning holds up all the others."""
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")


@pytest.fixture(scope="session")
def local_settings(tmp_path_factory: pytest.TempPathFactory) -> LocalSettings:
    """A state folder and ports of this test session's own."""
    aws, azure, first_site = free_ports(3)
    return LocalSettings(tmp_path_factory.mktemp("clouds"), aws, azure, first_site)


@pytest.fixture(scope="session")
def local_clouds(local_settings: LocalSettings) -> Iterator[LocalSettings]:
    """One pair of local clouds for the whole session, and this process pointed at it."""
    os.environ |= {
        "MC_LOCAL_STATE": str(local_settings.state),
        "MC_LOCAL_AWS_PORT": str(local_settings.aws_port),
        "MC_LOCAL_AZURE_PORT": str(local_settings.azure_port),
        "MC_LOCAL_SITE_PORT": str(local_settings.first_site_port),
    }
    connect("local")
    yield local_settings
    supervisor.down(local_settings)


@pytest.fixture(scope="session")
def resources(local_clouds: LocalSettings) -> Mapping[str, Any]:
    """The standard resources on the session's local clouds."""
    return build_resources("local")


@pytest.fixture
def store(resources: Mapping[str, Any], request: pytest.FixtureRequest) -> ArtifactStore:
    """An artifact store below a prefix of this test's own."""
    prefix = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]
    return ArtifactStore(target=resources["target"], prefix=f"test/{prefix}")
