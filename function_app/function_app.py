"""The routes: classify, health, model, openapi, page. Answers name the model and the package."""

import functools
import http
import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import azure.functions as func

from bad_input import BadInput
from classifier import Classifier, probabilities
from page import headers_of
from payload import read_flag, read_images

Route = Callable[[func.HttpRequest], func.HttpResponse]

HERE = Path(__file__).parent
LOGGER = logging.getLogger(__name__)


def _positive_setting(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ValueError(f"The setting {name} must be a positive whole number, found {text!r}.")
    return int(text)


def _switch(name: str, default: str) -> bool:
    text = os.environ.get(name, default)
    if text.lower() not in ("true", "false"):
        raise ValueError(f"The setting {name} must be true or false, found {text!r}.")
    return text.lower() == "true"


def _load_classifier(manifest: dict[str, Any]) -> Classifier:
    model = (HERE / "model" / "model.onnx").read_bytes()
    classifier = Classifier(model, threads=_positive_setting("MC_INTRA_OP_THREADS", 1))
    if classifier.sha256 != manifest["model"]["sha256"]:
        raise ValueError(
            f"model/model.onnx has sha256 {classifier.sha256}, manifest.json says "
            f"{manifest['model']['sha256']}: the package is damaged, deploy it again."
        )
    return classifier


# All of this runs while the worker imports the module: a package that cannot serve is never
# indexed, and the reason stands in the worker's log.
MAX_BODY_BYTES = _positive_setting("MC_MAX_BODY_BYTES", 8 * 1024 * 1024)
MANIFEST: dict[str, Any] = json.loads((HERE / "manifest.json").read_bytes())
CLASSIFIER = _load_classifier(MANIFEST)
TO_JSON = json.JSONEncoder(allow_nan=False).encode
IDENTITY = {"x-model-sha256": CLASSIFIER.sha256, "x-package-version": MANIFEST["version"]}
HEALTH = TO_JSON({"status": "ok", "model": CLASSIFIER.sha256, "package": MANIFEST["version"]})
MODEL = TO_JSON({"manifest": MANIFEST, **CLASSIFIER.signature(), "metadata": CLASSIFIER.metadata})
OPENAPI = (HERE / "openapi.json").read_text()
PAGE = (HERE / "page.html").read_text()
PAGE_HEADERS = headers_of(PAGE)
# On unless somebody says otherwise: the page shows nothing that health does not tell everyone, and
# whoever has no key gets no further than drawing.
HAS_PAGE = _switch("MC_TRY_PAGE", "true")

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


def _answer(
    document: str,
    status: int = 200,
    mimetype: str = "application/json",
    headers: Mapping[str, str] = IDENTITY,
) -> func.HttpResponse:
    return func.HttpResponse(document, status_code=status, mimetype=mimetype, headers=headers)


def _problem(status: int, title: str, detail: str) -> func.HttpResponse:
    """An error as RFC 9457 has it."""
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return _answer(TO_JSON(document), status, "application/problem+json")


def _with_problems(route: Route) -> Route:
    """Answer what a route raises: the client's mistakes in full, ours without their inside."""

    @functools.wraps(route)
    def answered(req: func.HttpRequest) -> func.HttpResponse:
        try:
            return route(req)
        except BadInput as error:
            return _problem(error.status, error.title, error.detail)
        except Exception:
            LOGGER.exception("The request failed.")
            title = http.HTTPStatus.INTERNAL_SERVER_ERROR.phrase
            return _problem(500, title, "The function failed; its log has the reason.")

    return answered


@app.route(route="classify", methods=["POST"])
@_with_problems
def classify(req: func.HttpRequest) -> func.HttpResponse:
    """Digits of the images in the body; `?probabilities=true` adds ten probabilities an image."""
    wants_probabilities = read_flag(req.params, "probabilities")
    scores = CLASSIFIER.scores(read_images(req.headers, req.get_body(), MAX_BODY_BYTES))
    digits = scores.argmax(axis=1).tolist()
    # A list of numbers is written in Python as in JSON; an encoder would take as long as all else.
    document = f'{{"digits": {digits}, "model": "{CLASSIFIER.sha256}"'
    if wants_probabilities:
        document += f', "probabilities": {probabilities(scores).tolist()}'
    return _answer(document + "}")


@app.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@_with_problems
def health(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger's binding
    """That the model is loaded, and which; open to probes that hold no key."""
    return _answer(HEALTH)


@app.route(route="model", methods=["GET"])
@_with_problems
def model(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger's binding
    """The package's manifest, the model's signature and its metadata."""
    return _answer(MODEL)


@app.route(route="openapi.json", methods=["GET"])
@_with_problems
def openapi(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger's binding
    """The description of these routes, in OpenAPI 3.1."""
    return _answer(OPENAPI)


@_with_problems
def page(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger's binding
    """A page to draw a digit on; it asks for the key that `classify` wants."""
    return _answer(PAGE, mimetype="text/html", headers={**IDENTITY, **PAGE_HEADERS})


if HAS_PAGE:
    # A route of no text would be the function's name: the host takes an empty one for none. This
    # parameter can only be left out, so that nothing but the bare /api or /api/ is matched
    # (source: WebScriptHostHttpRoutesManager; github.com/Azure/Azure-Functions/issues/2473).
    app.route(
        route="{nothing:maxlength(0)?}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS
    )(page)
