"""Fixtures of the function host's tests: served hosts, and apps written to disk."""

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from function_host_serving import Served

from mc_assets.local_cloud.azure.function_host import HostLimits


@pytest.fixture
def make_served(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    made: list[Served] = []

    def make(**limits: float) -> Served:
        made.append(Served(tmp_path / f"app-{len(made)}.log", HostLimits(**limits)))
        return made[-1]

    yield make
    for served in made:
        served.close()


@pytest.fixture
def served(make_served: Callable[..., Served]) -> Served:
    return make_served()


@pytest.fixture
def write_app(tmp_path: Path) -> Callable[..., Path]:
    """Write an app folder: function_app.py, and other files by path."""
    count = iter(range(1000))

    def write(source: str, /, **files: str) -> Path:
        root = tmp_path / f"app{next(count)}" / "wwwroot"
        root.mkdir(parents=True)
        (root / "function_app.py").write_text(
            "import azure.functions as func\n"
            "app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)\n"
            + textwrap.dedent(source)
        )
        for name, text in files.items():
            path = root / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        return root

    return write
