"""Lines for the end of a test run: counts and transcripts, gathered from every worker."""

from typing import Any

import pytest

Sections = dict[str, list[str]]
_SECTIONS = pytest.StashKey[Sections]()
_OUTPUT = "summary"


def tell(config: pytest.Config, title: str, line: str) -> None:
    """Say a line under a title once all tests have run."""
    config.stash.setdefault(_SECTIONS, {}).setdefault(title, []).append(line)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist has no terminal: what it was told goes to the one that has."""
    output: Any = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_OUTPUT] = session.config.stash.get(_SECTIONS, {})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker was told."""
    for title, lines in getattr(node, "workeroutput", {}).get(_OUTPUT, {}).items():
        for line in lines:
            tell(node.config, title, line)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for title, lines in sorted(config.stash.get(_SECTIONS, {}).items()):
        terminalreporter.section(title)
        for line in lines:
            terminalreporter.write_line(line)
