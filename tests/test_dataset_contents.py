"""What is found in four files that arrive in chunks, wherever the chunks are cut."""

import numpy as np
import pytest

from mc_assets import idx
from mc_assets.dataset_contents import EXAMPLES, SAMPLED, Contents, look_through

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
        samples=tuple(
            tuple(image.tobytes() for image in TRAINING[digit::10]) for digit in range(10)
        ),
    )


@pytest.mark.parametrize("length", [785, 1 << 20])
def test_of_a_large_sorted_file_every_digit_has_its_samples(length: int) -> None:
    count = 3 * SAMPLED + 10
    labels = np.sort(np.arange(count, dtype=np.uint8) % 10)
    images = np.zeros((count, 28, 28), np.uint8)
    images[:, 0, 0] = labels  # an image says which digit it is
    images[:, 0, 1] = np.arange(count) % 251
    files = FILES | {idx.TRAIN_IMAGES: idx.write(images), idx.TRAIN_LABELS: idx.write(labels)}
    samples = look_through(in_chunks(files, length)).samples
    assert [len(found) for found in samples] == [EXAMPLES] * 10
    for digit, found in enumerate(samples):
        assert {image[0] for image in found} == {digit}
        assert len(set(found)) == EXAMPLES


def test_where_a_label_is_missing_no_sample_is_shown() -> None:
    files = FILES | {idx.TRAIN_LABELS: idx.write(np.zeros(49, np.uint8))}
    assert look_through(in_chunks(files, 500)).samples == ()


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
