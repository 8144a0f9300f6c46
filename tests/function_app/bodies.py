"""The same images in every body that classify reads: of grey levels, and of normalised numbers."""

import base64
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tiny_onnx import normalised  # pyright: ignore[reportMissingImports] - pytest's path has tests/

JSON = "application/json"
OCTETS = "application/octet-stream"
NPY = "application/x-npy"


@dataclass(frozen=True)
class Body:
    name: str
    data: bytes
    content_type: str
    encoding: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """As the host gives them, in lower case."""
        told = {"content-type": self.content_type, "content-encoding": self.encoding}
        return {name: value for name, value in told.items() if value}


def bodies_of(images: NDArray[np.uint8]) -> list[Body]:
    """uint8 [N, 28, 28] in every way, each as it is, under gzip and under deflate."""
    plain = [*_plain(images)]
    packed = [
        replace(body, name=f"{body.name} {encoding}", data=pack(body.data), encoding=encoding)
        for body in plain
        for encoding, pack in (("gzip", gzip.compress), ("deflate", zlib.compress))
    ]
    return plain + packed


def npy(array: NDArray[np.generic], version: tuple[int, int] | None = None) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version, allow_pickle=False)
    return stream.getvalue()


def picture(image: NDArray[np.uint8], kind: str = "PNG", mode: str | None = None) -> bytes:
    stream = io.BytesIO()
    made = Image.fromarray(image)
    (made if mode is None else made.convert(mode)).save(stream, kind)
    return stream.getvalue()


def _plain(images: NDArray[np.uint8]) -> Iterator[Body]:
    numbers = normalised(images)
    encoded = base64.b64encode(images.tobytes()).decode()
    yield Body("data", json.dumps({"data": numbers.tolist()}).encode(), JSON)
    yield Body("pixels", json.dumps({"pixels": images.tolist()}).encode(), JSON)
    yield Body("pixels_base64", json.dumps({"pixels_base64": encoded}).encode(), JSON)
    yield Body("octets", images.tobytes(), OCTETS)
    yield Body("npy", npy(images), NPY)
    yield Body("npy with channel", npy(images[:, None]), NPY)
    yield Body("npy 2.0", npy(images, (2, 0)), NPY)
    yield Body("npy by columns", npy(np.asfortranarray(images)), NPY)
    yield Body("npy floats", npy(numbers[:, 0]), NPY)
    yield Body("npy floats with channel", npy(numbers), NPY)
    if len(images) == 1:
        yield Body("png", picture(images[0]), "image/png")
