"""Request bodies become the images that were sent, or a refusal that says where the fault is."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from tiny_onnx import (  # pyright: ignore[reportMissingImports] - pytest's path has tests/
    MEAN,
    STD,
    normalised,
    tiny_images,
)

JSON = {"content-type": "application/json"}
PIXELS = {"content-type": "application/octet-stream"}


@pytest.fixture(scope="module")
def payload(modules: SimpleNamespace):
    return modules.payload


@pytest.fixture(scope="module")
def levels(payload):
    return payload.grey_levels(MEAN, STD)


def test_grey_levels_are_bit_for_bit_what_the_training_transform_gives(levels):
    torch = pytest.importorskip("torch")
    pixels = torch.arange(256, dtype=torch.uint8).to(torch.float32).div(255)
    expected = pixels.sub_(torch.tensor(MEAN)).div_(torch.tensor(STD)).numpy()
    assert levels.dtype == np.float32
    assert levels.tobytes() == expected.tobytes()


def test_raw_bytes_and_json_of_the_same_images_are_the_same_array(payload, levels):
    images = tiny_images(5)
    document = json.dumps({"data": normalised(images).tolist()}).encode()
    from_json = payload.read_images(JSON, document, levels)
    from_pixels = payload.read_images(PIXELS, images.tobytes(), levels)
    assert from_json.shape == (5, 1, 28, 28)
    assert from_json.dtype == from_pixels.dtype == np.float32
    assert from_json.tobytes() == from_pixels.tobytes() == normalised(images).tobytes()


def test_whole_numbers_are_numbers(payload, levels):
    ones = [[[[1] * 28] * 28]]
    assert (payload.read_images(JSON, json.dumps({"data": ones}).encode(), levels) == 1.0).all()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": ""},
        {"content-type": "application/json; charset=utf-8"},
        {"content-type": "Application/JSON"},
        {"content-type": "application/json", "content-encoding": "identity"},
    ],
)
def test_json_is_read_under_every_spelling_of_its_type_and_without_one(payload, levels, headers):
    body = json.dumps({"data": [[[[0.5] * 28] * 28]]}).encode()
    assert payload.read_images(headers, body, levels).shape == (1, 1, 28, 28)


def _blank(count: int = 3) -> list:
    return [[[[0.0] * 28 for _ in range(28)]] for _ in range(count)]


def _with(place: tuple[int, ...], value: object) -> bytes:
    data = _blank()
    part = data
    for index in place[:-1]:
        part = part[index]
    part[place[-1]] = value
    return json.dumps({"data": data}).encode()


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (_with((2, 0, 7), [0.0] * 27), "Expected 28 values in data[2][0][7], found 27 values."),
        (_with((1, 0), [[0.0] * 28] * 29), "Expected 28 values in data[1][0], found 29 values."),
        (_with((1,), []), "Expected 1 values in data[1], found 0 values."),
        (_with((2, 0, 3), 4), "Expected 28 values in data[2][0][3], found no list."),
        (_with((1, 0, 2, 3), "4"), "data[1][0][2][3] is text, not a number."),
        (_with((1, 0, 2, 3), True), "data[1][0][2][3] is a boolean, not a number."),
        (_with((1, 0, 2, 3), None), "data[1][0][2][3] is null, not a number."),
        (_with((1, 0, 2, 3), [4]), "data[1][0][2][3] is a list, not a number."),
        (_with((1, 0, 2, 3), {}), "data[1][0][2][3] is an object, not a number."),
        (
            _with((2, 0, 27, 27), -1.1e6),
            "data[2][0][27][27] is not a number within +/-1e+06.",
        ),
        (
            json.dumps({"data": [[[[0.0] * 28] * 27]]}).encode(),
            "Expected data of N x 1 x 28 x 28, found 1 x 1 x 27 x 28.",
        ),
        (
            json.dumps({"data": [[[0.0] * 28] * 28]}).encode(),
            "Expected data of N x 1 x 28 x 28, found 1 x 28 x 28.",
        ),
        (b'{"data": 7}', "Expected data of N x 1 x 28 x 28, found no list."),
    ],
)
def test_a_refusal_names_the_place_and_what_was_found(payload, levels, body, detail):
    with pytest.raises(payload.BadInput) as refusal:
        payload.read_images(JSON, body, levels)
    assert refusal.value.status == 400
    assert refusal.value.detail == detail


def test_a_compressed_body_is_refused_even_when_its_length_would_fit(payload, levels):
    headers = PIXELS | {"content-encoding": "gzip"}
    with pytest.raises(payload.BadInput) as refusal:
        payload.read_images(headers, bytes(784), levels)
    assert refusal.value.status == 415


@pytest.mark.parametrize(
    ("params", "flag"),
    [({}, False), ({"f": "true"}, True), ({"f": "TRUE"}, True), ({"f": "false"}, False)],
)
def test_flags(payload, params, flag):
    assert payload.read_flag(params, "f") is flag


@pytest.mark.parametrize("value", ["1", "", "yes", "tru", "true\x00"])
def test_other_flags_are_refused(payload, value):
    with pytest.raises(payload.BadInput):
        payload.read_flag({"f": value}, "f")
