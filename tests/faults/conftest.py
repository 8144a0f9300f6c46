"""What the fault suite shares: how often, and the counts it prints at the end."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from repetitions import REPETITIONS

from summary import tell

REPOSITORY = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def times(request: pytest.FixtureRequest) -> Callable[[str], int]:
    """How often to do what is named."""
    is_full = request.config.getoption("--faults") == "full"
    return lambda name: REPETITIONS[name][is_full]


@pytest.fixture
def count(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Says a line of numbers in the terminal's summary."""
    return lambda line: tell(request.config, "faults", line)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """One history on disk, with the repository's own settings."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(REPOSITORY / ".dagster" / "dagster.yaml", home)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance
