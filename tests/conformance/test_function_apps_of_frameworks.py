"""Whole web applications, and apps of the first programming model, on the function host."""

import pytest
import requests
from function_app_sites import AzureAccount, FunctionAppSite, project
from terminal import Open

from mc_assets.local_cloud.settings import LocalSettings
from small_function_apps import zipped


@pytest.fixture(scope="module")
def azure(open_terminal: Open, local_clouds: LocalSettings) -> AzureAccount:
    return AzureAccount.opened(open_terminal, local_clouds)


@pytest.fixture(scope="module")
def notes(azure: AzureAccount) -> FunctionAppSite:
    """FastAPI, on Flex Consumption."""
    return azure.deployed("fastapi-notes", "FC1", project("notes"))


@pytest.fixture(scope="module")
def guestbook(azure: AzureAccount) -> FunctionAppSite:
    """Flask, on a Premium plan; one of its requirements is a wheel in the package itself."""
    files = project("guestbook") | {"wheels/visitors-1.0-py3-none-any.whl": visitors_wheel()}
    return azure.deployed("flask-guestbook", "EP1", files, GUESTBOOK_SECRET="signs the sessions")


@pytest.fixture(scope="module")
def classic(azure: AzureAccount) -> FunctionAppSite:
    """Folders with a function.json each, on a Premium plan."""
    return azure.deployed("classic-folders", "EP1", project("classic"))


def visitors_wheel() -> bytes:
    about = "visitors-1.0.dist-info"
    tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    return zipped(
        {
            "visitors.py": b"def polite(name):\n    return f'dear {name}'\n",
            f"{about}/METADATA": b"Metadata-Version: 2.1\nName: visitors\nVersion: 1.0\n",
            f"{about}/WHEEL": tags.encode(),
            f"{about}/RECORD": b"",
        }
    )


def test_fastapi_is_one_function(notes: FunctionAppSite) -> None:
    (function,) = notes.functions().values()
    assert function.name.endswith("/http_app_func")
    assert function.config["bindings"][0]["route"] == "/{*route}"


def test_fastapi_keeps_notes(notes: FunctionAppSite) -> None:
    assert notes.call("/").json() == {"started": 1}  # by its lifespan
    draft = {"title": "milk", "tags": ["a b"]}
    created = notes.call("/notes", "POST", json=draft)
    note = {"id": 1, **draft}
    assert (created.status_code, created.json()) == (201, note)
    assert created.headers["location"] == "/notes/1"
    assert created.raw.headers.getlist("set-cookie") == [
        "last=1; HttpOnly; Path=/; SameSite=lax",
        "seen=yes; Path=/; SameSite=lax",
    ]
    assert notes.call("/notes/1").json() == note
    assert notes.call("/notes", params={"tag": "a b"}).json() == [note]
    assert notes.call("/notes?tag=c").json() == []
    assert notes.call("/last").json() == {"last": "1"}  # the cookie of the session
    assert notes.call("/notes/1", "PUT", json={"title": "tea"}).json()["title"] == "tea"
    removed = notes.call("/notes/1", "DELETE")
    assert (removed.status_code, removed.content) == (204, b"")
    missing = notes.call("/notes/1")
    assert (missing.status_code, missing.json()) == (404, {"detail": "there is no note 1"})


def test_fastapi_refuses_in_its_own_words(notes: FunctionAppSite) -> None:
    refused = notes.call("/notes", "POST", json={"title": "", "tags": "x"})
    assert refused.status_code == 422
    assert {tuple(each["loc"]) for each in refused.json()["detail"]} == {
        ("body", "title"),
        ("body", "tags"),
    }
    assert notes.call("/notes/x").status_code == 422
    assert notes.call("/nowhere").json() == {"detail": "Not Found"}
    assert notes.call("/notes", "PATCH").status_code == 405


def test_fastapi_answers_of_other_kinds(notes: FunctionAppSite) -> None:
    moved = notes.call("/old")
    assert (moved.status_code, moved.headers["location"]) == (307, "/notes?tag=a%20b")
    assert notes.call("/old", allow_redirects=True).json() == []
    export = notes.call("/export")
    assert (export.text, export.headers["content-type"]) == (
        "line 0\nline 1\nline 2\n",
        "text/csv; charset=utf-8",
    )
    packed = notes.call("/long")
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json() == list(range(10_000))
    assert notes.call("/long", headers={"Accept-Encoding": "identity"}).json() == packed.json()
    assert notes.call("/openapi.json").json()["info"]["title"] == "Notes"
    assert "swagger" in notes.call("/docs").text
    told = notes.call("/files/a/b%20c.txt", headers={"X-Token": "t"}).json()
    assert told == {"path": "a/b c.txt", "token": "t"}


def test_fastapi_takes_files(notes: FunctionAppSite) -> None:
    content = bytes(range(256)) * 1000
    sent = notes.call(
        "/attach", "POST", data={"name": "n"}, files={"file": ("scan.png", content, "image/png")}
    )
    assert sent.json() == {"name": "n", "file": "scan.png", "bytes": len(content)}


def test_fastapi_fails_alone(notes: FunctionAppSite) -> None:
    assert notes.call("/broken").status_code == 500
    notes.log_comes_to_hold("ZeroDivisionError: a note was divided by nothing")
    assert notes.call("/").status_code == 200


def test_flask_keeps_a_session(guestbook: FunctionAppSite) -> None:
    key = guestbook.keys.function_keys["default"]
    for name in ("Ada", "<b>Bo</b>"):
        signed = guestbook.call("/app/book", "POST", key, data={"name": name})
        assert (signed.status_code, signed.headers["location"]) == (303, "/app/book")
        assert "HttpOnly" in signed.headers["set-cookie"]
    page = guestbook.call("/app/book", key=key)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<li>dear Ada</li><li>dear &lt;b&gt;Bo&lt;/b&gt;</li>" in page.text
    stranger = requests.get(
        f"{guestbook.url}/app/book?code={key}", verify=guestbook.azure.ca, timeout=30
    )
    assert "<li>" not in stranger.text


def test_flask_answers_of_all_kinds(guestbook: FunctionAppSite) -> None:
    key = guestbook.keys.function_keys["default"]
    echoed = guestbook.call("/app/api/echo?x=1&x=é", "POST", key, json={"a": [1]})
    assert echoed.json() == {"got": {"a": [1]}, "args": ["1", "é"]}
    assert guestbook.call("/app/page/7", key=key).text == "page 7"
    stamp = guestbook.call("/app/stamp", key=key)
    assert (stamp.content, stamp.headers["content-type"]) == (bytes(range(256)), "image/x-stamp")
    assert guestbook.call("/app/page/x", key=key).status_code == 404
    closed = guestbook.call("/app/closed", key=key)
    assert closed.status_code == 403
    assert "closed today" in closed.text
    assert guestbook.call("/app/page/7", "POST", key).status_code == 405
    # The adapter in azure-functions raises whatever the application writes to wsgi.errors.
    broken = guestbook.call("/app/broken", key=key)
    assert (broken.status_code, broken.content) == (500, b"")
    guestbook.log_comes_to_hold("ZeroDivisionError")


def test_flask_is_behind_the_key_and_the_prefix(guestbook: FunctionAppSite) -> None:
    refused = guestbook.call("/app/page/7")
    assert (refused.status_code, refused.content) == (401, b"")
    outside = guestbook.call("/page/7", key=guestbook.keys.master_key)
    assert (outside.status_code, outside.content) == (404, b"")


def test_folders_of_the_first_programming_model(classic: FunctionAppSite) -> None:
    listed = classic.functions()
    assert set(listed) == {"Quote", "Nightly"}
    assert listed["Quote"].invoke_url_template == f"{classic.url}/api/quotes/{{author}}"
    key = classic.function_key("Quote")
    assert classic.call("/api/quotes/mies").status_code == 401
    assert classic.call("/api/quotes/mies", key=key).text == "Mies: less is more"
    assert classic.call("/api/quotes/mies", "PUT", key).status_code == 404
    assert "The 'Nightly' function is listed but never called" in classic.log()


BROKEN = {
    "raises as it is imported": (
        {"function_app.py": b"import not_installed\n"},
        "ModuleNotFoundError: No module named 'not_installed'",
    ),
    "two apps": (
        {
            "function_app.py": b"import azure.functions as func\n"
            b"one, two = func.FunctionApp(), func.FunctionApp()\n"
        },
        "function_app.py defines 2 top-level function apps",
    ),
    "a signature that does not fit": (
        {
            "function_app.py": b"import azure.functions as func\n"
            b"app = func.FunctionApp()\n\n"
            b"@app.route(route='good')\n"
            b"def good(req: func.HttpRequest) -> str: return ''\n\n"
            b"@app.route(route='bad')\n"
            b"def bad(request: func.HttpRequest) -> str: return ''\n"
        },
        "cannot load the bad function: no binding feeds its parameters ['request']",
    ),
}
STILLBORN = {
    "ends the process": (
        {"function_app.py": b"import os\nos._exit(4)\n"},
        "The worker ended while it indexed the app (exit code 4).",
    ),
    "a host.json that is none": (
        {"function_app.py": b"", "host.json": b"{'version': 2}"},
        "host.json is not valid JSON",
    ),
}


@pytest.fixture(scope="module")
def breaking(azure: AzureAccount) -> FunctionAppSite:
    return azure.site("breaking-premium", "EP1", SCM_DO_BUILD_DURING_DEPLOYMENT="true")


@pytest.mark.parametrize("kind", BROKEN)
def test_an_app_that_cannot_be_indexed(breaking: FunctionAppSite, kind: str) -> None:
    files, reason = BROKEN[kind]
    # The package is good: what Azure deploys successfully may still have no function.
    assert breaking.deploy({"host.json": b"{}", **files}).succeeded
    assert breaking.functions() == {}
    assert reason in breaking.log()
    for path in ("/api/good", "/api/bad"):
        answer = breaking.call(path)
        assert (answer.status_code, answer.content) == (404, b"")
    status = breaking.call("/admin/host/status", key=breaking.keys.master_key).json()
    assert status["state"] == "Running"
    assert reason in status["errors"][0]


def test_a_folder_that_fails_fails_alone(breaking: FunctionAppSite) -> None:
    quote = {name: text for name, text in project("classic").items() if "Nightly" not in name}
    lost = {"Lost/function.json": quote["Quote/function.json"].replace(b"quotes/", b"lost/")}
    untold = {"Untold/function.json": b'{"scriptFile": "__init__.py", "bindings": [{}]}'}
    assert breaking.deploy(quote | lost | untold).succeeded
    assert set(breaking.functions()) == {"Quote", "Lost"}
    key = breaking.keys.function_keys["default"]
    assert breaking.call("/api/quotes/mies", key=key).text == "Mies: less is more"
    answer = breaking.call("/api/lost/mies", key=key)
    assert (answer.status_code, answer.content) == (500, b"")
    breaking.log_comes_to_hold("Lost/function.json leads to no function", 2)
    breaking.log_comes_to_hold("Untold/function.json: its binding 1 has no name")


@pytest.mark.parametrize("kind", STILLBORN)
def test_an_app_with_which_the_host_cannot_start(breaking: FunctionAppSite, kind: str) -> None:
    files, reason = STILLBORN[kind]
    assert breaking.deploy(files).succeeded
    assert breaking.functions() == {}
    assert reason in breaking.log()
    answer = breaking.call("/api/good")
    assert (answer.status_code, answer.text) == (503, "Function host is not running.")
    status = breaking.call("/admin/host/status", key=breaking.keys.master_key).json()
    assert status["state"] == "Error"
    assert reason in status["errors"][0]


def test_flex_consumption_says_so_at_once(azure: AzureAccount) -> None:
    site = azure.site("breaking-flex", "FC1")
    files, reason = BROKEN["raises as it is imported"]
    deployment = site.deploy({"host.json": b"{}", **files})
    assert not deployment.succeeded
    assert reason in deployment.log
    assert site.call("/api/good").status_code == 404


def test_requirements_that_do_not_exist(azure: AzureAccount) -> None:
    site = azure.site("unbuilt", "EP1", SCM_DO_BUILD_DURING_DEPLOYMENT="true")
    files = {"function_app.py": b"", "requirements.txt": b"./there-is-no-such-folder\n"}
    deployment = site.deploy(files)
    assert not deployment.succeeded
    assert "there-is-no-such-folder" in deployment.log
    assert "The remote build failed" in deployment.log
