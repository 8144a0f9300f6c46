"""mc_assets.idx: real files read, written back, and refused when a byte is off."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from mc_assets import idx


def images(count: int = 3) -> bytes:
    return idx.write(np.random.default_rng(0).integers(0, 256, (count, 28, 28), np.uint8))


def test_real_files_are_read_and_written_back_to_the_byte(mnist_subset: Path) -> None:
    data = (mnist_subset / idx.TRAIN_IMAGES).read_bytes()
    labels = (mnist_subset / idx.TRAIN_LABELS).read_bytes()
    assert idx.read_images(data).shape == (2000, 28, 28)
    assert idx.read_images(data).dtype == np.uint8
    assert idx.read_labels(labels)[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert idx.write(idx.read_images(data)) == data
    assert idx.write(idx.read_labels(labels)) == labels


def test_the_four_whole_files_are_known(mnist: Path) -> None:
    for name in idx.MNIST_FILES:
        idx.check_known(name, (mnist / name).read_bytes())


def test_a_changed_byte_is_not_the_known_file(mnist: Path) -> None:
    data = bytearray((mnist / idx.TEST_LABELS).read_bytes())
    data[-1] ^= 1
    with pytest.raises(ValueError, match=r"t10k-labels.*sha256"):
        idx.check_known(idx.TEST_LABELS, bytes(data))
    with pytest.raises(ValueError, match="10,007 bytes"):
        idx.check_known(idx.TEST_LABELS, bytes(data[:-1]))
    with pytest.raises(ValueError, match="none of MNIST's files"):
        idx.check_known("labels", bytes(data))


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "begins with nothing"),
        (b"<html>not found</html>", "begins with 3c68746d"),
        (gzip.compress(images()), "uncompress it first"),
        (idx.write(np.zeros(3, np.uint8)), "begins with 00000801"),
        (images()[:7], "ends inside its header"),
        (images()[:-1], "is truncated"),
        (images() + b"\0", "has trailing bytes"),
        (idx.write(np.zeros((2, 27, 28), np.uint8)), "27 x 28"),
        (struct.pack(">IIII", 0x803, 2**31, 2**31, 2**31), "is truncated"),
    ],
)
def test_bad_images_are_refused_by_name(data: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=f"^some-file: .*{fault}"):
        idx.read_images(data, "some-file")


def test_a_label_above_nine_is_refused_with_its_place() -> None:
    with pytest.raises(ValueError, match="label 2 is 10"):
        idx.read_labels(idx.write(np.array([0, 9, 10], np.uint8)))


def test_only_unsigned_bytes_are_written() -> None:
    with pytest.raises(ValueError, match="float64"):
        idx.write(np.zeros((2, 2)))  # pyright: ignore[reportArgumentType] - the point of the test
