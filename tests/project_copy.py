"""A copy of the project, as a clone of it would be, with a Dagster home of its own."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = ("pyproject.toml", "workspace.yaml", "mc_assets", "training_code", "function_app")
LIFECYCLE = Path("mc_assets", "defs", "mnist", "defs.yaml")


def copy_project(folder: Path, attributes: Mapping[str, Any] | None = None) -> Path:
    """The project in a folder of its own.

    A copy, because `dg` takes DAGSTER_HOME from the project's .env and from nowhere else.

    Args:
        folder: made here.
        attributes: of the one lifecycle, in place of those that the project ships.
    """
    folder.mkdir(parents=True)
    for name in PROJECT:
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / name)
    (folder / ".dagster").mkdir()
    shutil.copy(ROOT / ".dagster" / "dagster.yaml", folder / ".dagster")
    (folder / ".env").write_text(f"DAGSTER_HOME={folder / '.dagster'}\n")
    if attributes is not None:
        write_lifecycle(folder, attributes)
    return folder


def write_lifecycle(project: Path, attributes: Mapping[str, Any]) -> None:
    """Have the project's one lifecycle be this one."""
    path = project / LIFECYCLE
    component = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**component, "attributes": dict(attributes)}))
