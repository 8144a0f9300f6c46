"""Pictures are read as people mean them, and those made to hurt are refused before they unpack."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from bodies import picture
from PIL import Image

from tiny_onnx import tiny_images  # pyright: ignore[reportMissingImports] - pytest's path has tests/

GREY = tiny_images(1)[0]


@pytest.fixture(scope="module")
def read(modules):
    return modules.picture.read_picture


def _saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_a_grey_picture_of_the_size_is_taken_as_it_is(read, mode):
    found = read(picture(GREY, mode=mode), "PNG")
    assert found.dtype == np.uint8
    assert found.shape == (1, 1, 28, 28)
    assert (found[0, 0] == GREY).all()


def test_a_jpeg_is_what_the_jpeg_holds(read):
    body = picture(GREY, "JPEG")
    assert (read(body, "JPEG")[0, 0] == np.asarray(Image.open(io.BytesIO(body)))).all()


def test_black_and_white_and_palettes_are_grey(read):
    two = np.where(GREY > 127, 255, 0).astype(np.uint8)
    for mode in ("1", "P"):
        assert (read(_saved(Image.fromarray(two).convert(mode)), "PNG")[0, 0] == two).all()


def test_what_is_transparent_is_black(read):
    clear = np.full((28, 28, 4), 255, np.uint8)
    clear[:, 14:, 3] = 0
    found = read(_saved(Image.fromarray(clear)), "PNG")[0, 0]
    assert (found[:, :14] == 255).all()
    assert (found[:, 14:] == 0).all()


@pytest.mark.parametrize("side", [1, 14, 56, 280])
def test_another_size_is_scaled(read, side):
    image = np.zeros((side, side), np.uint8)
    image[: side // 2] = 200
    found = read(_saved(Image.fromarray(image)), "PNG")[0, 0]
    assert abs(int(found.mean()) - int(image.mean())) <= 2


def test_the_way_a_camera_was_held_is_undone(read):
    image = np.zeros((28, 28), np.uint8)
    image[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    upright = read(_saved(Image.fromarray(image), "JPEG", exif=exif), "JPEG")[0, 0]
    assert upright[-6:].min() > 200
    assert upright[:18].max() < 50


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _png(width: int, height: int, *chunks: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"".join((b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", header), *chunks, _chunk(b"IEND", b"")))


def _pixels(count: int) -> bytes:
    return _chunk(b"IDAT", zlib.compress(bytes(count), 9))


BAD_PICTURES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "PNG"),
    "magic alone": (b"\x89PNG\r\n\x1a\n", "PNG"),
    "half": (picture(GREY)[:200], "PNG"),
    "half a jpeg": (picture(GREY, "JPEG")[:300], "JPEG"),
    "a jpeg called png": (picture(GREY, "JPEG"), "PNG"),
    "a png called jpeg": (picture(GREY), "JPEG"),
    "a gif": (_saved(Image.fromarray(GREY), "GIF"), "PNG"),
    "not square": (_saved(Image.fromarray(GREY[:27])), "PNG"),
    "16 bits": (_saved(Image.fromarray(GREY.astype(np.uint16) * 257)), "PNG"),
    "no size": (_png(0, 0, _pixels(1)), "PNG"),
    "no pixels": (_png(28, 28), "PNG"),
    "broken pixels": (_png(28, 28, _chunk(b"IDAT", b"\x00" * 50)), "PNG"),
    "bomb by size": (_png(2001, 2001, _pixels(2001 * 2002)), "PNG"),
    "bomb by promise": (_png(60_000, 60_000, _pixels(100)), "PNG"),
    "bomb beyond measure": (_png(2**31 - 1, 2**31 - 1, _pixels(100)), "PNG"),
    "bomb in a text": (
        _png(28, 28, _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(80_000_000))), _pixels(812)),
        "PNG",
    ),
}


@pytest.mark.parametrize(("body", "kind"), BAD_PICTURES.values(), ids=BAD_PICTURES)
def test_another_picture_is_refused(read, modules, body, kind):
    tracemalloc.start()
    try:
        with pytest.raises(modules.bad_input.BadInput) as refusal:
            read(body, kind)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert refusal.value.status == 400


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_no_damaged_picture_is_the_functions_error(read, modules, kind):
    generator = np.random.default_rng(5)
    good = np.frombuffer(picture(GREY, kind), np.uint8)
    refused = 0
    for _ in range(400):
        damaged = good.copy()
        places = generator.integers(0, len(good), int(generator.integers(1, 8)))
        damaged[places] = generator.integers(0, 256, len(places))
        try:
            read(damaged.tobytes(), kind)
        except modules.bad_input.BadInput:
            refused += 1
    assert refused > 0
