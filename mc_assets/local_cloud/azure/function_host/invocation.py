"""In the worker: one call of one function, from its request to its response."""

import json
import threading
import uuid
from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import azure.functions as func
from azure.functions.http import HttpRequest

if TYPE_CHECKING:
    from mc_assets.local_cloud.azure.function_host.indexing import LoadedFunction

_thread_local = threading.local()


class Response(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Out(func.Out[Any]):
    """Holds what a function sets on an output binding."""

    def __init__(self) -> None:
        self._value: Any = None

    def set(self, val: Any) -> None:
        self._value = val

    def get(self) -> Any:
        return self._value


class InvocationContext(func.Context):
    """What a function that declares a `context` parameter gets."""

    def __init__(self, function: "LoadedFunction", headers: Mapping[str, str]) -> None:
        self._function = function
        self._headers = headers
        self._invocation_id = str(uuid.uuid4())

    @property
    def invocation_id(self) -> str:
        return self._invocation_id

    @property
    def function_name(self) -> str:
        return self._function.name

    @property
    def function_directory(self) -> str:
        return str(self._function.directory)

    @property
    def thread_local_storage(self) -> Any:
        return _thread_local

    @property
    def trace_context(self) -> Any:
        return SimpleNamespace(
            trace_parent=self._headers.get("traceparent", ""),
            trace_state=self._headers.get("tracestate", ""),
            attributes={},
        )

    @property
    def retry_context(self) -> Any:
        # HTTP triggers are never retried by the host.
        return SimpleNamespace(retry_count=0, max_retry_count=0, exception=None)


class Invocation:
    """A function and the arguments of one call."""

    def __init__(self, function: "LoadedFunction", head: Mapping[str, Any], body: bytes) -> None:
        if function.unserved:
            raise NotImplementedError(
                f"The bindings {list(function.unserved)} of {function.name} are not served here; "
                "only HTTP triggers are."
            )
        self._function = function
        self._outs = {name: Out() for name in function.out_parameters}
        self._arguments: dict[str, Any] = dict(self._outs)
        if function.request_parameter:
            self._arguments[function.request_parameter] = _request(head, body)
        self._context: InvocationContext | None = None
        if function.wants_context:
            self._context = InvocationContext(function, head["headers"])
            self._arguments["context"] = self._context

    def run(self) -> Response:
        """Call a plain function, on a thread of the pool."""
        if self._context:
            _thread_local.invocation_id = self._context.invocation_id
        return self._response(self._function.call(**self._arguments))

    async def run_async(self) -> Response:
        """Await a coroutine function, on the worker's event loop."""
        return self._response(await self._function.call(**self._arguments))

    def _response(self, returned: Any) -> Response:
        function = self._function
        if returned is not None and not function.returns:
            raise RuntimeError(
                f"The function {function.name} has no $return binding but returned a value."
            )
        values = {name: out.get() for name, out in self._outs.items()} | {"$return": returned}
        answer = values.pop(function.http_output) if function.http_output else None
        if lost := sorted(name for name, value in values.items() if value is not None):
            raise NotImplementedError(
                f"The output bindings {lost} of {function.name} are not served here; only HTTP "
                "responses are."
            )
        return _encoded(answer) if function.http_output else Response(204, [], b"")


def _request(head: Mapping[str, Any], body: bytes) -> HttpRequest:
    return HttpRequest(
        method=head["method"],
        url=head["url"],
        headers=head["headers"],
        params=head["params"],
        route_params=head["route"],
        body_type="bytes",
        body=body,
    )


def _encoded(value: Any) -> Response:
    if isinstance(value, func.HttpResponse):
        return _checked(_from_http_response(value))
    if isinstance(value, str):
        return _checked(_from_text(value))
    raise TypeError(
        f"A function's HTTP response must be an azure.functions.HttpResponse or a str, "
        f"not {type(value).__name__}."
    )


def _from_http_response(value: func.HttpResponse) -> Response:
    # A list of pairs, because Set-Cookie may stand in it several times.
    headers = list(value.headers.items())
    # werkzeug's own look-up makes an exception of every name that is not there.
    if not any(name.lower() == "content-type" for name, _ in headers):
        charset = f"; charset={value.charset}" if value.mimetype.startswith("text/") else ""
        headers.append(("content-type", value.mimetype + charset))
    return Response(int(value.status_code), headers, value.get_body() or b"")


def _from_text(text: str) -> Response:
    document = _response_object(text)
    if document is None:
        return Response(200, [("content-type", "text/plain; charset=utf-8")], text.encode())
    headers = [(str(name), str(value)) for name, value in (document.get("headers") or {}).items()]
    body = document["body"]
    mimetype = "text/plain; charset=utf-8"
    if not isinstance(body, str):
        body, mimetype = json.dumps(body), "application/json; charset=utf-8"
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("content-type", mimetype))
    status = document.get("status") or document.get("statuscode") or 200
    return Response(int(status), headers, body.encode())


def _response_object(text: str) -> dict[str, Any] | None:
    """A string that holds a JSON object with a `body` is taken for a whole response.

    source: the Functions host's HTTP result, which sniffs what a function returns.
    """
    if not text.lstrip().startswith("{"):
        return None
    try:
        document = {name.lower(): value for name, value in json.loads(text).items()}
    except ValueError:
        return None
    return document if "body" in document else None


def _checked(response: Response) -> Response:
    if not 200 <= response.status <= 599:
        raise ValueError(f"The status code {response.status} is not between 200 and 599.")
    for name, value in response.headers:
        name.encode("ascii")
        value.encode("latin-1")
        if "\n" in value or "\r" in value:
            raise ValueError(f"The response header {name} holds a line break.")
    return response
