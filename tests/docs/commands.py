"""Every command that README.md and docs/*.md tell a reader to type."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
# Languages of blocks that are typed into a shell; one that shows output says `text`.
SHELL = frozenset({"", "bash", "sh"})
# What a code span in a sentence or a table begins with if it is to be typed; alone it is a name.
PROGRAMS = re.compile(
    r"(\w+=\S+ )*(aws|az|curl|dagster|dg|eval|make|mc-[a-z]+|pip|pytest|python|source|uv) \S"
    r"|mc-(check|lineage)$"
)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`]+)`")
CONTINUED = re.compile(r"\s*\\\n\s*")
COMMENT = re.compile(r"\s{2,}#.*$")


@dataclass(frozen=True, slots=True)
class Command:
    """One command as it stands on a page, in a block of its own or within the text."""

    text: str
    page: str
    in_block: bool


def commands() -> list[Command]:
    """In the order of the pages; what stands on several, or twice, comes as often."""
    return [found for page in PAGES for found in _of_page(page)]


def _of_page(page: Path) -> Iterator[Command]:
    name, text = page.relative_to(ROOT).as_posix(), page.read_text()
    for language, block in BLOCK.findall(text):
        if language in SHELL:
            for line in CONTINUED.sub(" ", block).splitlines():
                if line.strip():
                    yield Command(COMMENT.sub("", line).strip(), name, in_block=True)
    for span in SPAN.findall(BLOCK.sub("", text)):
        typed = " ".join(span.split()).replace(r"\|", "|")
        if PROGRAMS.match(typed):
            yield Command(typed, name, in_block=False)
