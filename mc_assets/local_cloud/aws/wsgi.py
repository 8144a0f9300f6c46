"""A WSGI application behind uvicorn: whole requests in, answers in pieces, connections kept open.

werkzeug's own server, which moto brings along, closes the connection after every answer.
"""

import asyncio
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from moto.core.request import (
    PRESERVED_HEADER_NAMES_ENVIRON_KEY,
    environ_key_for_header,
    should_preserve_original_header_name,
)
from starlette.types import Receive, Scope, Send
from werkzeug.wrappers import Response

_THREADS = 32


class WsgiBridge:
    """An ASGI application that has a WSGI application answer, on threads."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._threads = ThreadPoolExecutor(_THREADS, "request")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Before a thread is taken, so that a slow client keeps nothing waiting but itself.
        body = await _received(receive)
        if body is None:
            return
        environ = _environ(scope, body)
        answer, pieces, first = await self._on_thread(self._answer, environ)
        try:
            await self._send(answer, first, pieces, send)
        finally:
            answer.close()

    def _answer(self, environ: dict[str, Any]) -> tuple[Response, Iterator[bytes], bytes]:
        answer = Response.from_app(self._application, environ)
        pieces = iter(answer.iter_encoded())
        return answer, pieces, next(pieces, b"")

    async def _send(
        self, answer: Response, first: bytes, rest: Iterator[bytes], send: Send
    ) -> None:
        headers = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in answer.headers.items()
        ]
        status, piece, sent = answer.status_code, first, 0
        await send({"type": "http.response.start", "status": status, "headers": headers})
        while piece is not None:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            sent += len(piece)
            # The next one may have to be read from a file; whether there is one, a length tells.
            last = sent == answer.content_length
            piece = None if last else await self._on_thread(next, rest, None)
        await send({"type": "http.response.body", "body": b""})

    async def _on_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, work, *arguments)


async def _received(receive: Receive) -> io.BytesIO | None:
    """The whole body; None if the client left before its end."""
    body = io.BytesIO()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body.write(message.get("body", b""))
        more = message.get("more_body", False)
    body.seek(0)
    return body


def _environ(scope: Scope, body: io.BytesIO) -> dict[str, Any]:
    """The request as WSGI has it; source: PEP 3333, and what werkzeug and moto add to it."""
    path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
    host, port = scope["server"]
    environ = _header_variables(scope["headers"]) | {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": f"{path}?{query}" if query else path,
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": scope["client"][0],
        "CONTENT_LENGTH": str(body.getbuffer().nbytes),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    # The body has lost this coding on its way here.
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    return environ


def _header_variables(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, Any]:
    """A name with an underscore is only believed where moto asks for its true spelling.

    In a WSGI variable `x_y` looks like `x-y`; where a request has both, the latter counts.
    """
    decoded = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    variables: dict[str, Any] = {}
    spelled: dict[str, str] = {}
    for name, value in sorted(decoded, key=lambda header: "_" in header[0]):
        key = environ_key_for_header(name)
        if "_" in name:
            if not should_preserve_original_header_name(name):
                continue
            if key in variables and key not in spelled:
                continue
            spelled.setdefault(key, name)
        variables[key] = f"{variables[key]},{value}" if key in variables else value
    return variables | {PRESERVED_HEADER_NAMES_ENVIRON_KEY: spelled}
