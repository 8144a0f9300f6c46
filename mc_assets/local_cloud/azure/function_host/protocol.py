"""Frames between the function host and its workers: a fixed header, a JSON head, a raw body."""

import json
import struct
from enum import IntEnum
from typing import Any, NamedTuple

_HEADER = struct.Struct("!BIIQ")
# Above this a body is sent on its own: copying it behind its header costs more than a second write.
_JOIN_BELOW = 65_536


class Kind(IntEnum):
    INDEXED = 1
    INVOKE = 2
    RESULT = 3


class Frame(NamedTuple):
    """One message; `call` pairs a RESULT with its INVOKE, so many can be in flight."""

    kind: int
    call: int
    head: Any
    body: bytes


def encode(kind: Kind, call: int, head: object, body: bytes = b"") -> list[bytes]:
    """The pieces of a frame, in the order in which they are to be written."""
    text = json.dumps(head).encode()
    header = _HEADER.pack(kind, call, len(text), len(body))
    if len(body) < _JOIN_BELOW:
        return [b"".join((header, text, body))]
    return [header + text, body]


class FrameDecoder:
    """Cuts the bytes of a stream, fed in pieces of any size, into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._needed = _HEADER.size

    def feed(self, data: "bytes | memoryview") -> list[Frame]:
        """Take the next bytes; return the frames they complete."""
        self._buffer += data
        frames: list[Frame] = []
        while len(self._buffer) >= self._needed:
            kind, call, head_size, body_size = _HEADER.unpack_from(self._buffer)
            self._needed = _HEADER.size + head_size + body_size
            if len(self._buffer) < self._needed:
                break
            frames.append(self._take(kind, call, head_size))
        return frames

    def _take(self, kind: int, call: int, head_size: int) -> Frame:
        body_start = _HEADER.size + head_size
        with memoryview(self._buffer) as view:
            head = json.loads(str(view[_HEADER.size : body_start], "utf-8"))
            body = bytes(view[body_start : self._needed])
        del self._buffer[: self._needed]
        self._needed = _HEADER.size
        return Frame(kind, call, head, body)
