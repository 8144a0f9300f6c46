"""Draw the pictures of docs/architecture.md from the code: the asset graph, and the rooms.

    python tests/docs/diagrams.py

Mermaid, between markers in the page; GitHub draws it.
"""

import ast
import warnings
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

from mc_assets.definitions import build_definitions

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
PACKAGE = "mc_assets"
# Rooms that are folders; the modules beside them are told apart by what they do.
FOLDERS = ("stages", "automation", "resources", "packaging", "local_cloud")
DOORS = ("definitions", "lifecycle")
OUTSIDE = ("training_code", "function_app")
TITLES = {
    "doors": "definitions.py<br>lifecycle.py",
    "commands": "commands",
    "judging": "judging",
    "rules": "ground rules",
    "pure": "pure functions",
    "target": "target.py",
    **{name: f"{name}/" for name in ("stages", "automation", "resources", "local_cloud", *OUTSIDE)},
}
# What no import shows: two folders that run elsewhere, and how they get there.
CARRIED = {"training_code": "packed into the job", "function_app": "packed into the zip"}
BLOCKS, WARNS = "■", "□"


def main() -> None:
    warnings.filterwarnings("ignore", module="dagster")  # of its own APIs in preview
    PAGE.write_text(drawn(PAGE.read_text()))


def drawn(page: str) -> str:
    """The page with both pictures as the code has them now."""
    for name, picture in (("graph", asset_graph()), ("rooms", room_graph())):
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
        before, opened, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        if not (opened and closed):
            raise ValueError(f"{PAGE} has no place for the picture {name!r}.")
        page = f"{before}{begin}{picture}{end}{after}"
    return page


def asset_graph() -> str:
    """Every asset with its checks, and what it is made from."""
    graph = build_definitions("local").resolve_asset_graph()
    lines = ["flowchart LR"]
    for key in graph.toposorted_asset_keys:
        checks = sorted(graph.get_check_keys_for_assets({key}), key=lambda check: check.name)
        told = [
            f"{BLOCKS if graph.get(check).blocking else WARNS} {check.name}" for check in checks
        ]
        name = key.to_user_string()
        lines.append(f'{_id(name)}["{"<br>".join([f"<b>{name}</b>", *told])}"]')
        parents = sorted(parent.to_user_string() for parent in graph.get(key).parent_keys)
        lines += [f"{_id(parent)} --> {_id(name)}" for parent in parents]
    return _mermaid(lines)


def room_graph() -> str:
    """Which room imports which."""
    rooms = dict(_rooms())
    arrows = {
        (rooms[module], rooms[imported])
        for module, tree in _modules()
        for imported in _imported(tree, rooms)
        if rooms[module] != rooms[imported]
    }
    used = sorted(set(chain(*arrows)))
    lines = ["flowchart TB", *(f'{room}["{TITLES[room]}"]' for room in used)]
    lines += [f"{here} --> {there}" for here, there in _needed(arrows)]
    lines += [f'{name}["{TITLES[name]}"]' for name in OUTSIDE]
    lines += [f"stages -. {how} .-> {name}" for name, how in CARRIED.items()]
    return _mermaid(lines)


def _modules() -> Iterator[tuple[str, ast.Module]]:
    """Every module of the package by its dotted name, less those that only name a folder."""
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        dotted = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        yield dotted.removesuffix(".__init__"), ast.parse(path.read_text())


def _rooms() -> Iterator[tuple[str, str]]:
    for module, tree in _modules():
        if module not in (PACKAGE, f"{PACKAGE}.defs"):
            yield module, _room(module.split(".")[1], tree)


def _room(name: str, tree: ast.Module) -> str:
    """A folder's own; otherwise by what the module does and knows."""
    if name in FOLDERS:
        return "pure" if name == "packaging" else name
    if name in DOORS:
        return "doors"
    if name == "target":
        return "target"
    if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body):
        return "commands"
    imported = list(_names(tree))
    if any(name.startswith(f"{PACKAGE}.resources") for name in imported):
        return "judging"
    return "rules" if any(name.split(".")[0] == "dagster" for name in imported) else "pure"


def _needed(arrows: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without those that say nothing new: their end can be reached by others that are drawn."""
    kept = set(arrows)
    for arrow in sorted(arrows):
        if _reaches(*arrow, kept - {arrow}):
            kept.remove(arrow)
    return sorted(kept)


def _reaches(start: str, end: str, arrows: set[tuple[str, str]]) -> bool:
    seen, ahead = {start}, [start]
    while ahead:
        here = ahead.pop()
        found = {there for begin, there in arrows if begin == here} - seen
        seen |= found
        ahead += found
    return end in seen


def _imported(tree: ast.Module, rooms: Mapping[str, str]) -> set[str]:
    return {name for name in _names(tree) if name in rooms}


def _names(tree: ast.Module) -> Iterator[str]:
    """Everything that is imported anywhere in the module, functions included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _id(name: str) -> str:
    return name.replace("/", "_")


def _mermaid(lines: list[str]) -> str:
    return "\n".join(["```mermaid", lines[0], *(f"    {line}" for line in lines[1:]), "```", ""])


if __name__ == "__main__":
    main()
