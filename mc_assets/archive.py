"""Reading a model.tar.gz that somebody else wrote: the bytes of named members, nothing on disk."""

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

# Headers, padding and the end mark of a tar with a handful of members fit in this many times over.
_TAR_OVERHEAD = 256 * 1024


class ArchiveError(ValueError):
    """The archive is not exactly what it has to be; the text names the member and the fault."""


def read_members(source: BinaryIO | Path, allowed: Mapping[str, int]) -> dict[str, bytes]:
    """Every allowed member's bytes, from a gzip-compressed tar that holds them and nothing else.

    Nothing is extracted, because tarfile's "data" filter is no boundary: archives that escape it
    are known (CVE-2025-4517 and later ones). Memory stays near twice the sum of the caps, however
    far the archive would expand.

    Args:
        source: the archive, or a stream that stands at its first byte.
        allowed: exact names, each with the most bytes it may have; "./name" is read as "name".

    Raises:
        ArchiveError: a member is not allowed, no regular file, there twice, too large or missing;
            or the archive is truncated, no gzip, no tar, or expands far beyond the caps.
    """
    with _explained():
        tar = _expand(source, sum(allowed.values()) + _TAR_OVERHEAD)
        found = _read(tar, allowed)
    missing = [name for name in allowed if name not in found]
    if missing:
        raise ArchiveError(f"The archive lacks {', '.join(missing)}.")
    return found


def _expand(source: BinaryIO | Path, limit: int) -> bytes:
    with gzip.open(source, "rb") as stream:
        tar = stream.read(limit + 1)
    if len(tar) > limit:
        raise ArchiveError(
            f"The archive expands beyond {limit:,} bytes, more than all its members may have."
        )
    return tar


def _read(tar: bytes, allowed: Mapping[str, int]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as archive:
        for member in archive:
            if member.isdir() and member.name == ".":
                continue  # `tar -C folder .` begins with the folder itself
            name = _accepted(member, allowed, found)
            found[name] = _content(archive, member, name)
        # tarfile ends its listing without a word at a header it cannot read.
        rest = tar[archive.offset :]
    if rest.strip(b"\0"):
        raise ArchiveError(f"The archive is no sound tar after {', '.join(found) or 'its start'}.")
    return found


def _accepted(
    member: tarfile.TarInfo, allowed: Mapping[str, int], found: Mapping[str, bytes]
) -> str:
    name = member.name.removeprefix("./")
    if name not in allowed:
        legal = ", ".join(allowed)
        raise ArchiveError(f"The archive holds {member.name!r}, which is none of: {legal}.")
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
        raise ArchiveError(f"{name} is no plain file in the archive (tar type {member.type!r}).")
    if name in found:
        raise ArchiveError(f"{name} is in the archive twice.")
    if member.size > allowed[name]:
        raise ArchiveError(
            f"{name} has {member.size:,} bytes, more than the {allowed[name]:,} it may have."
        )
    return name


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> bytes:
    stream = archive.extractfile(member)
    data = stream.read() if stream else b""
    if len(data) != member.size:
        raise ArchiveError(f"{name} is truncated: {len(data):,} of {member.size:,} bytes.")
    return data


@contextmanager
def _explained() -> Iterator[None]:
    """Every way in which gzip and tar give up, as one kind of error."""
    try:
        yield
    except EOFError as error:
        raise ArchiveError("The archive is truncated: its compressed data ends early.") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ArchiveError(f"The archive is not sound gzip: {error}.") from error
    except ArchiveError:
        raise
    except (tarfile.TarError, ValueError) as error:
        # ValueError: tarfile reads PAX's numbers, those of sparse files above all, unguarded.
        raise ArchiveError(f"The archive is not a sound tar: {error}.") from error
