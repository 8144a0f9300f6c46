"""What is found in four files that arrive in chunks, wherever the chunks are cut."""

import numpy as np
import pytest

from mc_assets import idx
from mc_assets.dataset_contents import Contents, look_through

RANDOM = np.random.default_rng(0)
TRAINING = RANDOM.integers(0, 256, (50, 28, 28), np.uint8)
# Two of the training images, one of them twice.
TESTING = np.concatenate([TRAINING[[3, 3, 49]], RANDOM.integers(0, 256, (4, 28, 28), np.uint8)])
FILES = {
    idx.TRAIN_IMAGES: idx.write(TRAINING),
    idx.TRAIN_LABELS: idx.write(np.arange(50, dtype=np.uint8) % 10),
    idx.TEST_IMAGES: idx.write(TESTING),
    idx.TEST_LABELS: idx.write(np.array([7, 7, 1, 0, 0, 0, 9], np.uint8)),
}


def in_chunks(files: dict[str, bytes], length: int):
    def cut(data: bytes):
        yield from (data[first : first + length] for first in range(0, len(data), length))

    return {name: (cut(data), len(data)) for name, data in files.items()}


@pytest.mark.parametrize("length", [1, 5, 783, 784, 785, 1 << 20])
def test_what_is_found_does_not_depend_on_the_chunks(length: int) -> None:
    assert look_through(in_chunks(FILES, length)) == Contents(
        training_images=50,
        training_labels=(5,) * 10,
        test_images=7,
        test_labels=(3, 1, 0, 0, 0, 0, 0, 2, 0, 1),
        leaked_images=3,
    )


@pytest.mark.parametrize(
    ("name", "data", "fault"),
    [
        (idx.TRAIN_IMAGES, b"x" * 5000, "begins with 78787878"),
        (idx.TRAIN_IMAGES, FILES[idx.TRAIN_IMAGES] + b"x", "has trailing bytes"),
        (idx.TEST_IMAGES, FILES[idx.TEST_IMAGES][:9], "ends inside its header"),
        (idx.TEST_LABELS, idx.write(np.array([1] * 900 + [10], np.uint8)), "label 900 is 10"),
    ],
)
def test_an_unsound_file_is_named_and_read_to_its_end(name: str, data: bytes, fault: str) -> None:
    files = in_chunks(FILES | {name: data}, 500)
    with pytest.raises(ValueError, match=f"{name}.*{fault}"):
        look_through(files)
    assert list(files[name][0]) == []
