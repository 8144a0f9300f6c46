"""Every link of the documents leads somewhere, and every path they name is there."""

import re
from pathlib import Path

import pytest
from commands import BLOCK, PAGES, ROOT

LINK = re.compile(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
# Of a code span: a folder of the project, and a file or a folder in it; perhaps a test's name.
PLACE = re.compile(
    r"`((?:benchmarks|docs|function_app|mc_assets|tests|training_code)/[\w./-]*)(::\w+)?`"
)
LONGEST_LINE = 110


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = HEADING.findall(BLOCK.sub("", page.read_text()))
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    found = [first or second for first, second in LINK.findall(page.read_text())]
    for link in (each for each in found if not each.startswith("http")):
        file, _, anchor = link.partition("#")
        target = (page.parent / file) if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_are_there(page: Path) -> None:
    for path, test in PLACE.findall(page.read_text()):
        assert (ROOT / path).exists(), path
        assert not test or f"def {test[2:]}(" in (ROOT / path).read_text(), test


def test_the_readme_fits_a_terminal() -> None:
    lines = PAGES[0].read_text().splitlines()
    assert [line for line in lines if len(line) > LONGEST_LINE] == []
