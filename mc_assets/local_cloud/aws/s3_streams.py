"""S3 bodies of any size through moto with a piece in memory at a time: objects out, parts joined.

moto hands an object's whole body from function to function, and joins an upload's parts in memory:
for an object of 1.1 GB it took 2.3 GB.
"""

import base64
import binascii
import hashlib
import io
import shutil
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from moto.core.compat import HAS_CRT
from moto.s3.exceptions import EntityTooSmall, InvalidPart, MalformedXML
from moto.s3.models import FakeKey, FakeMultipart, MultipartChecksumBuilder
from moto.s3.utils import compute_checksum
from moto.settings import S3_UPLOAD_PART_MIN_SIZE

PIECE_BYTES = 1 << 20


class FileSpan:
    """Some bytes of a file, as moto treats a body: measured, cut, passed on; read as they are sent.

    The file is open from the start, so that the bytes are there even if it is deleted meanwhile.
    """

    def __init__(self, stream: BinaryIO, start: int, end: int) -> None:
        self._stream = stream
        self._start = start
        self._end = end

    @classmethod
    def whole(cls, path: Path) -> "FileSpan":
        stream = path.open("rb")
        return cls(stream, 0, stream.seek(0, io.SEEK_END))

    def __len__(self) -> int:
        return self._end - self._start

    def __getitem__(self, place: slice) -> "FileSpan":
        start, end, _ = place.indices(len(self))
        return FileSpan(self._stream, self._start + start, self._start + max(start, end))

    def __copy__(self) -> "FileSpan":
        return self

    def __iter__(self) -> Iterator[bytes]:
        self._stream.seek(self._start)
        left = len(self)
        while left:
            piece = self._stream.read(min(left, PIECE_BYTES))
            if not piece:
                raise OSError(f"{self._stream.name} has become shorter while it was sent.")
            left -= len(piece)
            yield piece

    def close(self) -> None:
        self._stream.close()


def complete_without_joining() -> None:
    """Have moto leave the bytes of a completed upload to `joined_parts`, and its object empty."""
    FakeMultipart.complete = _complete


class JoinedParts:
    """The parts' bytes, one after the other, for the object that an upload has just become.

    They are taken away from the parts, which moto disposes of before anyone can read them.
    """

    def __init__(self, parts: Iterable[FakeKey]) -> None:
        self.size = 0
        self._buffers: list[Any] = []
        for part in parts:
            held: Any = part
            self.size += part.contentsize
            self._buffers.append(held._value_buffer)  # noqa: SLF001 - moto offers no other way to the bytes
            held._value_buffer = io.BytesIO()  # noqa: SLF001

    def copy(self, sink: BinaryIO) -> None:
        for buffer in self._buffers:
            buffer.seek(0)
            shutil.copyfileobj(buffer, sink, PIECE_BYTES)

    def close(self) -> None:
        for buffer in self._buffers:
            buffer.close()


def joined_parts(key: FakeKey) -> JoinedParts | None:
    """What is to be written for an object that an upload has just become, None for any other."""
    return getattr(key.multipart, "joined", None)


def _complete(
    self: FakeMultipart, body: Iterable[tuple[int, str]]
) -> tuple[bytes, str, tuple[str, str, int] | None]:
    """As moto's own of this name, but that the parts stay where they are."""
    joined: list[FakeKey] = []
    etags = bytearray()
    checksum = _checksum(self)
    for number, told in body:
        part = self.parts.get(number)
        etag = part.etag.replace('"', "") if part else None
        if part is None or etag != told.replace('"', ""):
            raise InvalidPart
        if joined and joined[-1].contentsize < S3_UPLOAD_PART_MIN_SIZE:
            raise EntityTooSmall
        etags.extend(bytes.fromhex(etag or ""))
        checksum.addPart(part.value)
        joined.append(part)
    if not joined:
        raise MalformedXML
    self.joined = JoinedParts(joined)  # pyright: ignore[reportAttributeAccessIssue]
    whole = hashlib.md5(etags, usedforsecurity=False).hexdigest()
    return b"", f"{whole}-{len(joined)}", checksum.build()


class _RunningChecksum(MultipartChecksumBuilder):
    """Of the whole object; moto's own keeps the parts for it, and computes in the end."""

    def __init__(self, algorithm: str, update: Callable[[bytes, int], int], size: int) -> None:
        super().__init__(algorithm, "FULL_OBJECT")
        self._update = update
        self._size = size
        self._value = 0

    def addPart(self, part: bytes) -> None:  # noqa: N802 - moto's name
        self._value = self._update(part, self._value)

    def build(self) -> tuple[str, str, int]:
        text = base64.b64encode(self._value.to_bytes(self._size, "big")).decode()
        return self.checksum_type, text, 1


def _checksum(upload: FakeMultipart) -> MultipartChecksumBuilder:
    metadata: Any = upload.metadata
    usual = MultipartChecksumBuilder(
        metadata.get("x-amz-checksum-algorithm"), metadata.get("x-amz-checksum-type")
    )
    algorithm = usual.checksum_algorithm
    if usual.checksum_type == "COMPOSITE":
        return usual
    # Without the library for it moto computes CRC32 instead, and says so nowhere.
    if algorithm == "CRC64NVME" and HAS_CRT:
        return _RunningChecksum(algorithm, import_module("awscrt.checksums").crc64nvme, 8)
    one = compute_checksum(b"123456789", algorithm, encode_base64=False)
    if one == binascii.crc32(b"123456789").to_bytes(4, "big"):
        return _RunningChecksum(algorithm, binascii.crc32, 4)
    return usual
