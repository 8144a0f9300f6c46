"""Building the function package: the same files give the same bytes, on any machine and day."""

import io
import json
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mc_assets.packaging.contents import (
    MANIFEST,
    MODEL,
    SETTINGS,
    Files,
    PackageError,
    belongs,
    listing,
    read_model,
    sha256,
    version_of,
)

NAME = "mc-assets-function"

# The earliest time a zip can hold.
EPOCH = (1980, 1, 1, 0, 0, 0)
UNIX = 3


@dataclass(frozen=True, slots=True)
class Package:
    """One built zip: `sha256` is of its bytes, `version` of its files (name, size, sha256)."""

    data: bytes
    sha256: str
    version: str
    files: Files


def build_package(
    function_app: Path, model: bytes, manifest_extra: Mapping[str, Any] | None = None
) -> Package:
    """Zip the function's own files, the model and a manifest.

    Args:
        function_app: the folder with function_app.py, the modules beside it, host.json and
            requirements.txt; whatever else is there is left out.
        model: the ONNX file.
        manifest_extra: JSON values under `extra` in the manifest; they change the zip, and so its
            sha256, but not its version.

    Raises:
        PackageError: a needed file is missing or a link, or the model cannot be read.
    """
    members = {**_function_files(function_app), MODEL: model}
    manifest = {
        "name": NAME,
        "version": version_of(members),
        "model": read_model(model).as_json(),
        "files": {name: digest for name, _, digest in listing(members)},
        "extra": dict(manifest_extra or {}),
    }
    members[MANIFEST] = json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n"
    data = _zipped(members)
    return Package(data, sha256(data), manifest["version"], listing(members))


def _function_files(folder: Path) -> dict[str, bytes]:
    for name in ("function_app.py", *SETTINGS):
        if not (folder / name).is_file():
            raise PackageError(f"The function folder {folder} has no file {name}.")
    paths = [path for path in folder.iterdir() if belongs(path.name) and path.name != MANIFEST]
    for path in paths:
        if path.is_symlink() or not path.is_file():
            raise PackageError(f"{path} is not a plain file: only plain files are packaged.")
    return {path.name: path.read_bytes() for path in paths}


def _zipped(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    # Stored, because the bytes that deflate gives differ between builds of zlib.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = UNIX
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, members[name])
    return buffer.getvalue()
