"""TLS listeners on 127.0.0.1: the sockets, and the servers on them."""

import asyncio
import socket
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from mc_assets.local_cloud.azure.function_host import FunctionHost
from mc_assets.local_cloud.azure.tls import TlsFiles
from mc_assets.local_cloud.http_server import configuration
from mc_assets.local_cloud.settings import LocalCloudError

HOST = "127.0.0.1"
LAST_PORT = 65535
FLUSH_S = 0.3


class Server(uvicorn.Server):
    """A server among several in one process, which alone listens to signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Listener:
    """An application served over TLS on a socket that is already bound."""

    def __init__(self, sock: socket.socket, tls: TlsFiles, app: ASGIApp) -> None:
        config = configuration(app, ssl_certfile=tls.certificate, ssl_keyfile=str(tls.private_key))
        self._socket = sock
        self._server = Server(config)
        self._task: asyncio.Task[None] | None = None
        self.port: int = sock.getsockname()[1]

    async def start(self) -> None:
        """Return once connections are accepted."""
        self._task = asyncio.create_task(self._server.serve([self._socket]))
        while not self._server.started:
            if self._task.done():
                await self._task
                raise LocalCloudError(f"The server on port {self.port} ended as it started.")
            await asyncio.sleep(0.005)

    async def close(self) -> None:
        """Let requests in flight finish, then drop every connection."""
        self._server.should_exit = True
        while self._task and not self._task.done():
            await asyncio.wait([self._task], timeout=FLUSH_S)
            # A client that keeps a connection for later does not answer the farewell of TLS,
            # and the server would wait for it until its grace is over.
            self._server.force_exit = not self._server.server_state.tasks
        self._socket.close()


class SiteListener(Listener):
    """The address of a site; which function host answers there can change between requests."""

    def __init__(self, sock: socket.socket, tls: TlsFiles, host: FunctionHost) -> None:
        super().__init__(sock, tls, self._answer)
        self.host = host
        self._awaited: asyncio.Task[None] | None = None

    def waits_for(self, work: Coroutine[Any, Any, None]) -> None:
        """Hold requests back until this is done, whatever its outcome."""
        self._awaited = asyncio.create_task(work)
        self._awaited.add_done_callback(self._stop_waiting)

    async def close(self) -> None:
        if self._awaited:
            self._awaited.cancel()
        await super().close()

    def _stop_waiting(self, done: asyncio.Task[None]) -> None:
        self._awaited = None
        if not done.cancelled() and done.exception():
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"The site on port {self.port} failed.", "exception": done.exception()}
            )

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._awaited:
            await asyncio.wait([self._awaited])
        await self.host.asgi(scope, receive, send)


def bind(port: int) -> socket.socket:
    """Bind 127.0.0.1:port for a server.

    Raises:
        OSError: the port is taken or not permitted.
    """
    # asyncio turns Nagle's delay off only where the protocol is named: 40 ms a call otherwise.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((HOST, port))
        # Listening at once makes a second bind fail even where both ask to reuse the address.
        sock.listen(2048)
    except OSError:
        sock.close()
        raise
    return sock


def claim_port(first: int, used: set[int], only: str | None = None) -> socket.socket:
    """Bind the first free port from `first` up, or `first` itself for the site named `only`.

    Raises:
        LocalCloudError: there is none.
    """
    for port in range(first, (first if only else LAST_PORT) + 1):
        if port in used:
            continue
        with suppress(OSError):
            return bind(port)
    if only:
        raise LocalCloudError(
            f"Port {first} belongs to the function app {only}, but another program listens on it: "
            f"end that program, or delete the state folder's app by `mc-local reset`."
        )
    raise LocalCloudError(f"No port from {first} up is free for a function app.")
