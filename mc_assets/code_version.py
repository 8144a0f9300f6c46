"""Code versions computed from the code itself, so that staleness in the UI is true."""

import hashlib
from pathlib import Path

ROOT = Path(__file__).parent


def code_version(*paths: Path | str, extra: str = "") -> str:
    """Twelve digits of the sha256 over the named files, folders' .py files included, and `extra`.

    A relative path is one below the package.
    """
    digest = hashlib.sha256(extra.encode())
    for path in paths:
        whole = ROOT / path
        for file in _code_below(whole) if whole.is_dir() else [whole]:
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _code_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
