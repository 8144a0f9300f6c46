"""MNIST many times over: IDX files of any size, made by moving the digits, written as a stream."""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mc_assets import idx

CHUNK = 10_000
MOST_SHIFT = 2


def write_times(times: int, original: Path, into: Path, seed: int = 1) -> int:
    """Write `times` copies of the training set and the test set as it is; how many images.

    The first copy is the original. In the others every digit moves by up to 2 pixels each way,
    and its ink gets up to a fifth weaker.
    """
    into.mkdir(parents=True, exist_ok=True)
    for name in (idx.TEST_IMAGES, idx.TEST_LABELS):
        (into / name).write_bytes((original / name).read_bytes())
    images = idx.read_images((original / idx.TRAIN_IMAGES).read_bytes())
    labels = idx.read_labels((original / idx.TRAIN_LABELS).read_bytes())
    random, count = np.random.default_rng(seed), times * len(images)
    with (into / idx.TRAIN_IMAGES).open("wb") as stream:
        stream.write(struct.pack(">HBB3I", 0, 8, 3, count, idx.SIDE, idx.SIDE))
        for copy in range(times):
            for begin in range(0, len(images), CHUNK):
                chunk = images[begin : begin + CHUNK]
                stream.write((_varied(chunk, random) if copy else chunk).tobytes())
    with (into / idx.TRAIN_LABELS).open("wb") as stream:
        stream.write(struct.pack(">HBB1I", 0, 8, 1, count))
        for _ in range(times):
            stream.write(labels.tobytes())
    return count


def _varied(images: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    side = idx.SIDE
    padded = np.pad(images, ((0, 0), (MOST_SHIFT, MOST_SHIFT), (MOST_SHIFT, MOST_SHIFT)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(1, 2))
    down, right = random.integers(0, 2 * MOST_SHIFT + 1, (2, len(images)))
    moved = windows[np.arange(len(images)), down, right]
    ink = random.uniform(0.8, 1.0, (len(images), 1, 1)).astype(np.float32)
    return (moved * ink).astype(np.uint8)
