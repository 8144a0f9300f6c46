"""openapi.json is sound, says what the app does, and the app does what it says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from bodies import JSON, OCTETS, bodies_of, picture
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tiny_onnx import tiny_images  # pyright: ignore[reportMissingImports] - pytest's path has tests/

DOCUMENT = json.loads((Path(__file__).parents[2] / "function_app" / "openapi.json").read_text())
CLASSIFY = DOCUMENT["paths"]["/classify"]["post"]


def _validator(pointer: str) -> Any:
    resource = Resource.from_contents(DOCUMENT, default_specification=DRAFT202012)
    registry = Registry().with_resource("urn:api", resource)
    return OAS31Validator({"$ref": f"urn:api#{pointer}"}, registry=registry)


def _check(answer: Any, path: str, method: str) -> None:
    """The status, the type, the headers and the document of an answer are described."""
    response = DOCUMENT["paths"][path][method]["responses"][str(answer.status)]
    while "$ref" in response:
        response = DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]]
    schema = response["content"][answer.mimetype]["schema"]
    name = schema.get("$ref", "").rpartition("/")[2]
    if name:
        _validator(f"/components/schemas/{name}").validate(answer.document)
    for header in response["headers"]:
        _validator("/components/schemas/Sha256").validate(answer.headers[header])


def test_the_document_is_sound_openapi():
    validate(DOCUMENT)
    assert DOCUMENT["openapi"].startswith("3.1")


def test_it_describes_every_route_and_no_other(app):
    described = {
        (path, method.upper(), operation["operationId"])
        for path, operations in DOCUMENT["paths"].items()
        for method, operation in operations.items()
    }
    found = set()
    for name, function in app.functions.items():
        trigger = function.get_dict_repr()["bindings"][0]
        path = "/" + re.sub(r"\{.*:maxlength\(0\)\?\}", "", trigger["route"])
        found |= {(path, str(method), name) for method in trigger["methods"]}
        needs_key = str(trigger["authLevel"]) == "FUNCTION"
        operation = DOCUMENT["paths"][path]["post" if name == "classify" else "get"]
        assert (operation.get("security") != [{}]) == needs_key
    assert described == found


def test_it_describes_every_content_type_and_encoding_and_no_other(modules):
    assert set(CLASSIFY["requestBody"]["content"]) == set(modules.payload.READERS)
    encodings = next(p for p in CLASSIFY["parameters"] if p["name"] == "content-encoding")
    assert set(encodings["schema"]["enum"]) == {*modules.inflating.FORMATS, "identity"}
    images = DOCUMENT["components"]["schemas"]["Images"]
    assert tuple(images["properties"]) == modules.json_body.KEYS


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("probabilities", ["true", "false"])
def test_every_body_it_describes_is_answered_as_it_says(app, count, probabilities):
    images = tiny_images(count)
    tried = {}
    for body in bodies_of(images):
        params = {"probabilities": probabilities}
        answer = app.call("classify", body.data, body.content_type, params, **_encoding(body))
        assert answer.status == 200, body.name
        _check(answer, "/classify", "post")
        tried[body.content_type] = answer
        if body.content_type == JSON and not body.encoding:
            _validator("/components/schemas/Images").validate(json.loads(body.data))
    jpeg = app.call("classify", picture(images[0], "JPEG"), "image/jpeg")
    _check(jpeg, "/classify", "post")
    if count == 1:
        assert {*tried, "image/jpeg"} == set(CLASSIFY["requestBody"]["content"])


def _encoding(body: Any) -> dict[str, str]:
    return {"Content_Encoding": body.encoding} if body.encoding else {}


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"data": []},
        {"pixels": []},
        {"pixels_base64": ""},
        {"data": [[[[0.0] * 28] * 27]]},
        {"data": [[[[0.0] * 28] * 28] * 2]},
        {"data": [[[["0"] * 28] * 28]]},
        {"data": [[[[2e6] * 28] * 28]]},
        {"pixels": [[[0.5] * 28] * 28]},
        {"pixels": [[[256] * 28] * 28]},
        {"pixels": [[[-1] * 28] * 28]},
        {"pixels": [[[True] * 28] * 28]},
        {"pixels": [[[[0] * 28] * 28]]},
        {"pixels_base64": 7},
        {"pixels": [[[0] * 28] * 28], "data": [[[[0] * 28] * 28]]},
        [],
    ],
    ids=lambda document: json.dumps(document)[:30],
)
def test_what_its_schema_refuses_the_app_refuses(app, document):
    assert not _validator("/components/schemas/Images").is_valid(document)
    answer = app.call("classify", json.dumps(document).encode())
    assert answer.status == 400
    _check(answer, "/classify", "post")


@pytest.mark.parametrize(
    ("status", "body", "content_type"),
    [(400, b"{", JSON), (413, bytes(8 * 1024 * 1024 + 1), OCTETS), (415, b"7", "text/plain")],
)
def test_every_refusal_is_as_it_says(app, status, body, content_type):
    answer = app.call("classify", body, content_type)
    assert answer.status == status
    _check(answer, "/classify", "post")


@pytest.mark.parametrize(
    ("name", "path"),
    [("health", "/health"), ("model", "/model"), ("openapi", "/openapi.json"), ("page", "/")],
)
def test_the_other_routes_answer_as_it_says(app, pixel_app, name, path):
    for asked in (app, pixel_app):
        _check(asked.call(name), path, "get")


def test_the_app_serves_it(app):
    assert app.call("openapi").document == DOCUMENT
