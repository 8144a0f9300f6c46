"""Bodies that were sent compressed: unpacked, but never to more than a body may have."""

import zlib

from bad_input import BadInput

# How zlib is told which of its formats it is to read. HTTP's "deflate" is the zlib format, and
# "x-gzip" another name of gzip (source: RFC 9110, section 8.4.1).
FORMATS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """The body as it was before `encoding`, of at most `limit` bytes.

    Raises:
        BadInput: 400 for bytes that are not of that encoding, 413 for too many of them unpacked,
            415 for another encoding.
    """
    name = encoding.strip().lower()
    if name not in FORMATS:
        raise BadInput(
            415,
            "Unsupported content encoding",
            f"The body may be sent as it is or under gzip or deflate, found content-encoding "
            f"{encoding[:80]!r}.",
        )
    try:
        return _unpacked(body, FORMATS[name], limit)
    except zlib.error as error:
        raise BadInput(400, "Not readable", f"The body is not {name} data: {error}.") from error


def _unpacked(body: bytes, wbits: int, limit: int) -> bytes:
    parts: list[bytes] = []
    room = limit
    while True:
        unpacker = zlib.decompressobj(wbits)
        # One byte more than fits: a full room is then told from an overflowing one.
        parts.append(unpacker.decompress(body, room + 1))
        room -= len(parts[-1])
        if room < 0:
            raise BadInput(
                413, "Body too large", f"At most {limit} bytes are accepted once unpacked."
            )
        if not unpacker.eof:
            raise BadInput(400, "Not readable", "The compressed body ends too early.")
        body = unpacker.unused_data
        # A gzip file may be several, one after the other; the zlib format is one.
        if not body or wbits == zlib.MAX_WBITS:
            break
    if body:
        raise BadInput(400, "Not readable", "More bytes follow the end of the compressed body.")
    return b"".join(parts)
