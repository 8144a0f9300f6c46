"""The front door of one app: keys, routes, limits, and the way of a request to its function."""

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from mc_assets.local_cloud.azure.function_host.admin import AdminEndpoints
from mc_assets.local_cloud.azure.function_host.admission import Admission, TooManyRequestsError
from mc_assets.local_cloud.azure.function_host.app_log import AppLog
from mc_assets.local_cloud.azure.function_host.host_json import HostConfiguration
from mc_assets.local_cloud.azure.function_host.keys import KeyRing
from mc_assets.local_cloud.azure.function_host.protocol import Frame
from mc_assets.local_cloud.azure.function_host.records import (
    Answer,
    AppKeys,
    HostLimits,
    IndexResult,
)
from mc_assets.local_cloud.azure.function_host.routes import RouteMatch, RouteTable
from mc_assets.local_cloud.azure.function_host.worker_pool import NoWorkerError, WorkerPool
from mc_assets.local_cloud.azure.function_host.worker_process import WorkerDiedError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Message, Receive, Send], Awaitable[None]]

# Set by this host itself, or meaningful for one connection only.
_NOT_FORWARDED = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive"})
_KEY_HEADER = b"x-functions-key"
_NO_CONTENT = frozenset({204, 304})
_HTML = [(b"content-type", b"text/html")]
_HOMEPAGE = (
    b"<!DOCTYPE html><title>Function app</title><p>This function app is up and running.</p>\n"
)


class ClientGoneError(Exception):
    """The client left before its whole request had arrived."""


class BodyTooLargeError(Exception):
    """The request's body is over the app's limit."""


@dataclass(frozen=True, slots=True)
class ServedApp:
    """An activated app, as the front door needs it."""

    index: IndexResult
    configuration: HostConfiguration
    routes: RouteTable
    pool: WorkerPool
    admission: Admission


@dataclass(frozen=True, slots=True)
class FailedApp:
    """An app without functions: its index says why. No configuration: the host did not start."""

    index: IndexResult
    configuration: HostConfiguration | None


class Request(NamedTuple):
    """The head of a request; `key` is the one that it presents, None where it presents none."""

    method: str
    path: str
    url: str
    headers: dict[str, str]
    params: dict[str, str]
    key: str | None

    @classmethod
    def of(cls, scope: Message) -> "Request":
        headers = _headers(scope)
        query = scope["query_string"].decode("latin-1")
        raw_path = scope["raw_path"].decode("latin-1")
        url = f"{scope['scheme']}://{headers.get('host', '')}{raw_path}"
        pairs = parse_qsl(query, keep_blank_values=True)
        return cls(
            method=scope["method"],
            path=_decoded(raw_path),
            url=f"{url}?{query}" if query else url,
            headers=headers,
            params=_params(pairs),
            key=_presented_key(scope, pairs),
        )


class FrontDoor:
    """An ASGI application; what it serves is set by the host, and may change at any time."""

    def __init__(self, name: str, log: AppLog, limits: HostLimits) -> None:
        self._log = log
        self._limits = limits
        self._admin = AdminEndpoints(name)
        self.keys = KeyRing(AppKeys("", {}, {}, {}))
        self.app: ServedApp | FailedApp | None = None
        self.stopped = False
        # Cleared during the first activation, so that requests wait for it.
        self.settled = asyncio.Event()
        self.settled.set()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _acknowledge_lifespan(receive, send)
        elif scope["type"] == "http":
            try:
                answer = await self._answer(scope, receive)
            except ClientGoneError:
                return
            await _send_answer(answer, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _answer(self, scope: Message, receive: Receive) -> Answer:
        if self.stopped:
            return Answer(403, [(b"content-type", b"text/plain")], b"This function app is stopped.")
        if not self.settled.is_set():
            await self.settled.wait()
        request, app = Request.of(scope), self.app
        if request.path.lower().startswith("/admin/"):
            return self._admin_answer(request, app)
        if app and not app.configuration:
            return Answer(503, [], b"Function host is not running.")
        if isinstance(app, ServedApp) and (match := app.routes.match(request.method, request.path)):
            return await self._call(app, match, request, receive)
        return _homepage(app) if request.path == "/" else Answer(404, [])

    def _admin_answer(self, request: Request, app: ServedApp | FailedApp | None) -> Answer:
        return self._admin.answer(
            request.method,
            request.path,
            is_master=lambda: self.keys.is_master(request.key),
            index=app.index if app else None,
            running=app is None or app.configuration is not None,
        )

    async def _call(
        self, app: ServedApp, match: RouteMatch, request: Request, receive: Receive
    ) -> Answer:
        if not self.keys.opens(match.function, request.key):
            return Answer(401, [])
        # source: FunctionInvocationMiddleware: the master key opens what is disabled.
        if match.function.is_disabled and not self.keys.is_master(request.key):
            return Answer(404, [])
        with app.pool:
            try:
                async with app.admission:
                    body = await _read_body(request, receive, app.configuration.body_limit)
                    return await self._invoke(app.pool, _invocation(request, match), body)
            except TooManyRequestsError as error:
                self._log.write(f"[host] {match.function.name} was not called: {error}")
                return Answer(429, [])
            except BodyTooLargeError:
                return Answer(413, [])

    async def _invoke(self, pool: WorkerPool, head: dict[str, Any], body: bytes) -> Answer:
        try:
            result = await _within(self._limits.front_end, await pool.call(head, body))
        except TimeoutError:
            self._log.write(
                f"[host] {head['function']} gave no answer in {self._limits.front_end} s."
            )
            return Answer(504, [])
        except WorkerDiedError:
            self._log.write(f"[host] The worker died while it ran {head['function']}.")
            return Answer(500, [])
        except NoWorkerError as error:
            self._log.write(f"[host] {head['function']} was not called: {error}")
            return Answer(503, [], b"Function host is not running.")
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in result.head["headers"]
        ]
        return Answer(result.head["status"], headers, result.body)


async def _within(seconds: float, answer: asyncio.Future[Frame]) -> Frame:
    """The answer; asyncio.timeout, which can cancel any task, costs more than a short function.

    Raises:
        TimeoutError: it has not come in that time.
    """
    giving_up = asyncio.get_running_loop().call_later(seconds, _give_up, answer)
    try:
        return await answer
    finally:
        giving_up.cancel()


def _give_up(answer: asyncio.Future[Frame]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())


def _headers(scope: Message) -> dict[str, str]:
    """Lower-case names; a name that comes more than once has its values joined by commas.

    source: the Functions host's conversion of an HTTP request for its workers.
    """
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def _params(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """As _headers, for the query, in any case; parameters without a value are left out."""
    spellings: dict[str, str] = {}
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(spellings.setdefault(name.lower(), name), []).append(value)
    joined = {name: ",".join(each) for name, each in values.items()}
    return {name: value for name, value in joined.items() if value}


def _presented_key(scope: Message, pairs: list[tuple[str, str]]) -> str | None:
    """The header wins, even an empty one; of several the first counts.

    source: AuthenticationLevelHandler of the Functions host.
    """
    in_header = (raw.decode("latin-1") for name, raw in scope["headers"] if name == _KEY_HEADER)
    in_query = (value for name, value in pairs if name.lower() == "code")
    return next(in_header, next(in_query, None))


def _decoded(raw_path: str) -> str:
    # An encoded slash does not end a segment, and stays encoded. source: Kestrel.
    return "%2F".join(unquote(piece) for piece in re.split("%2F", raw_path, flags=re.IGNORECASE))


def _homepage(app: ServedApp | FailedApp | None) -> Answer:
    shown = app is None or (app.configuration and app.configuration.has_homepage)
    return Answer(200, _HTML, _HOMEPAGE) if shown else Answer(204, [])


def _invocation(request: Request, match: RouteMatch) -> dict[str, Any]:
    return {
        "function": match.function.name,
        "method": request.method,
        "url": request.url,
        "headers": request.headers,
        "params": request.params,
        "route": match.parameters,
    }


async def _read_body(request: Request, receive: Receive, limit: int) -> bytes:
    if int(request.headers.get("content-length", "0")) > limit:
        raise BodyTooLargeError
    pieces: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        piece = message.get("body", b"")
        size += len(piece)
        if size > limit:
            raise BodyTooLargeError
        pieces.append(piece)
        more = message.get("more_body", False)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def _send_answer(answer: Answer, send: Send) -> None:
    headers = [pair for pair in answer.headers if pair[0].decode("latin-1") not in _NOT_FORWARDED]
    body = b"" if answer.status in _NO_CONTENT else answer.body
    if answer.status not in _NO_CONTENT:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _acknowledge_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
