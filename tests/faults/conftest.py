"""What the fault suite shares: how often, and the counts it prints at the end."""

from collections.abc import Callable

import pytest
from repetitions import REPETITIONS

from summary import tell


@pytest.fixture(scope="session")
def times(request: pytest.FixtureRequest) -> Callable[[str], int]:
    """How often to do what is named."""
    is_full = request.config.getoption("--faults") == "full"
    return lambda name: REPETITIONS[name][is_full]


@pytest.fixture
def count(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Says a line of numbers in the terminal's summary."""
    return lambda line: tell(request.config, "faults", line)
