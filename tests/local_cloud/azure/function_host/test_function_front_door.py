"""Keys, limits, prefix and the admin endpoints, over HTTP."""

import http.client
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import pytest
import requests
from function_host_serving import KEYS, Served, eventually

from mc_assets.local_cloud.azure.function_host import AppKeys

WriteApp = Callable[..., Path]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("front-door")
    root = folder / "wwwroot"
    root.mkdir()
    (root / "function_app.py").write_text(
        "import azure.functions as func\n"
        "app = func.FunctionApp()\n"
        + "".join(
            f"@app.route(auth_level=func.AuthLevel.{level})\n"
            f"def {name}(req) -> str: return str(len(req.get_body()))\n"
            for name, level in [
                ("echo", "FUNCTION"),
                ("other", "FUNCTION"),
                ("open", "ANONYMOUS"),
                ("master", "ADMIN"),
            ]
        )
    )
    served = Served(folder / "app.log")
    assert served.activate(root, FUNCTIONS_REQUEST_BODY_SIZE_LIMIT="1000").error is None
    yield served
    served.close()


@pytest.mark.parametrize(
    ("function", "key", "status"),
    [
        ("echo", "echo-key", 200),
        ("echo", "host-key", 200),
        ("echo", "master-key", 200),
        ("echo", "other-key", 401),
        ("echo", "system-key", 401),
        ("echo", "ECHO-KEY", 401),
        ("echo", "echo-ke", 401),
        ("echo", "é", 401),
        ("echo", "", 401),
        ("echo", None, 401),
        ("open", None, 200),
        ("open", "wrong", 200),
        ("master", "master-key", 200),
        ("master", "host-key", 401),
        ("master", None, 401),
    ],
)
def test_keys(app: Served, function: str, key: str | None, status: int) -> None:
    headers = {} if key is None else {"x-functions-key": key.encode()}
    answer = app.call(f"/api/{function}", headers=headers)
    assert answer.status_code == status
    if status == 401:
        assert answer.content == b""


def test_the_key_may_be_in_the_query_but_the_header_wins(app: Served) -> None:
    wrong, right = {"x-functions-key": "wrong"}, {"x-functions-key": "echo-key"}
    assert app.call("/api/echo?code=echo-key").status_code == 200
    assert app.call("/api/echo?code=wrong").status_code == 401
    assert app.call("/api/echo?code=").status_code == 401
    assert app.call("/api/echo?code=echo-key", headers=wrong).status_code == 401
    assert app.call("/api/echo?code=wrong", headers=right).status_code == 200
    empty = {"x-functions-key": ""}
    assert app.call("/api/echo?code=echo-key", headers=empty).status_code == 401


def test_of_several_keys_in_a_query_the_first_counts(app: Served) -> None:
    assert app.call("/api/echo?Code=echo-key&code=wrong").status_code == 200
    assert app.call("/api/echo?code=wrong&code=echo-key").status_code == 401


def test_new_keys_hold_from_the_next_request_on(app: Served) -> None:
    app.host.set_keys(AppKeys("m", {"default": "new"}, {}, {}))
    try:
        assert app.call("/api/echo?code=new").status_code == 200
        assert app.call("/api/echo?code=host-key").status_code == 401
    finally:
        app.host.set_keys(KEYS)


def test_without_keys_nothing_opens(served: Served, write_app: WriteApp) -> None:
    served.host.set_keys(AppKeys("", {}, {}, {}))
    served.activate(
        write_app("""
        @app.route(auth_level=func.AuthLevel.FUNCTION)
        def f(req) -> str: return ""
    """)
    )
    assert served.call("/api/f?code=").status_code == 401
    assert served.call("/admin/functions", headers={"x-functions-key": ""}).status_code == 401


@pytest.mark.parametrize("path", ["/api", "/api/nothing", "/echo", "/API/echo/more"])
def test_unknown_paths(app: Served, path: str) -> None:
    assert app.call(path).status_code == 404


def test_paths_in_any_case(app: Served) -> None:
    assert app.call("/API/Open/").status_code == 200


def test_an_encoded_slash_stays_within_its_segment(served: Served, write_app: WriteApp) -> None:
    served.activate(
        write_app("""
        @app.route(route="{x}/{y}")
        def f(req) -> str: return str(dict(req.route_params))
    """)
    )
    assert served.call("/api/a%2fb/c%20d").text == "{'x': 'a%2Fb', 'y': 'c d'}"


def test_the_homepage(served: Served, write_app: WriteApp) -> None:
    def shown() -> tuple[int, str | None]:
        answer = served.call("/")
        return answer.status_code, answer.headers.get("content-type")

    assert shown() == (200, "text/html")
    root = write_app('@app.route(route="f")\ndef f(req) -> str: return ""')
    served.activate(root)
    assert shown() == (200, "text/html")
    served.activate(root, AzureWebJobsDisableHomepage="true")
    assert shown() == (204, None)


def test_as_many_requests_as_host_json_allows(served: Served, write_app: WriteApp) -> None:
    limits = '{"extensions": {"http": {"maxConcurrentRequests": 2, "maxOutstandingRequests": 3}}}'
    root = write_app(
        """
        import os, time

        @app.route()
        def hold(req) -> str:
            name = req.params["name"]
            print("holding", name)
            while not os.path.exists(req.params["until"]): time.sleep(0.01)
            return name
        """,
        host_dot_json=limits,
    )
    served.activate(root)
    gate = root / "gate"

    def hold(name: str) -> requests.Response:
        return requests.get(f"{served.url}/api/hold?name={name}&until={gate}", timeout=60)

    with ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(hold, name) for name in "abcd"]
        first = next(as_completed(sent)).result()
        assert (first.status_code, first.content) == (429, b"")
        eventually(lambda: served.log().count("holding") == 2, "two run, the third waits")
        assert served.call("/admin/host/ping").status_code == 200
        gate.touch()
        assert sorted(each.result().status_code for each in sent) == [200, 200, 200, 429]
    assert hold("e").text == "e"
    served.wait_for_line("limit of 3 outstanding requests")


def test_bodies_over_the_limit(app: Served) -> None:
    assert app.call("/api/open", "POST", data=b"x" * 1000).text == "1000"
    assert app.call("/api/open", "POST", data=b"x" * 1001).status_code == 413
    assert app.call("/api/open", "POST", data=iter([b"x" * 600] * 2)).status_code == 413
    assert app.call("/api/open").status_code == 200


def test_a_client_that_leaves_early_disturbs_nobody(app: Served) -> None:
    host = app.url.removeprefix("http://")
    leaver = http.client.HTTPConnection(host)
    leaver.putrequest("POST", "/api/open")
    leaver.putheader("Content-Length", "500")
    leaver.endheaders(b"only a part")
    leaver.close()
    assert app.call("/api/open").status_code == 200


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("/admin/host/ping", None, 200),
        ("/admin/host/status", None, 401),
        ("/admin/host/status", "host-key", 401),
        ("/admin/host/status", "master-key", 200),
        ("/ADMIN/Functions", "master-key", 200),
        ("/admin/functions", None, 401),
        ("/admin/functions/Echo", "master-key", 200),
        ("/admin/functions/nothing", "master-key", 404),
        ("/admin/elsewhere", "master-key", 404),
        ("/admin/elsewhere", None, 401),
    ],
)
def test_admin_endpoints(app: Served, path: str, key: str | None, status: int) -> None:
    headers = {} if key is None else {"x-functions-key": key}
    assert app.call(path, headers=headers).status_code == status


def test_nothing_is_run_by_way_of_admin(app: Served) -> None:
    master = {"x-functions-key": "master-key"}
    answer = app.call("/admin/functions/echo", "POST", json={"input": ""}, headers=master)
    assert answer.status_code == 501
    assert "runs no function on demand" in answer.text


def test_admin_documents(app: Served) -> None:
    master = {"x-functions-key": "master-key"}
    status = app.call("/admin/host/status", headers=master).json()
    assert (status["id"], status["state"]) == ("testapp", "Running")
    assert status["version"].startswith("4.")
    assert "errors" not in status
    functions = app.call("/admin/functions", headers=master).json()
    assert [each["name"] for each in functions] == ["echo", "other", "open", "master"]
    assert functions[0]["config"]["bindings"][0]["type"] == "httpTrigger"


def test_the_route_prefix_of_host_json(served: Served, write_app: WriteApp) -> None:
    source = '@app.route(route="f")\ndef f(req) -> str: return req.url'
    prefixed = '{"extensions": {"http": {"routePrefix": "v1/x"}}}'
    served.activate(write_app(source, host_dot_json=prefixed))
    assert served.call("/v1/x/f").text == f"{served.url}/v1/x/f"
    assert served.call("/api/f").status_code == 404
    served.activate(write_app(source, host_dot_json=prefixed.replace("v1/x", "")))
    assert served.call("/f").status_code == 200
    assert served.call("/v1/x/f").status_code == 404
