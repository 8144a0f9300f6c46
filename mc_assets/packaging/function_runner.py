"""A process of its own: indexes one function app as a worker does and plays requests to it.

    python -I function_runner.py APP_FOLDER REQUESTS_FILE ANSWERS_FILE

Both files are JSON lists; bodies are base64. A request has function, method, headers, params and
body; its answer has status, headers and body. Anything the app raises ends the process.
"""

import base64
import importlib
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

# What a function app must not lean on: present beside the control plane, absent in the cloud.
FOREIGN = ("mc_assets", "dagster", "torch")

Record = dict[str, Any]


def main(app: Path, requests: Path, answers: Path) -> None:
    """Play every request in the file, in order, and write the answers."""
    logging.basicConfig(level=logging.INFO)
    functions = index(app)
    played = [_play(functions, request) for request in json.loads(requests.read_bytes())]
    answers.write_text(json.dumps(played))


def index(app: Path) -> dict[str, Any]:
    """Import function_app from the folder; its functions by name.

    Raises:
        ValueError: the module holds no function app, or more than one.
    """
    from azure.functions.decorators.function_app import FunctionRegister

    # None in sys.modules is how Python is told that a module cannot be imported.
    modules: dict[str, Any] = sys.modules
    modules.update(dict.fromkeys(FOREIGN))
    sys.path.insert(0, str(app))
    os.chdir(app)
    module = importlib.import_module("function_app")
    registers = [value for value in vars(module).values() if isinstance(value, FunctionRegister)]
    if len(registers) != 1:
        raise ValueError(f"function_app.py must hold one FunctionApp, it holds {len(registers)}.")
    # Once: a second get_functions() on one app raises.
    return {
        str(function.get_function_name()): function.get_user_function()
        for function in registers[0].get_functions()
    }


def _play(functions: dict[str, Any], request: Record) -> Record:
    from azure.functions import HttpRequest

    name = request["function"]
    if name not in functions:
        raise ValueError(f"The app has no function {name!r}; it has {sorted(functions)}.")
    response = functions[name](
        HttpRequest(
            method=request["method"],
            url=f"https://127.0.0.1/api/{name}",
            headers=request["headers"],
            params=request["params"],
            body=base64.b64decode(request["body"]),
        )
    )
    return {
        "status": response.status_code,
        "headers": {name.lower(): value for name, value in response.headers.items()},
        "body": base64.b64encode(response.get_body()).decode(),
    }


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:]))
