"""Apps of the first programming model: one folder with a function.json for each function."""

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest
from function_host_serving import Served, eventually

TRIGGER = {"name": "req", "type": "httpTrigger", "direction": "in", "authLevel": "anonymous"}
RETURNED = {"name": "$return", "type": "http", "direction": "out"}
MAIN = "def main(req) -> str: return __name__.split('.')[1]\n"


def function_json(*bindings: Any, script: str = "main.py", **more: str) -> str:
    return json.dumps({"scriptFile": script, "bindings": bindings, **more})


# Its trigger has no direction, as a trigger can have only one.
GOOD = {
    "good/function.json": function_json(
        {"name": "req", "type": "httpTrigger", "authLevel": "anonymous"}, RETURNED
    ),
    "good/main.py": MAIN,
}


def test_functions_in_folders(served: Served, tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "shared/texts.py": "GREETING = 'hello'",
            "Greet/function.json": function_json(
                TRIGGER | {"route": "greet/{name}", "methods": ["get"]},
                RETURNED,
                script="__init__.py",
            ),
            "Greet/__init__.py": """
                import azure.functions as func
                from ..shared import texts
                from . import polite

                def main(req: func.HttpRequest, context: func.Context) -> str:
                    folder = context.function_directory.rpartition("/")[2]
                    return f"{texts.GREETING} {polite.title(req.route_params['name'])} {folder}"
            """,
            "Greet/polite.py": "title = str.title",
            "store/function.json": function_json(
                TRIGGER, RETURNED | {"name": "answer"}, script="store.py", entryPoint="keep"
            ),
            "store/store.py": """
                import azure.functions as func
                from __app__.shared import texts

                async def keep(req: func.HttpRequest, answer: func.Out[func.HttpResponse]) -> None:
                    answer.set(func.HttpResponse(texts.GREETING, status_code=202))
            """,
        },
    )
    index = served.activate(tmp_path)
    assert index.error is None
    assert [function.name for function in index.functions] == ["Greet", "store"]
    assert served.call("/api/greet/ada").text == "hello Ada Greet"
    assert served.call("/api/greet/ada", "POST").status_code == 404
    assert served.call("/api/store").status_code == 202


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("{", "it is not valid JSON"),
        ("[]", "it holds no JSON object"),
        ("{}", "it names no Python script"),
        ('{"scriptFile": "main.py"}', "at least one binding must be declared"),
        (function_json(7), "its binding 1 is not an object"),
        (function_json({"type": "http", "direction": "out"}), "its binding 1 has no name"),
        (function_json({"name": "req", "direction": "in"}), "its binding 'req' has no type"),
        (function_json(TRIGGER, {"name": "o", "type": "http"}), "its binding 'o' has no direction"),
        (
            function_json(RETURNED | {"name": "o", "direction": "sideways"}),
            "its binding 'o' has the direction 'sideways'",
        ),
        (
            function_json(TRIGGER | {"methods": "get"}),
            "its binding 'req' does not list its methods by name",
        ),
        (
            function_json(TRIGGER | {"route": 7}),
            "its binding 'req' has a route that is not text",
        ),
    ],
)
def test_a_folder_in_error_is_named_and_the_others_go_on(
    served: Served, tmp_path: Path, document: str, reason: str
) -> None:
    write(tmp_path, GOOD | {"bad/function.json": document, "bad/main.py": MAIN})
    index = served.activate(tmp_path)
    assert [function.name for function in index.functions] == ["good"]
    assert served.call("/api/good").text == "good"
    assert served.call("/api/bad").status_code == 404
    error = f"The 'bad' function is in error: bad/function.json: {reason}"
    eventually(lambda: error in served.log(), error)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import gone", "ModuleNotFoundError: No module named 'gone'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("", "bad/function.json leads to no function: main.py does not define main()"),
        ("def main(request): ...", "no binding feeds its parameters ['request']"),
    ],
)
def test_a_function_that_cannot_be_loaded_fails_alone(
    served: Served, tmp_path: Path, script: str, reason: str
) -> None:
    document = function_json(TRIGGER, {"name": "more", "type": "blob", "direction": "in"})
    write(tmp_path, GOOD | {"bad/function.json": document, "bad/main.py": script})
    index = served.activate(tmp_path)
    assert [function.name for function in index.functions] == ["bad", "good"]
    eventually(lambda: served.log().count(reason) == 1, f"{reason} once in the log")
    assert served.call("/api/good").text == "good"
    for times in (2, 3):
        answer = served.call("/api/bad")
        assert (answer.status_code, answer.content) == (500, b"")
        eventually(lambda n=times: served.log().count(reason) == n, f"{reason} {times} times")
    served.wait_for_line("Executed 'Functions.bad' (Failed)")


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
