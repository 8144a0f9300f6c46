"""What the fault suite shares: how often, and the counts it prints at the end."""

from collections.abc import Callable

import pytest
from repetitions import REPETITIONS

COUNTS = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def times(request: pytest.FixtureRequest) -> Callable[[str], int]:
    """How often to do what is named."""
    is_full = request.config.getoption("--faults") == "full"
    return lambda name: REPETITIONS[name][is_full]


@pytest.fixture
def count(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Says a line of numbers in the terminal's summary."""
    return request.config.stash.setdefault(COUNTS, []).append


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if lines := config.stash.get(COUNTS, []):
        terminalreporter.section("faults")
        for line in lines:
            terminalreporter.write_line(line)
