"""A place where nothing was before: local clouds, ports and a Dagster home of its own."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mc_assets.local_cloud import supervisor
from mc_assets.local_cloud.settings import LocalSettings
from rivals import free_ports
from speed.workshop import ROOT


@dataclass(frozen=True, slots=True)
class Place:
    """`environment` points whatever is started with it here; the clouds are not up yet."""

    folder: Path
    clouds: LocalSettings
    environment: Mapping[str, str]

    @property
    def dagster_home(self) -> Path:
        return Path(self.environment["DAGSTER_HOME"])


@contextmanager
def empty_place() -> Iterator[Place]:
    """Its clouds end with it, and its folder goes."""
    with tempfile.TemporaryDirectory(prefix="mc-bench-") as name:
        folder = Path(name)
        home = folder / "dagster"
        home.mkdir()
        shutil.copy(ROOT / ".dagster" / "dagster.yaml", home)
        aws, azure, first_site = free_ports(3)
        clouds = LocalSettings(folder / "state", aws, azure, first_site)
        environment = {
            "DAGSTER_HOME": str(home),
            "MC_TARGET": "local",
            "MC_LOCAL_STATE": str(clouds.state),
            "MC_LOCAL_AWS_PORT": str(aws),
            "MC_LOCAL_AZURE_PORT": str(azure),
            "MC_LOCAL_SITE_PORT": str(first_site),
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        }
        try:
            yield Place(folder, clouds, environment)
        finally:
            supervisor.down(clouds)
