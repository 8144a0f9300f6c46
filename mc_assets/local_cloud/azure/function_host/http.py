"""The front door of one app: keys, routes, limits, and the way of a request to its function."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from mc_assets.local_cloud.azure.function_host.admin import AdminEndpoints
from mc_assets.local_cloud.azure.function_host.app_log import AppLog
from mc_assets.local_cloud.azure.function_host.keys import KeyRing
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
_NO_CONTENT = frozenset({204, 304})


class ClientGoneError(Exception):
    """The client left before its whole request had arrived."""


class BodyTooLargeError(Exception):
    """The request's body is over the app's limit."""


@dataclass(frozen=True, slots=True)
class ServedApp:
    """An activated app, as the front door needs it; without workers where indexing failed."""

    index: IndexResult
    routes: RouteTable
    pool: WorkerPool | None
    body_limit: int


class FrontDoor:
    """An ASGI application; what it serves is set by the host, and may change at any time."""

    def __init__(self, name: str, log: AppLog, limits: HostLimits) -> None:
        self._log = log
        self._limits = limits
        self._admin = AdminEndpoints(name)
        self.keys = KeyRing(AppKeys("", {}, {}, {}))
        self.app: ServedApp | None = None
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
        path: str = scope["path"]
        headers = _headers(scope)
        params = _params(scope)
        # The header wins where a request carries both.
        key = headers.get("x-functions-key") or params.get("code")
        if path.lower().startswith("/admin/"):
            index = self.app.index if self.app else None
            return self._admin.answer(path, lambda: self.keys.is_master(key), index)
        app = self.app
        match = app.routes.match(scope["method"], path) if app else None
        if app is None or app.pool is None or match is None:
            return Answer(404, [])
        if not self.keys.opens(match.function, key):
            return Answer(401, [])
        with app.pool.lease():
            try:
                body = await _read_body(headers, receive, app.body_limit)
            except BodyTooLargeError:
                return Answer(413, [])
            head = _invocation(scope, headers, params, match)
            return await self._invoke(app.pool, head, body)

    async def _invoke(self, pool: WorkerPool, head: dict[str, Any], body: bytes) -> Answer:
        try:
            async with asyncio.timeout(self._limits.front_end):
                result = await pool.call(head, body)
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


def _headers(scope: Message) -> dict[str, str]:
    """Lower-case names; a name that comes more than once has its values joined by commas.

    source: the Functions host's conversion of an HTTP request for its workers.
    """
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def _params(scope: Message) -> dict[str, str]:
    """As _headers, for the query; parameters without a value are left out."""
    if not scope["query_string"]:
        return {}
    params: dict[str, str] = {}
    for name, value in parse_qsl(scope["query_string"].decode("latin-1")):
        params[name] = f"{params[name]},{value}" if name in params else value
    return params


def _invocation(
    scope: Message, headers: dict[str, str], params: dict[str, str], match: RouteMatch
) -> dict[str, Any]:
    query = scope["query_string"].decode("latin-1")
    path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    url = f"{scope['scheme']}://{headers.get('host', '')}{path}"
    return {
        "function": match.function.name,
        "method": scope["method"],
        "url": f"{url}?{query}" if query else url,
        "headers": headers,
        "params": params,
        "route": match.parameters,
    }


async def _read_body(headers: dict[str, str], receive: Receive, limit: int) -> bytes:
    if int(headers.get("content-length", "0")) > limit:
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
