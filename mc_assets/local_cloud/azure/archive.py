"""Unpacks an uploaded zip, and refuses what could reach outside its folder or fill the disk."""

import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

MAX_MEMBERS = 50_000
MAX_TOTAL_BYTES = 2 * 1024**3
# Deflate itself cannot pass about 1032:1, and an honest package stays far below this.
MAX_RATIO = 200
RATIO_FLOOR_BYTES = 10 * 1024**2


class PackageError(ValueError):
    """The uploaded file is not a zip that may be unpacked; its text says why."""


def extract(upload: Path, folder: Path) -> int:
    """Unpack `upload` into `folder` and return the number of files.

    Raises:
        PackageError: not a zip, damaged, or with a member that has no business in a package.
    """
    try:
        with zipfile.ZipFile(upload) as package:
            members = package.infolist()
            _check_sizes(members, upload.stat().st_size)
            targets = [(member, _target(member, folder)) for member in members]
            _check_collisions(targets)
            for member, target in targets:
                _write(package, member, target)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError) as error:
        raise PackageError(f"The package is not a readable zip: {error}.") from error
    return sum(not member.is_dir() for member in members)


def _check_sizes(members: list[zipfile.ZipInfo], compressed: int) -> None:
    total = sum(member.file_size for member in members)
    if len(members) > MAX_MEMBERS:
        raise PackageError(
            f"The package has {len(members)} members, more than the {MAX_MEMBERS} allowed."
        )
    if total > MAX_TOTAL_BYTES:
        raise PackageError(
            f"The package unpacks to {total} bytes, more than the {MAX_TOTAL_BYTES} allowed."
        )
    if total > max(RATIO_FLOOR_BYTES, MAX_RATIO * compressed):
        raise PackageError(f"The package unpacks from {compressed} to {total} bytes: a zip bomb.")


def _target(member: zipfile.ZipInfo, folder: Path) -> Path:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise PackageError(f"The package member {member.filename!r} is a link or a special file.")
    if member.flag_bits & 0x1:
        raise PackageError(f"The package member {member.filename!r} is encrypted.")
    path = PurePosixPath(member.orig_filename)
    nameless = not path.parts and not member.is_dir()
    outside = path.is_absolute() or ".." in path.parts or nameless
    if outside or any(mark in member.orig_filename for mark in ("\\", "\0")):
        raise PackageError(
            f"The package member {member.orig_filename!r} would land outside the app's folder."
        )
    return folder.joinpath(*path.parts)


def _check_collisions(targets: list[tuple[zipfile.ZipInfo, Path]]) -> None:
    files = [target for member, target in targets if not member.is_dir()]
    known = set(files)
    if len(known) < len(files):
        raise PackageError("The package has two members of the same name.")
    for file in files:
        if not known.isdisjoint(file.parents):
            raise PackageError(f"The package member {file.name!r} lies below another file.")


def _write(package: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    if member.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with package.open(member) as source, target.open("wb") as sink:
        shutil.copyfileobj(source, sink, 1024 * 1024)
