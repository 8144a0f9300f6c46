"""What an app sees of the server: nothing but its own folder, its settings and azure.functions."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from function_host_serving import Served

WriteApp = Callable[..., Path]

LOOK = """
    import importlib.util, json, os, sys

    def importable(name):
        try:
            return importlib.util.find_spec(name) is not None
        except ModuleNotFoundError:
            return False

    @app.route()
    def look(req: func.HttpRequest) -> str:
        names = json.loads(req.params["names"])
        return json.dumps([dict(os.environ), sys.path, os.getcwd(), [importable(n) for n in names]])
"""


def look(served: Served, *names: str) -> tuple[dict[str, str], list[str], str, list[bool]]:
    return served.call("/api/look", params={"names": json.dumps(names)}).json()


def test_the_environment_is_the_app_settings(
    served: Served, write_app: WriteApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "server-secret")
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "server-secret")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    root = write_app(LOOK)
    served.activate(root, WEBSITE_SITE_NAME="site", OWN="value", HOME="/own")
    environment, path, folder, _ = look(served)
    assert environment.pop("OWN") == "value"
    assert environment.pop("WEBSITE_SITE_NAME") == "site"
    assert environment.pop("HOME") == "/own"
    assert environment.pop("PATH") == os.environ["PATH"]
    # LC_CTYPE: the interpreter's own coercion of the C locale.
    assert set(environment) <= {"LANG", "TMPDIR", "LC_CTYPE"}
    assert path[:2] == [str(root), str(root / ".python_packages/lib/site-packages")]
    assert not any("site-packages" in entry for entry in path[2:])
    assert folder == str(root)


def test_of_the_servers_packages_only_azure_functions_is_there(
    served: Served, write_app: WriteApp
) -> None:
    served.activate(write_app(LOOK))
    there = ["azure.functions", "werkzeug", "markupsafe", "json"]
    hidden = [
        "mc_assets",
        "azure.identity",
        "azure.core",
        "uvicorn",
        "pytest",
        "protocol",
        "worker",
    ]
    assert look(served, *there)[3] == [True] * len(there)
    assert look(served, *hidden)[3] == [False] * len(hidden)


def test_the_apps_own_packages_come_first(served: Served, write_app: WriteApp) -> None:
    packages = ".python_packages/lib/site-packages"
    root = write_app("""
        import azure.identity, protocol, werkzeug

        @app.route()
        def which(req) -> str:
            return f"{azure.identity.MARK} {protocol.MARK} {hasattr(werkzeug, 'OWN')}"
    """)
    for name in ("azure/identity.py", "protocol.py"):
        path = root / packages / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"MARK = 'own {path.stem}'\n")
    index = served.activate(root)
    assert index.error is None
    assert served.call("/api/which").text == "own identity own protocol False"


def test_a_copy_of_azure_functions_in_the_package_is_used(
    served: Served, write_app: WriteApp
) -> None:
    root = write_app("")
    package = root / ".python_packages/lib/site-packages/azure/functions"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('the copy of the package')\n")
    index = served.activate(root)
    assert index.error is not None
    assert "the copy of the package" in index.error
