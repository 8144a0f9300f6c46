"""MNIST in memory: from uncompressed IDX files to normalised batches of tensors."""

import hashlib
import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

SIDE = 28
CLASSES = 10

# Mean and standard deviation of the training images' pixels, as shares of 255.
INPUT_MEAN = 0.1307
INPUT_STD = 0.3081


@dataclass(frozen=True)
class Split:
    """Images uint8 [N, 1, 28, 28], labels int64 [N], and the sha256 of both files' bytes."""

    images: torch.Tensor
    labels: torch.Tensor
    digest: str

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Split":
        return Split(self.images.to(device), self.labels.to(device), self.digest)

    def divided(self, last: int) -> tuple["Split", "Split"]:
        """All but the `last` images, and those; the same memory, of which nothing is copied.

        Raises:
            ValueError: nothing would be left to train on.
        """
        first = len(self) - last
        if first < 1:
            raise ValueError(f"--holdout {last} leaves none of {len(self)} images to train on.")
        return (
            Split(self.images[:first], self.labels[:first], self.digest),
            Split(self.images[first:], self.labels[first:], self.digest),
        )


def load(folder: Path, prefix: str, option: str) -> Split:
    """Read `<prefix>-images-idx3-ubyte` and `<prefix>-labels-idx1-ubyte`, wherever below `folder`.

    Raises:
        FileNotFoundError: one of the two is not there.
        ValueError: a file is not what its name says, or the two do not belong together.
    """
    images_file = _find(folder, f"{prefix}-images-idx3-ubyte", option)
    labels_file = _find(folder, f"{prefix}-labels-idx1-ubyte", option)
    # One copy in memory, which the tensors share: the images may be many.
    images, labels = (np.fromfile(file, np.uint8).data for file in (images_file, labels_file))
    digest = hashlib.sha256(images)
    digest.update(labels)
    split = Split(
        _read(images, images_file.name, SIDE, SIDE).unsqueeze(1),
        _read(labels, labels_file.name).long(),
        digest.hexdigest(),
    )
    _check(split, images_file.name, labels_file.name)
    return split


def normalise(images: torch.Tensor) -> torch.Tensor:
    """From bytes to what the network takes: float32, mean 0 and deviation 1 over MNIST."""
    batch = images.float().div_(255).sub_(INPUT_MEAN).div_(INPUT_STD)
    return batch.contiguous(memory_format=torch.channels_last)


def _find(folder: Path, name: str, option: str) -> Path:
    found = sorted(path for path in folder.rglob(name) if path.is_file())
    if not found:
        raise FileNotFoundError(
            f"There is no {name} in or below {folder}: give the job the {option} channel with "
            f"MNIST's uncompressed files, or name their folder with --{option}."
        )
    if len(found) > 1:
        raise ValueError(f"{name} is there {len(found)} times below {folder}: keep one of them.")
    return found[0]


def _read(data: memoryview, name: str, *sides: int) -> torch.Tensor:
    dimensions = 1 + len(sides)
    header = 4 + 4 * dimensions
    magic = bytes((0, 0, 8, dimensions))
    if len(data) < header or data[:4] != magic:
        raise ValueError(f"{name} does not begin as an uncompressed IDX file ({magic.hex()}).")
    shape = struct.unpack_from(f">{dimensions}I", data, 4)
    if shape[1:] != sides or len(data) != header + math.prod(shape):
        raise ValueError(f"{name} has {len(data)} bytes and announces {shape}: it is damaged.")
    if not shape[0]:
        raise ValueError(f"{name} holds nothing.")
    return torch.frombuffer(data, dtype=torch.uint8, offset=header).view(shape)


def _check(split: Split, images: str, labels: str) -> None:
    if len(split.images) != len(split):
        raise ValueError(f"{images} has {len(split.images)} images, {labels} {len(split)} labels.")
    if int(split.labels.max()) >= CLASSES:
        raise ValueError(f"{labels} holds {int(split.labels.max())}, which is not a digit 0 to 9.")
