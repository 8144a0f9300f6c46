"""Function apps small enough to be deployed in a moment, and their zips."""

import io
import zipfile
from collections.abc import Mapping

FUNCTION_APP = """
import os

import azure.functions as func

app = func.FunctionApp()


@app.route(route="hello")
def hello(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(f"{VERSION} {os.environ.get('GREETING', '-')}")
"""


def function_app(version: str) -> dict[str, str]:
    """The files of an app whose one function, GET /api/hello, answers `version GREETING`."""
    return {
        "function_app.py": f"VERSION = {version!r}\n{FUNCTION_APP}",
        "host.json": '{"version": "2.0"}',
        "requirements.txt": "# nothing beyond what the worker brings\n",
    }


def gated_app(version: str) -> dict[str, str]:
    """The app with a requirement whose build waits for the file that the setting GATE names."""
    backend = """
import os, time, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    while not os.path.exists(os.environ["GATE"]):
        time.sleep(0.02)
    name = "gated-1.0-py3-none-any.whl"
    info = "gated-1.0.dist-info/"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr("gated.py", "")
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: gated\\nVersion: 1.0\\n")
        tags = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        wheel.writestr(info + "WHEEL", tags)
        wheel.writestr(info + "RECORD", "")
    return name
"""
    return function_app(version) | required_with(backend)


def required_with(backend: str) -> dict[str, str]:
    """A requirement `gated` that comes with the app and is built by this PEP 517 backend."""
    project = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "gated"
version = "1.0"
"""
    return {
        "requirements.txt": "./gated\n",
        "gated/pyproject.toml": project,
        "gated/backend.py": backend,
    }


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in files.items():
            package.writestr(name, content)
    return buffer.getvalue()
