"""Which apps are indexed, and what is said about those that are not."""

from collections.abc import Callable
from pathlib import Path

import pytest
from function_host_serving import Served

WriteApp = Callable[..., Path]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import not_a_module", "No module named 'not_a_module'"),
        ("def broken(:", "SyntaxError"),
        ("raise SystemExit('no model')", "SystemExit: no model"),
        ("app = None", "defines no top-level function apps"),
        ("second = func.FunctionApp()", "defines 2 top-level function apps"),
        (
            """
            @app.route(route="f")
            def f(request): return ""
            """,
            "no binding feeds its parameters ['request']",
        ),
        (
            """
            @app.route(route="f", trigger_arg_name="request")
            def f(): return ""
            """,
            "no parameters for its bindings ['request']",
        ),
        (
            """
            @app.route(route="f")
            def f(req: bytes): return ""
            """,
            "binding req of type httpTrigger cannot be <class 'bytes'>",
        ),
        (
            """
            @app.route(route="f")
            def f(req: "func.HttpRequest", context: str): return ""
            """,
            "not azure.functions.Context",
        ),
        (
            """
            @app.route(route="f")
            def f(req) -> dict: return {}
            """,
            "a return binding of type http cannot be <class 'dict'>",
        ),
        (
            """
            @app.route(route="f")
            def f(req: func.Out[func.HttpRequest]): return ""
            """,
            "which its annotation",
        ),
        (
            """
            @app.route(route="f")
            def f(req) -> func.Out[str]: return ""
            """,
            "return annotation is not a type",
        ),
        (
            """
            @app.route(route="f")
            def f(req: Missing): return ""
            """,
            "name 'Missing' is not defined",
        ),
        (
            """
            @app.route(route="f")
            def f(req): return ""
            @app.route(route="g")
            @app.function_name("f")
            def g(req): return ""
            """,
            "does not have a unique",
        ),
        (
            """
            @app.route(route="f/{x:colour}")
            def f(req): return ""
            """,
            "unknown constraint 'colour'",
        ),
    ],
)
def test_an_app_that_cannot_be_indexed_has_no_functions(
    served: Served, write_app: WriteApp, source: str, reason: str
) -> None:
    index = served.activate(write_app(source))
    assert index.functions == ()
    assert index.error is not None
    assert reason in index.error
    assert served.host.index == index
    served.wait_for_line(reason)
    assert served.call("/api/f").status_code == 404
    status = served.call("/admin/host/status", headers={"x-functions-key": "master-key"}).json()
    assert (status["state"], status["errors"]) == ("Running", [index.error])


@pytest.mark.parametrize(
    ("source", "host_json", "reason"),
    [
        ("import os; os._exit(7)", "{}", "exit code 7"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "{}", "signal SIGKILL"),
        ("", '{"functionTimeout": "soon"}', "functionTimeout"),
    ],
)
def test_a_host_that_cannot_start_answers_503(
    served: Served, write_app: WriteApp, source: str, host_json: str, reason: str
) -> None:
    index = served.activate(write_app(source, host_dot_json=host_json))
    assert index.error is not None
    assert reason in index.error
    for path in ("/api/f", "/"):
        answer = served.call(path)
        assert (answer.status_code, answer.text) == (503, "Function host is not running.")
    status = served.call("/admin/host/status", headers={"x-functions-key": "master-key"}).json()
    assert (status["state"], status["errors"]) == ("Error", [index.error])


def test_a_folder_without_an_entry_script_has_no_functions(served: Served, tmp_path: Path) -> None:
    index = served.activate(tmp_path)
    assert (index.functions, index.error) == ((), None)
    served.wait_for_line("no function in a function_app.py or a folder")


def test_an_import_that_hangs_is_given_up(
    make_served: Callable[..., Served], write_app: WriteApp
) -> None:
    index = make_served(index=0.5).activate(write_app("import time; time.sleep(600)"))
    assert index.error == "The app was not indexed within 0.5 seconds."


@pytest.mark.parametrize(
    ("settings", "host_json", "named"),
    [
        ({"FUNCTIONS_WORKER_PROCESS_COUNT": "many"}, "{}", "FUNCTIONS_WORKER_PROCESS_COUNT"),
        ({}, "{", "host.json"),
        ({"A=B": "1"}, "{}", "environment variable"),
    ],
)
def test_unusable_configuration_is_named(
    served: Served, write_app: WriteApp, settings: dict[str, str], host_json: str, named: str
) -> None:
    index = served.activate(write_app("", host_dot_json=host_json), **settings)
    assert index.error is not None
    assert named in index.error


def test_the_entry_script_may_have_another_name(served: Served, write_app: WriteApp) -> None:
    root = write_app("raise AssertionError('not this one')")
    (root / "other_app.py").write_text(
        "import azure.functions as func\n"
        "app = func.FunctionApp(func.AuthLevel.ANONYMOUS)\n"
        "@app.route()\n"
        "def named(req) -> str: return __name__\n"
    )
    index = served.activate(root, PYTHON_SCRIPT_FILE_NAME="other_app.py")
    assert index.error is None
    assert served.call("/api/named").text == "other_app"


def test_disabled_functions_open_to_the_master_key_alone(
    served: Served, write_app: WriteApp
) -> None:
    root = write_app("""
        @app.route()
        def on(req) -> str: return "on"
        @app.route()
        def off(req) -> str: return "off"
    """)
    index = served.activate(root, **{"AzureWebJobs.off.Disabled": "true"})
    assert [function.name for function in index.functions] == ["on", "off"]
    assert served.call("/api/on").text == "on"
    assert served.call("/api/off").status_code == 404
    assert served.call("/api/off?code=host-key").status_code == 404
    assert served.call("/api/off?code=master-key").text == "off"


def test_a_function_whose_route_is_taken_is_in_error_and_the_others_go_on(
    served: Served, write_app: WriteApp
) -> None:
    root = write_app("""
        @app.route(route="x")
        def one(req) -> str: return "one"
        @app.route(route="x")
        def two(req) -> str: return "two"
    """)
    assert served.activate(root).error is None
    assert served.call("/api/x").text == "one"
    served.wait_for_line("The 'two' function is in error: The route specified conflicts")
