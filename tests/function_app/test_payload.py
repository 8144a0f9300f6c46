"""Request bodies become the images that were sent, or a refusal that says where the fault is."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from bodies import JSON, NPY, bodies_of, npy

from tiny_onnx import (  # pyright: ignore[reportMissingImports] - pytest's path has tests/
    normalised,
    tiny_images,
)

LIMIT = 8 * 1024 * 1024
ONE_KEY = "The body must be a JSON object with one of the keys data, pixels, pixels_base64"


@pytest.fixture(scope="module")
def payload(modules: SimpleNamespace):
    return modules.payload


@pytest.fixture(scope="module")
def refusal(modules: SimpleNamespace):
    """What is said against a body."""

    def refusal_of(body: bytes, content_type: str = JSON, encoding: str = "", limit: int = LIMIT):
        headers = {"content-type": content_type, "content-encoding": encoding}
        with pytest.raises(modules.bad_input.BadInput) as raised:
            modules.payload.read_images(headers, body, limit)
        return raised.value

    return refusal_of


@pytest.mark.parametrize("count", [1, 5])
def test_every_body_of_the_same_images_is_the_same_images(payload, count):
    images = tiny_images(count)
    for body in bodies_of(images):
        found = payload.read_images(body.headers, body.data, LIMIT)
        assert found.shape == (count, 1, 28, 28), body.name
        of_grey = found.dtype == np.uint8
        expected = images if of_grey else normalised(images)
        assert found.dtype == expected.dtype, body.name
        assert found.tobytes() == expected.tobytes(), body.name
        assert of_grey == (not body.name.startswith(("data", "npy floats"))), body.name


def test_a_digit_takes_under_200_bytes_compressed(payload):
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 4:24, 13:16] = np.random.default_rng(0).integers(1, 256, (20, 3))
    sent = {body.name: len(body.data) for body in bodies_of(image)}
    assert sent["octets"] == 784
    assert sent["octets deflate"] < 200


def test_whole_numbers_are_numbers(payload):
    ones = [[[[1] * 28] * 28]]
    found = payload.read_images({}, json.dumps({"data": ones}).encode(), LIMIT)
    assert found.dtype == np.float32
    assert (found == 1.0).all()


@pytest.mark.parametrize("number", ["7.0", "70e-1", "7"])
def test_a_grey_level_may_be_written_in_every_way_that_json_has_for_it(payload, number):
    body = json.dumps({"pixels": [[["seven"] * 28] * 28]}).replace('"seven"', number).encode()
    found = payload.read_images({}, body, LIMIT)
    assert found.dtype == np.uint8
    assert (found == 7).all()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": ""},
        {"content-type": "application/json; charset=utf-8"},
        {"content-type": "Application/JSON"},
        {"content-type": "application/json", "content-encoding": "identity"},
        {"content-type": "application/json", "content-encoding": ""},
    ],
)
def test_json_is_read_under_every_spelling_of_its_type_and_without_one(payload, headers):
    body = json.dumps({"data": [[[[0.5] * 28] * 28]]}).encode()
    assert payload.read_images(headers, body, LIMIT).shape == (1, 1, 28, 28)


def _with(place: tuple[int, ...], value: object, key: str = "data") -> bytes:
    blank = np.zeros((3, 1, 28, 28) if key == "data" else (3, 28, 28))
    data = blank.tolist()
    part = data
    for index in place[:-1]:
        part = part[index]
    part[place[-1]] = value
    return json.dumps({key: data}).encode()


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
        (_with((2, 7), [0] * 27, "pixels"), "Expected 28 values in pixels[2][7], found 27 values."),
        (
            _with((2, 7, 3), 256, "pixels"),
            "pixels[2][7][3] is not a whole number from 0 to 255.",
        ),
        (_with((2, 7, 3), 0.5, "pixels"), "pixels[2][7][3] is not a whole number from 0 to 255."),
        (_with((2, 7, 3), -1, "pixels"), "pixels[2][7][3] is not a whole number from 0 to 255."),
        (_with((2, 7, 3), "7", "pixels"), "pixels[2][7][3] is text, not a number."),
        (
            json.dumps({"pixels": [[[[0] * 28] * 28]]}).encode(),
            "Expected pixels of N x 28 x 28, found 1 x 1 x 28 x 28.",
        ),
        (b'{"pixels_base64": 7}', "pixels_base64 must be a text."),
        (
            b'{"pixels_base64": "AAAA"}',
            "Expected a multiple of 784 bytes (28 x 28 an image), found 3 bytes.",
        ),
        (
            b'{"pixels_base64": "", "data": []}',
            f"{ONE_KEY}, found data and pixels_base64.",
        ),
        (
            b"[]",
            f"{ONE_KEY}, found none of them.",
        ),
    ],
)
def test_a_refusal_names_the_place_and_what_was_found(refusal, body, detail):
    said = refusal(body)
    assert said.status == 400
    assert said.detail == detail


@pytest.mark.parametrize("text", ["AAA", "AA=A", "!!!!", "AAAA\n", "\u00e4AAA"])
def test_only_base64_is_base64(refusal, text):
    said = refusal(json.dumps({"pixels_base64": text}).encode())
    assert (said.status, said.title) == (400, "Not base64")


def _header(text: str, version: bytes = b"\x01\x00") -> bytes:
    data = text.encode() + b"\n"
    return b"\x93NUMPY" + version + len(data).to_bytes(2 if version[0] == 1 else 4, "little") + data


def _described(shape: str, dtype: str = "|u1", by_columns: bool = False) -> bytes:
    return _header(f"{{'descr': '{dtype}', 'fortran_order': {by_columns}, 'shape': {shape}, }}")


BAD_ARRAYS = {
    "empty": b"",
    "magic alone": b"\x93NUMPY",
    "no array": b"PK\x03\x04",
    "version 9": _header("{}", b"\x09\x00"),
    "long header": _header("{" + " " * 20_000 + "}", b"\x02\x00"),
    "short of its header": _described("(1, 28, 28)")[:-5],
    "code": _header("__import__('os').abort()"),
    "deep": _header("(" * 5000 + ")" * 5000),
    "signs": _header("{'shape': " + "-" * 9000 + "1}"),
    "objects": npy(np.array([[None]]).astype("S1")),
    "pickle": _described("(1, 28, 28)", "|O") + b"\x80\x04K*.",
    "float64": npy(tiny_images(1).astype(np.float64)),
    "big-endian": npy(tiny_images(1).astype(">f4")),
    "signed": npy(tiny_images(1).astype(np.int8)),
    "one image bare": npy(tiny_images(1)[0]),
    "flat": npy(tiny_images(1).reshape(1, 784)),
    "three channels": npy(np.zeros((1, 3, 28, 28), np.uint8)),
    "none": npy(tiny_images(0)),
    "scalar": npy(np.array(7, np.uint8)),
    "minus one": _described("(-1, 28, 28)"),
    "minus one, long": _described("(-1, 28, 28)") + bytes(784),
    "huge": _described("(10**15, 28, 28)"),
    "huge, written out": _described("(1000000000000000, 28, 28)"),
    "one byte short": npy(tiny_images(2))[:-1],
    "one byte over": npy(tiny_images(2)) + b"\x00",
    "nan": npy(np.full((1, 28, 28), np.nan, np.float32)),
    "too large": npy(np.full((1, 28, 28), 2e6, np.float32)),
}


@pytest.mark.parametrize("body", BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_another_array_is_refused(refusal, body):
    assert refusal(body, NPY).status == 400


@pytest.mark.parametrize(("params", "flag"), [({}, False), ({"f": "true"}, True)])
def test_flags(payload, params, flag):
    assert payload.read_flag(params, "f") is flag


@pytest.mark.parametrize(("text", "flag"), [("TRUE", True), ("false", False), (" true ", True)])
def test_flags_in_other_spellings(payload, text, flag):
    assert payload.read_flag({"f": text}, "f") is flag


@pytest.mark.parametrize("value", ["1", "", "yes", "tru", "true\x00"])
def test_other_flags_are_refused(payload, modules, value):
    with pytest.raises(modules.bad_input.BadInput):
        payload.read_flag({"f": value}, "f")
