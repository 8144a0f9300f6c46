"""The function app as the worker sees it: an unpacked package, imported from its folder."""

import importlib
import io
import json
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NoReturn

import azure.functions as func  # noqa: TID253 - what these tests speak
import pytest

from mc_assets.packaging import build_package
from tiny_onnx import NO_PIXELS, tiny_onnx  # pyright: ignore[reportMissingImports] - pytest's path has tests/

SOURCE = Path(__file__).parents[2] / "function_app"
MODULES = tuple(path.stem for path in SOURCE.glob("*.py"))


@dataclass(frozen=True)
class Answer:
    status: int
    mimetype: str
    headers: Mapping[str, str]
    document: Any


@dataclass(frozen=True)
class App:
    """One imported function app, called as the worker would."""

    folder: Path
    module: ModuleType
    functions: Mapping[str, Any]

    def call(
        self,
        name: str,
        body: bytes = b"",
        content_type: str | None = "application/json",
        params: Mapping[str, str] | None = None,
        **headers: str,
    ) -> Answer:
        headers = {key.replace("_", "-"): value for key, value in headers.items()}
        if content_type is not None:
            headers["Content-Type"] = content_type
        request = func.HttpRequest(
            method="POST" if name == "classify" else "GET",
            url=f"https://127.0.0.1/api/{name}",
            headers=headers,
            params=params or {},
            body=body,
        )
        response = self.functions[name].get_user_function()(request)
        document = _document(response.mimetype, response.get_body())
        return Answer(response.status_code, response.mimetype, response.headers, document)


def _document(mimetype: str, body: bytes) -> Any:
    if mimetype == "text/html":
        return body.decode()
    return json.loads(body, parse_constant=_refuse)


def _refuse(name: str) -> NoReturn:
    raise AssertionError(f"An answer holds {name}, which JSON does not know.")


def _unpack(model: bytes, folder: Path) -> Path:
    package = build_package(SOURCE, model, {"origin": "tests"})
    with zipfile.ZipFile(io.BytesIO(package.data)) as archive:
        archive.extractall(folder)
    return folder


def _load(folder: Path) -> App:
    for name in MODULES:
        sys.modules.pop(name, None)
    sys.path.insert(0, str(folder))
    try:
        module = importlib.import_module("function_app")
    finally:
        sys.path.remove(str(folder))
        for name in MODULES:
            sys.modules.pop(name, None)
    functions = {f.get_function_name(): f for f in module.app.get_functions()}
    return App(folder, module, functions)


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> App:
    """The app around the tiny model of the default weights."""
    return _load(_unpack(tiny_onnx(), tmp_path_factory.mktemp("function_app")))


@pytest.fixture(scope="session")
def pixel_app(tmp_path_factory: pytest.TempPathFactory) -> App:
    """The same app around a model that takes raw grey levels."""
    return _load(_unpack(tiny_onnx(pixels=NO_PIXELS), tmp_path_factory.mktemp("function_app")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An unpacked package of one's own, to damage."""
    return _unpack(tiny_onnx(), tmp_path / "app")


@pytest.fixture(scope="session")
def load() -> Callable[[Path], App]:
    """Import the app that is in a folder."""
    return _load


@pytest.fixture(scope="session")
def modules() -> SimpleNamespace:
    """Those of the function's modules that need no package around them."""
    sys.path.insert(0, str(SOURCE))
    try:
        return SimpleNamespace(
            **{name: importlib.import_module(name) for name in MODULES if name != "function_app"}
        )
    finally:
        sys.path.remove(str(SOURCE))
