"""What a function gets, and what becomes of what it returns."""

import json
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from function_host_serving import Served, eventually

APP = """
import asyncio, json, logging, os, sys, threading, time
import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
extra = func.Blueprint()


@app.route(route="request/{kind?}")
def request(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return func.HttpResponse(json.dumps({
        "method": req.method, "url": req.url, "params": dict(req.params),
        "headers": dict(req.headers), "route": dict(req.route_params),
        "body": req.get_body().hex(), "function": context.function_name,
        "directory": context.function_directory, "invocation": context.invocation_id,
        "trace": context.trace_context.trace_parent, "retries": context.retry_context.retry_count,
        "local": context.thread_local_storage.invocation_id,
    }), mimetype="application/json")


@app.route(route="form", methods=["POST"])
def form(req: func.HttpRequest) -> str:
    return f"{req.form['name']} {req.files['file'].read().decode()}"


@app.route(route="json", methods=["POST"])
def as_json(req: func.HttpRequest) -> str:
    try:
        return repr(req.get_json())
    except ValueError:
        return "not json"


@app.route(route="result/{name}")
def result(req: func.HttpRequest):
    return {
        "text": "plain",
        "bytes": func.HttpResponse(b"\\x00\\xff", mimetype="application/octet-stream"),
        "created": func.HttpResponse("made", status_code=201, headers={"X-Kind": "new"}),
        "html": func.HttpResponse("<p>", mimetype="text/html", charset="latin-1"),
        "header-wins": func.HttpResponse("{}", headers={"Content-Type": "application/x-own"}),
        "empty": func.HttpResponse(status_code=204),
        "object": json.dumps({"body": {"a": 1}, "status": 202, "headers": {"x-a": "b"}}),
        "not-object": json.dumps({"digits": [1]}),
        "none": None, "dict": {"a": 1}, "number": 7,
        "bad-status": func.HttpResponse("x", status_code=42),
        "bad-header": func.HttpResponse("x", headers={"X-A": "\\u4e2d"}),
    }[req.route_params["name"]]


@app.route(route="cookies")
def cookies(req: func.HttpRequest) -> func.HttpResponse:
    response = func.HttpResponse("ok")
    response.headers.add("Set-Cookie", "a=1; Path=/; HttpOnly")
    response.headers.add("Set-Cookie", "b=2; Path=/")
    return response


@app.route(route="raises")
def raises(req: func.HttpRequest) -> str:
    raise LookupError("the reason in the log")


@app.route(route="raises-async")
async def raises_async(req: func.HttpRequest) -> str:
    raise LookupError("the async reason in the log")


@app.route(route="exits")
def exits(req: func.HttpRequest) -> str:
    sys.exit(3)


@app.route(route="together")
async def together(req: func.HttpRequest) -> str:
    global waiting
    waiting += 1
    while waiting < 3:
        await asyncio.sleep(0.01)
    return "met on " + threading.current_thread().name
waiting = 0


barrier = threading.Barrier(3)
@app.route(route="threads")
def threads(req: func.HttpRequest) -> str:
    barrier.wait(20)
    return threading.current_thread().name


@app.route(route="prints")
def prints(req: func.HttpRequest) -> str:
    print("printed line")
    print("to standard error", file=sys.stderr)
    logging.info("logged line")
    logging.debug("too quiet to be seen")
    return "ok"


@app.route(route="out", binding_arg_name="resp")
def out(req: func.HttpRequest, resp: func.Out[func.HttpResponse]) -> None:
    resp.set(func.HttpResponse("through out", status_code=203))


@app.route(route="fed")
@app.blob_input(arg_name="blob", path="a/b", connection="AzureWebJobsStorage")
def fed(req: func.HttpRequest, blob: func.InputStream) -> str:
    return "never"


@app.route(route="queued")
@app.queue_output(arg_name="queue", queue_name="q", connection="AzureWebJobsStorage")
def queued(req: func.HttpRequest, queue: func.Out[str]) -> str:
    if "message" in req.params:
        queue.set(req.params["message"])
    return "answered"


@app.timer_trigger(schedule="0 0 * * * *", arg_name="timer")
def ticks(timer: func.TimerRequest) -> None:
    pass


@extra.route(route="from-blueprint")
def from_blueprint(req: func.HttpRequest) -> str:
    return "blueprint"


app.register_functions(extra)
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("calling")
    root = folder / "wwwroot"
    root.mkdir()
    (root / "function_app.py").write_text(textwrap.dedent(APP))
    served = Served(folder / "app.log")
    index = served.activate(root, PYTHON_THREADPOOL_THREAD_COUNT="3", ROOT=str(root))
    assert index.error is None
    yield served
    served.close()


def test_request(app: Served) -> None:
    answer = app.call(
        "/api/request/a%20b?x=1&X=2&y=%C3%A9&empty=",
        "PUT",
        data=b"\x00\xff",
        headers={"X-Mixed": "Case", "traceparent": "00-1-2-01", "content-type": "image/png"},
    )
    seen = answer.json()
    assert seen["method"] == "PUT"
    assert seen["url"] == f"{app.url}/api/request/a%20b?x=1&X=2&y=%C3%A9&empty="
    assert seen["params"] == {"x": "1,2", "y": "é"}
    assert seen["headers"]["x-mixed"] == "Case"
    assert seen["headers"]["content-type"] == "image/png"
    assert seen["route"] == {"kind": "a b"}
    assert seen["body"] == "00ff"
    assert seen["function"] == "request"
    assert seen["directory"].endswith("wwwroot")
    assert seen["trace"] == "00-1-2-01"
    assert seen["retries"] == 0
    assert seen["local"] == seen["invocation"]
    assert app.call("/api/request").json()["invocation"] != seen["invocation"]


def test_large_bodies_come_whole(app: Served) -> None:
    body = bytes(range(256)) * 40_000
    assert bytes.fromhex(app.call("/api/request", "POST", data=body).json()["body"]) == body


def test_chunked_bodies_come_whole(app: Served) -> None:
    pieces = [b"ab", b"cd" * 50_000]
    assert app.call("/api/request", "POST", data=iter(pieces)).json()["body"] == (
        b"".join(pieces).hex()
    )


def test_form_and_json(app: Served) -> None:
    sent = app.call("/api/form", "POST", data={"name": "n"}, files={"file": b"content"})
    assert sent.text == "n content"
    assert app.call("/api/json", "POST", json={"a": 1}).text == "{'a': 1}"
    assert app.call("/api/json", "POST", data=b"{").text == "not json"
    assert app.call("/api/json", "POST").text == "not json"


@pytest.mark.parametrize(
    ("name", "status", "content_type", "body"),
    [
        ("text", 200, "text/plain; charset=utf-8", b"plain"),
        ("bytes", 200, "application/octet-stream", b"\x00\xff"),
        ("created", 201, "text/plain; charset=utf-8", b"made"),
        ("html", 200, "text/html; charset=latin-1", b"<p>"),
        ("header-wins", 200, "application/x-own", b"{}"),
        ("empty", 204, "text/plain; charset=utf-8", b""),
        ("object", 202, "application/json; charset=utf-8", b'{"a": 1}'),
        ("not-object", 200, "text/plain; charset=utf-8", b'{"digits": [1]}'),
        ("none", 500, None, b""),
        ("dict", 500, None, b""),
        ("number", 500, None, b""),
        ("bad-status", 500, None, b""),
        ("bad-header", 500, None, b""),
    ],
)
def test_results(
    app: Served, name: str, status: int, content_type: str | None, body: bytes
) -> None:
    answer = app.call(f"/api/result/{name}")
    assert (answer.status_code, answer.headers.get("content-type"), answer.content) == (
        status,
        content_type,
        body,
    )


def test_own_headers_are_kept(app: Served) -> None:
    assert app.call("/api/result/created").headers["x-kind"] == "new"
    assert app.call("/api/result/object").headers["x-a"] == "b"


def test_every_cookie_has_its_header(app: Served) -> None:
    answer = app.call("/api/cookies")
    assert answer.raw.headers.getlist("set-cookie") == ["a=1; Path=/; HttpOnly", "b=2; Path=/"]


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("raises", "LookupError: the reason in the log"),
        ("raises-async", "LookupError: the async reason in the log"),
        ("exits", "SystemExit: 3"),
        ("result/none", "not NoneType"),
        ("fed", "['blob'] of fed are not served here"),
        ("queued?message=m", "['queue'] of queued are not served here"),
    ],
)
def test_a_failing_function_answers_500_and_its_traceback_is_logged(
    app: Served, path: str, logged: str
) -> None:
    answer = app.call(f"/api/{path}")
    assert (answer.status_code, answer.content) == (500, b"")
    eventually(lambda: logged in app.log(), f"{logged!r} in the log")
    assert app.call("/api/request").status_code == 200


def test_coroutines_share_one_loop(app: Served) -> None:
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: app.call("/api/together").text, range(3)))
    assert answers == ["met on MainThread"] * 3


def test_plain_functions_share_a_pool_of_the_set_size(app: Served) -> None:
    with ThreadPoolExecutor(3) as pool:
        names = set(pool.map(lambda _: app.call("/api/threads").text, range(3)))
    assert len(names) == 3
    assert "MainThread" not in names


def test_output_reaches_the_log_with_the_time_in_front(app: Served) -> None:
    app.call("/api/prints")
    eventually(lambda: "logged line" in app.log(), "the logged line")
    lines = app.log().splitlines()
    for text in ("printed line", "to standard error", "[INFO] root: logged line"):
        (line,) = [each for each in lines if each.endswith(text)]
        assert line.startswith("20")
        assert line.split(" ")[0].endswith("Z")
    assert "too quiet" not in app.log()


def test_out_binding_and_blueprint(app: Served) -> None:
    answer = app.call("/api/out")
    assert (answer.status_code, answer.text) == (203, "through out")
    assert app.call("/api/from-blueprint").text == "blueprint"
    assert app.call("/api/queued").text == "answered"


def test_head_has_the_headers_of_get_and_no_body(app: Served) -> None:
    head, get = app.call("/api/result/text", "HEAD"), app.call("/api/result/text")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(get.content))
    assert app.call("/api/form", "HEAD").status_code == 404
    assert app.call("/api/form", "OPTIONS").status_code == 404
    assert app.call("/api/request", "OPTIONS").json()["method"] == "OPTIONS"


def test_the_index_tells_what_was_found(app: Served) -> None:
    index = app.host.index
    assert index is not None
    functions = {function.name: function for function in index.functions}
    assert functions["request"].methods == ()
    assert functions["request"].route == "request/{kind?}"
    assert functions["as_json"].methods == ("POST",)
    assert functions["as_json"].auth_level == "anonymous"
    assert functions["as_json"].script_file == "function_app.py"
    assert functions["as_json"].bindings[0]["type"] == "httpTrigger"
    assert json.dumps(functions["as_json"].bindings)
    assert not functions["ticks"].is_http
    assert app.call("/api/ticks").status_code == 404
    app.wait_for_line("The 'ticks' function is listed but never called")


@pytest.mark.parametrize("kind", ["Asgi", "Wsgi"])
def test_whole_web_apps(served: Served, tmp_path: Path, kind: str) -> None:
    root = tmp_path / kind
    root.mkdir()
    (root / "host.json").write_text('{"extensions": {"http": {"routePrefix": ""}}}')
    (root / "function_app.py").write_text(
        textwrap.dedent("""
        import azure.functions as func

        async def asgi(scope, receive, send):
            if scope["type"] == "lifespan":
                while True:
                    message = await receive()
                    await send({"type": message["type"] + ".complete"})
            body = (await receive())["body"]
            text = f"{scope['method']} {scope['path']} {scope['query_string'].decode()}".encode()
            headers = [(b"content-type", b"text/x-own")]
            await send({"type": "http.response.start", "status": 206, "headers": headers})
            await send({"type": "http.response.body", "body": text + b" " + body})

        def wsgi(environ, start):
            body = environ["wsgi.input"].read()
            start("206 Partial", [("Content-Type", "text/x-own")])
            text = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {environ['QUERY_STRING']}"
            return [text.encode() + b" " + body]

        """)
        + f"app = func.{kind}FunctionApp({kind.lower()}, func.AuthLevel.ANONYMOUS)\n"
    )
    assert served.activate(root).error is None
    answer = served.call("/deep/path?q=1", "POST", data=b"body")
    assert answer.status_code == 206
    assert answer.headers["content-type"] == "text/x-own"
    assert answer.text == "POST /deep/path q=1 body"
    assert served.call("/").status_code == 206
