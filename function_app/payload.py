"""What clients send: headers and bodies in, images or BadInput out."""

from collections.abc import Callable, Mapping

from bad_input import BadInput
from images import Images, grey_levels
from inflating import inflate
from json_body import read_json
from npy_body import read_npy
from picture import read_picture

READERS: Mapping[str, Callable[[bytes], Images]] = {
    "application/json": read_json,
    "application/octet-stream": grey_levels,
    "application/x-npy": read_npy,
    "image/png": lambda body: read_picture(body, "PNG"),
    "image/jpeg": lambda body: read_picture(body, "JPEG"),
}


def read_images(headers: Mapping[str, str], body: bytes, limit: int) -> Images:
    """Read a body as its headers say; one without a content-type is taken for JSON.

    Args:
        headers: looked up by lower-case name.
        body: as it came.
        limit: how many bytes it may have, and have once unpacked.

    Raises:
        BadInput: 400 for a body that cannot be read, 413 for one that is too large, 415 for a type
            or encoding not offered.
    """
    if len(body) > limit:
        raise BadInput(
            413, "Body too large", f"At most {limit} bytes are accepted, found {len(body)} bytes."
        )
    content_type = headers.get("content-type") or "application/json"
    read = READERS.get(content_type) or _reader(content_type)
    if "content-encoding" in headers:
        body = _decoded(body, headers["content-encoding"], limit)
    return read(body)


def read_flag(params: Mapping[str, str], name: str) -> bool:
    """Read `true` or `false` from the query; an absent flag is false.

    Raises:
        BadInput: 400 for any other value.
    """
    text = params.get(name)
    if text is None:
        return False
    value = text.strip().lower()
    if value not in ("true", "false"):
        raise BadInput(400, "Wrong query", f"{name} must be true or false, found {text[:80]!r}.")
    return value == "true"


def _reader(content_type: str) -> Callable[[bytes], Images]:
    reader = READERS.get(content_type.partition(";")[0].strip().lower())
    if reader is None:
        *others, last = READERS
        raise BadInput(
            415,
            "Unsupported content type",
            f"The content type must be {', '.join(others)} or {last}, found {content_type[:80]!r}.",
        )
    return reader


def _decoded(body: bytes, encoding: str, limit: int) -> bytes:
    if encoding.strip().lower() in ("", "identity"):
        return body
    return inflate(body, encoding, limit)
