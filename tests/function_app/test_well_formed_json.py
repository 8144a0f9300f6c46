"""The fast reader of JSON accepts nothing that the patient one refuses, and reads it alike."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tiny_onnx import (  # pyright: ignore[reportMissingImports] - pytest's path has tests/
    normalised,
    tiny_images,
)

TOKENS = (
    *(b"[", b"]", b",", b":", b"{", b"}", b'"', b"-", b"+", b".", b"e", b"E", b"0", b"1", b" "),
    *(b"null", b"true", b"NaN", b"Infinity", b"1e999", b"1e-999", b"-0", b"0.0", b"1.", b".5"),
    *(b"01", b"1e5", b"1000001", b"256", b"7.0", b'"data"', b'"pixels"', b'"other":1,'),
    *(b"\xff", b"\xef\xbb\xbf", b"\x00", b"\x0c", b"\t", b"\\u0064", b"// a", b"/**/", b"0x1"),
)


def _bodies(generator: np.random.Generator) -> list[bytes]:
    images = tiny_images(1, seed=int(generator.integers(1000)))
    data = json.dumps({"data": normalised(images).tolist()}, indent=int(generator.integers(3)))
    pixels = json.dumps({"pixels": images.tolist()}, separators=(",", ":"))
    return [data.encode(), pixels.encode()]


def _mutated(generator: np.random.Generator, good: bytes) -> bytes:
    """A token put in, or put in place of a few bytes, mostly near one end or at a number."""
    body = bytearray(good)
    for _ in range(int(generator.integers(1, 3))):
        places = (
            int(generator.integers(0, 12)),
            len(body) - int(generator.integers(0, 8)),
            int(generator.integers(0, len(body))),
        )
        start = places[int(generator.integers(3))]
        end = start + int(generator.integers(0, 4))
        body[start:end] = TOKENS[int(generator.integers(len(TOKENS)))]
    return bytes(body)


def _read(reader: Callable[[bytes], object], refusal: type[Exception], body: bytes) -> Any:
    try:
        return reader(body)
    except refusal:
        return None


def test_over_mutated_bodies_both_readers_agree(modules):
    fast, patient = modules.well_formed_json.read_well_formed, modules.json_body._read_patiently
    generator = np.random.default_rng(11)
    accepted = {"fast": 0, "patient alone": 0, "neither": 0}
    for _ in range(2000):
        for good in _bodies(generator):
            body = _mutated(generator, good)
            found = fast(body)
            expected = _read(patient, modules.bad_input.BadInput, body)
            if found is None:
                accepted["neither" if expected is None else "patient alone"] += 1
                continue
            accepted["fast"] += 1
            assert expected is not None, body
            assert found.dtype == expected.dtype
            assert found.shape == expected.shape
            assert (found == expected).all(), body
    assert all(accepted.values()), accepted


@pytest.mark.parametrize("count", [1, 3])
def test_well_formed_bodies_need_no_patience(modules, count):
    images = tiny_images(count)
    for document in ({"data": normalised(images).tolist()}, {"pixels": images.tolist()}):
        assert modules.well_formed_json.read_well_formed(json.dumps(document).encode()) is not None


def test_numbers_are_read_to_the_last_bit(modules):
    generator = np.random.default_rng(12)
    values = generator.standard_normal((40, 1, 28, 28)) * 10.0 ** generator.integers(-40, 6, 28)
    values = np.clip(values, -1e6, 1e6)
    found = modules.well_formed_json.read_well_formed(
        json.dumps({"data": values.tolist()}).encode()
    )
    assert found.tobytes() == values.astype(np.float32).tobytes()


@pytest.mark.parametrize(
    ("written", "accepted"),
    [
        ('{"data": [], "data": DATA}', True),
        ('{"data": DATA, "data": []}', False),
        ('{"data": DATA, "pixels": PIXELS}', False),
        ('{"data": DATA, "name": "\\ud83d"}', True),
        ('{"name": {"data": 1}, "pixels": PIXELS}', True),
        ('{"d\\u0061ta": DATA}', True),
        (' \r\n\t{"pixels" : PIXELS } \n', True),
        ('{"pixels": PIXELS}\0', False),
        ('{"pixels": PIXELS,}', False),
        ('{"pixels": PIXELS, "a": 01}', False),
        ('{"Pixels": PIXELS}', False),
    ],
)
def test_the_two_together_accept_what_the_patient_one_accepts(modules, written, accepted):
    images = tiny_images(1)
    text = written.replace("DATA", json.dumps(normalised(images).tolist()))
    body = text.replace("PIXELS", json.dumps(images.tolist())).encode()
    found = _read(modules.json_body.read_json, modules.bad_input.BadInput, body)
    assert (found is not None) == accepted
