"""PNG and JPEG bodies: one picture of one digit, as MNIST has them: light strokes on black."""

import io
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from bad_input import BadInput
from images import IMAGE_SHAPE, GreyLevels

if TYPE_CHECKING:
    from PIL import Image

SIDE = 28
# A picture of this many pixels unpacks to 16 MB at most; a bomb states its size before it unpacks.
MAX_PIXELS = 4_000_000

MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK"})


def read_picture(body: bytes, kind: str) -> GreyLevels:
    """The grey levels of a square picture, uint8 [1, 1, 28, 28].

    A grey one of 28 x 28 is taken as it is. Colours become grey, what is transparent becomes
    black, and another size is scaled. Nothing is inverted, cropped or centred.

    Args:
        body: the file.
        kind: the only format that is tried, "PNG" or "JPEG".

    Raises:
        BadInput: 400 for no such picture, one that is not square, or one of too many pixels.
    """
    # 50 ms that only those pay who send pictures.
    from PIL import Image

    try:
        with Image.open(io.BytesIO(body), formats=(kind,)) as picture:
            _check(picture)
            return np.asarray(_grey(picture)).reshape(1, *IMAGE_SHAPE)
    # Between them, all that Pillow raises for files that are damaged or made to hurt.
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        IndexError,
        OverflowError,
        struct.error,
        zlib.error,
        Image.DecompressionBombError,
    ) as error:
        raise BadInput(400, "Not readable", f"The body is not a readable {kind} file.") from error


def _check(picture: "Image.Image") -> None:
    width, height = picture.size
    if width != height:
        raise BadInput(
            400, "Wrong shape", f"The picture must be square, found {width} x {height} pixels."
        )
    if width * height > MAX_PIXELS:
        raise BadInput(
            400,
            "Too many pixels",
            f"The picture may have {MAX_PIXELS} pixels, found {width} x {height}.",
        )
    if picture.mode not in MODES:
        raise BadInput(
            400, "Wrong depth", f"The picture must have 8 bits a channel, found {picture.mode}."
        )


def _grey(picture: "Image.Image") -> "Image.Image":
    from PIL import Image, ImageOps

    # Cameras turn pictures by a note in the file: a 6 would otherwise be read as a 9.
    picture = ImageOps.exif_transpose(picture)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
        picture = Image.alpha_composite(black, picture)
    picture = picture.convert("L")
    if picture.size == (SIDE, SIDE):
        return picture
    return picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
