"""Every route answers as promised, names model and package, and takes no blame for input."""

import ast
import hashlib
import importlib.metadata
import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bodies import bodies_of

from tiny_onnx import (  # pyright: ignore[reportMissingImports] - pytest's path has tests/
    METADATA,
    expected_digits,
    normalised,
    tiny_images,
    tiny_onnx,
    tiny_weights,
)

SOURCE = Path(__file__).parents[2] / "function_app"
OCTETS = "application/octet-stream"


def _as_json(images: Any) -> bytes:
    return json.dumps({"data": normalised(images).tolist()}).encode()


def _data(value: object) -> bytes:
    return json.dumps({"data": value}).encode()


def _image_with(value: str) -> bytes:
    image = [["0.5"] * 28 for _ in range(28)]
    image[27][27] = value
    rows = ",".join("[" + ",".join(row) + "]" for row in image)
    return f'{{"data": [[[{rows}]]]}}'.encode()


def test_the_worker_finds_five_routes_and_only_health_and_the_page_are_open(app):
    found = {}
    for name, function in app.functions.items():
        trigger = function.get_dict_repr()["bindings"][0]
        methods = [str(method) for method in trigger["methods"]]
        found[name] = (trigger["route"], methods, str(trigger["authLevel"]))
    assert found == {
        "classify": ("classify", ["POST"], "FUNCTION"),
        "health": ("health", ["GET"], "ANONYMOUS"),
        "model": ("model", ["GET"], "FUNCTION"),
        "openapi": ("openapi.json", ["GET"], "FUNCTION"),
        "page": ("{nothing:maxlength(0)?}", ["GET"], "ANONYMOUS"),
    }


def test_the_whole_test_set_fits_in_one_request_of_raw_bytes(app):
    images = tiny_images(10_000)
    answer = app.call("classify", images.tobytes(), OCTETS)
    assert answer.document["digits"] == expected_digits(images, tiny_weights())


def test_a_client_that_names_no_content_type_is_read_as_json(app):
    images = tiny_images(2)
    answer = app.call("classify", _as_json(images), content_type=None)
    assert answer.document["digits"] == expected_digits(images, tiny_weights())


def test_probabilities_on_request(app):
    images = tiny_images(7)
    answer = app.call("classify", images.tobytes(), OCTETS, params={"probabilities": "true"})
    probabilities = np.array(answer.document["probabilities"])
    assert probabilities.shape == (7, 10)
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert probabilities.argmax(axis=1).tolist() == answer.document["digits"]
    assert "probabilities" not in app.call("classify", images.tobytes(), OCTETS).document


def test_every_answer_names_the_model_and_the_package(app):
    version = json.loads((app.folder / "manifest.json").read_text())["version"]
    answers = [
        app.call("health"),
        app.call("model"),
        app.call("page"),
        app.call("classify", tiny_images(1).tobytes(), OCTETS),
        app.call("classify", b"no image", OCTETS),
        app.call("classify", b"", "text/plain"),
    ]
    assert [answer.status for answer in answers] == [200, 200, 200, 200, 400, 415]
    for answer in answers:
        assert answer.headers["x-model-sha256"] == hashlib.sha256(tiny_onnx()).hexdigest()
        assert answer.headers["x-package-version"] == version


def test_health_says_no_more_than_what_serves(app):
    manifest = json.loads((app.folder / "manifest.json").read_text())
    assert app.call("health").document == {
        "status": "ok",
        "model": manifest["model"]["sha256"],
        "package": manifest["version"],
    }


def test_model_tells_the_manifest_the_signature_and_the_metadata(app):
    document = app.call("model").document
    assert document["manifest"] == json.loads((app.folder / "manifest.json").read_text())
    assert document["manifest"]["extra"] == {"origin": "tests"}
    assert document["inputs"][0]["shape"] == ["batch", 1, 28, 28]
    assert document["outputs"][0]["name"] == "output_0"
    assert document["metadata"] == METADATA


BLANK_ROW = [0.0] * 28
BLANK = [[BLANK_ROW] * 28]
BAD_BODIES: dict[str, tuple[int, bytes, str]] = {
    "empty": (400, b"", "application/json"),
    "blank": (400, b"  \n", "application/json"),
    "not json": (400, b"<html></html>", "application/json"),
    "half json": (400, _data([BLANK])[:-5], "application/json"),
    "two documents": (400, _data([BLANK]) * 2, "application/json"),
    "single quotes": (400, b"{'data': []}", "application/json"),
    "trailing comma": (400, b'{"data": [1,]}', "application/json"),
    "null": (400, b"null", "application/json"),
    "number": (400, b"7", "application/json"),
    "text": (400, b'"data"', "application/json"),
    "bare list": (400, json.dumps([BLANK]).encode(), "application/json"),
    "no data": (400, b"{}", "application/json"),
    "other key": (400, b'{"Data": []}', "application/json"),
    "data null": (400, _data(None), "application/json"),
    "data number": (400, _data(7), "application/json"),
    "data text": (400, _data("7"), "application/json"),
    "data object": (400, _data({"0": BLANK}), "application/json"),
    "data true": (400, _data(True), "application/json"),
    "empty batch": (400, _data([]), "application/json"),
    "empty image": (400, _data([[]]), "application/json"),
    "empty channel": (400, _data([[[]]]), "application/json"),
    "empty row": (400, _data([[[[]]]]), "application/json"),
    "27 rows": (400, _data([[[BLANK_ROW] * 27]]), "application/json"),
    "27 columns": (400, _data([[[[0.0] * 27] * 28]]), "application/json"),
    "no channel": (400, _data([[BLANK_ROW] * 28]), "application/json"),
    "one image bare": (400, _data([BLANK_ROW] * 28), "application/json"),
    "three channels": (400, _data([BLANK * 3]), "application/json"),
    "channels last": (400, _data([[[[0.0]] * 28] * 28]), "application/json"),
    "flat": (400, _data([[0.0] * 784]), "application/json"),
    "five dimensions": (400, _data([[BLANK]]), "application/json"),
    "second image ragged": (400, _data([BLANK, [[BLANK_ROW] * 27]]), "application/json"),
    "one row ragged": (400, _data([[[*[BLANK_ROW] * 27, [0.0]]]]), "application/json"),
    "one row a number": (400, _data([[[*[BLANK_ROW] * 27, 0.0]]]), "application/json"),
    "second image null": (400, _data([BLANK, None]), "application/json"),
    "text as number": (400, _image_with('"0.5"'), "application/json"),
    "word": (400, _image_with('"black"'), "application/json"),
    "true": (400, _image_with("true"), "application/json"),
    "null pixel": (400, _image_with("null"), "application/json"),
    "list pixel": (400, _image_with("[1]"), "application/json"),
    "NaN": (400, _image_with("NaN"), "application/json"),
    "Infinity": (400, _image_with("Infinity"), "application/json"),
    "minus Infinity": (400, _image_with("-Infinity"), "application/json"),
    "1e400": (400, _image_with("1e400"), "application/json"),
    "1e39": (400, _image_with("1e39"), "application/json"),
    "401 digits": (400, _image_with("1" + "0" * 400), "application/json"),
    "5000 digits": (400, _image_with("9" * 5000), "application/json"),
    "hex": (400, _image_with("0x10"), "application/json"),
    "leading zero": (400, _image_with("01"), "application/json"),
    "1000 deep": (400, _data(0).replace(b"0", b"[" * 1000 + b"]" * 1000), "application/json"),
    "200000 deep": (400, b"[" * 200_000, "application/json"),
    "200000 objects deep": (400, b'{"data":' * 200_000, "application/json"),
    "duplicate key, last wrong": (400, b'{"data": [], "data": 1}', "application/json"),
    "utf-16": (400, _data([BLANK]).decode().encode("utf-16"), "application/json"),
    "utf-8 mark": (400, b"\xef\xbb\xbf" + _data([BLANK]), "application/json"),
    "latin-1": (400, '{"däta": []}'.encode("latin-1"), "application/json"),
    "null bytes": (400, bytes(784), "application/json"),
    "lone surrogate": (400, b'{"data": "\\ud800"}', "application/json"),
    "octets empty": (400, b"", OCTETS),
    "octets one short": (400, bytes(783), OCTETS),
    "octets one over": (400, bytes(785), OCTETS),
    "octets as json": (400, _data([BLANK]), OCTETS),
    "plain text": (415, _data([BLANK]), "text/plain"),
    "form": (415, b"data=1", "application/x-www-form-urlencoded"),
    "bmp": (415, b"BM", "image/bmp"),
    "json lines": (415, _data([BLANK]), "application/jsonl"),
    "strange type": (415, _data([BLANK]), "\u2603" * 500),
    "one over the cap": (413, bytes(8 * 1024 * 1024 + 1), OCTETS),
    "ten MB of json": (413, b"[" + b"0," * 5_000_000 + b"0]", "application/json"),
}


def _is_problem(answer: Any) -> bool:
    document = answer.document
    return (
        answer.mimetype == "application/problem+json"
        and set(document) == {"type", "title", "status", "detail"}
        and document["status"] == answer.status
        and all(isinstance(document[key], str) and document[key] for key in ("title", "detail"))
        and len(json.dumps(document)) < 2000
        and {"x-model-sha256", "x-package-version"} <= set(map(str.lower, answer.headers.keys()))
    )


@pytest.mark.parametrize(("status", "body", "content_type"), BAD_BODIES.values(), ids=BAD_BODIES)
def test_bad_input_is_the_clients_error(app, status, body, content_type):
    answer = app.call("classify", body, content_type)
    assert answer.status == status
    assert _is_problem(answer)


def test_a_bad_query_is_the_clients_error(app):
    answer = app.call("classify", bytes(784), OCTETS, params={"probabilities": "maybe"})
    assert answer.status == 400
    assert _is_problem(answer)


def _mutated(generator: np.random.Generator, good: bytes) -> bytes:
    """A good body with a slice removed, doubled, shuffled in or overwritten, once to four times."""
    body = bytearray(good)
    tokens = (b"[", b"]", b",", b"null", b'"', b"1e999", b"-", b"{", b"NaN", b"\xff", b"\\u", b":")
    for _ in range(int(generator.integers(1, 5))):
        start = int(generator.integers(0, len(body) + 1))
        end = min(len(body), start + int(generator.integers(0, 40)))
        piece = (
            b"",
            bytes(body[start:end]) * 2,
            tokens[int(generator.integers(len(tokens)))],
            generator.bytes(int(generator.integers(1, 20))),
        )[int(generator.integers(4))]
        body[start:end] = piece
    return bytes(body)


def test_no_mutated_body_is_the_functions_error(app, pixel_app):
    generator = np.random.default_rng(20)
    good = bodies_of(tiny_images(1))
    statuses = set()
    for trial in range(1500):
        sent = good[trial % len(good)]
        body, asked = _mutated(generator, sent.data), (app, pixel_app)[trial % 2]
        encoding = {"Content_Encoding": sent.encoding} if sent.encoding else {}
        answer = asked.call("classify", body, sent.content_type, **encoding)
        statuses.add(answer.status)
        assert answer.status in (200, 400), body
        assert answer.status == 200 or _is_problem(answer), body
    assert {200, 400} == statuses


def test_every_body_gets_the_same_answer_from_either_kind_of_model(app, pixel_app):
    for count in (1, 16, 70):
        images = tiny_images(count, seed=5)
        for body in bodies_of(images):
            encoding = {"Content_Encoding": body.encoding} if body.encoding else {}
            for asked in (app, pixel_app):
                answer = asked.call("classify", body.data, body.content_type, **encoding)
                assert answer.status == 200, body.name
                assert answer.mimetype == "application/json"
                assert answer.document["digits"] == expected_digits(images, tiny_weights())
                assert answer.document["model"] == answer.headers["x-model-sha256"]


def test_eight_clients_at_once_get_the_answers_one_client_gets(app):
    def ask(seed: int) -> bool:
        images = tiny_images(1 + seed % 40, seed=seed)
        answer = app.call("classify", images.tobytes(), OCTETS)
        return answer.document["digits"] == expected_digits(images, tiny_weights())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(400)))


def test_a_model_that_fails_is_the_functions_error_and_keeps_its_inside(folder, load, caplog):
    broken = tiny_onnx(np.full((784, 10), np.nan, np.float32))
    (folder / "model" / "model.onnx").write_bytes(broken)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["model"]["sha256"] = hashlib.sha256(broken).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    answer = load(folder).call("classify", bytes(784), OCTETS)
    assert answer.status == 500
    assert _is_problem(answer)
    assert "ArithmeticError" not in json.dumps(answer.document)
    assert "ArithmeticError" in caplog.text


def test_the_settings_are_obeyed(folder, load, monkeypatch):
    monkeypatch.setenv("MC_MAX_BODY_BYTES", "1568")
    monkeypatch.setenv("MC_INTRA_OP_THREADS", "2")
    app = load(folder)
    assert app.call("classify", bytes(1568), OCTETS).status == 200
    assert app.call("classify", bytes(1569), OCTETS).status == 413


def _damage_model(folder: Path) -> None:
    path = folder / "model" / "model.onnx"
    path.write_bytes(path.read_bytes()[:-100])


def _exchange_model(folder: Path) -> None:
    (folder / "model" / "model.onnx").write_bytes(tiny_onnx(tiny_weights(seed=9)))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated model": (_damage_model, "Protobuf parsing failed|INVALID_PROTOBUF"),
    "another model": (_exchange_model, "the package is damaged"),
    "no model": (lambda folder: (folder / "model" / "model.onnx").unlink(), "model.onnx"),
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "manifest.json"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_package_is_never_indexed(folder, load, damage, message):
    damage(folder)
    with pytest.raises(Exception, match=message):
        load(folder)


@pytest.mark.parametrize("name", ["MC_MAX_BODY_BYTES", "MC_INTRA_OP_THREADS", "MC_TRY_PAGE"])
@pytest.mark.parametrize("value", ["", "0", "-1", "1.5", "many", "²"])
def test_a_senseless_setting_is_never_indexed(folder, load, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=name):
        load(folder)


def test_the_requirements_are_the_versions_these_tests_ran_with():
    pins = dict(line.split("==") for line in (SOURCE / "requirements.txt").read_text().split())
    assert pins == {name: importlib.metadata.version(name) for name in pins}


def test_the_function_imports_only_what_it_requires_and_itself():
    imported = set()
    for path in SOURCE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").partition(".")[0])
    others = imported - sys.stdlib_module_names - {path.stem for path in SOURCE.glob("*.py")}
    assert others == {"PIL", "azure", "msgspec", "numpy", "onnxruntime"}
