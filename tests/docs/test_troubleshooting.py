"""docs/troubleshooting.md cannot rot: every message on it is one that the code really has."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"
SOURCES = ("mc_assets", "training_code", "function_app")
VALUE = "\0"  # in place of what an f-string fills in
SHORTEST_PART = 8
# The first cell of a table's row, if it is one code span.
MESSAGE = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)


def messages() -> list[str]:
    return [found.replace("\\|", "|") for found in MESSAGE.findall(PAGE.read_text())]


@pytest.fixture(scope="module")
def texts() -> str:
    """Every string of the code as it is shown, and the Makefile, which has one of its own."""
    files = [file for folder in SOURCES for file in sorted((ROOT / folder).rglob("*.py"))]
    found = [text for file in files for text in _texts(ast.parse(file.read_text()))]
    return "\n".join([*found, (ROOT / "Makefile").read_text()])


@pytest.mark.parametrize("message", messages())
def test_the_code_says_so(message: str, texts: str) -> None:
    parts = [part.strip() for part in message.split("…")]
    telling = [part for part in parts if len(part) >= SHORTEST_PART]
    assert telling, "nothing in this message can be looked for"
    assert [part for part in telling if part not in texts] == []


def test_the_page_has_what_people_meet() -> None:
    assert len(messages()) >= 25
    assert len(set(messages())) == len(messages())


def _texts(tree: ast.Module) -> Iterator[str]:
    """Adjacent pieces of one string are one here, as Python's own parser has them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(_piece(value) for value in node.values)


def _piece(value: ast.expr) -> str:
    return str(value.value) if isinstance(value, ast.Constant) else VALUE
