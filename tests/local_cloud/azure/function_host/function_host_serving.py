"""A function host behind a real HTTP server on a free port, and apps written to disk."""

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import requests
import uvicorn

from mc_assets.local_cloud.azure.function_host import (
    AppContent,
    AppKeys,
    FunctionHost,
    HostLimits,
    IndexResult,
)

T = TypeVar("T")
NewLoop = Callable[[], asyncio.AbstractEventLoop]

KEYS = AppKeys(
    master="master-key",
    host={"default": "host-key", "unset": ""},
    system={"durable": "system-key"},
    function={"echo": {"default": "echo-key"}, "other": {"default": "other-key"}},
)


class Served:
    """A FunctionHost and the server in front of it, driven from the test's thread."""

    def __init__(
        self, log_file: Path, limits: HostLimits | None = None, new_loop: NewLoop | None = None
    ) -> None:
        self._new_loop = new_loop
        self.log_file = log_file
        self.session = requests.Session()
        # asyncio turns off Nagle's algorithm only where the socket names its protocol; with it,
        # every response takes 40 ms.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(100)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._limits = limits
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(30)

    def do(self, awaitable: Awaitable[T]) -> T:
        async def wrapped() -> T:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(wrapped(), self._loop).result(120)

    def activate(self, root: Path, **settings: str) -> IndexResult:
        return self.do(self.host.activate(AppContent(root, settings)))

    def call(self, path: str, method: str = "GET", **options: object) -> requests.Response:
        return self.session.request(method, self.url + path, timeout=60, **options)  # pyright: ignore[reportArgumentType]

    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""

    def wait_for_line(self, words: str) -> None:
        """What a worker writes reaches the log beside its answers, and sometimes after them."""
        eventually(lambda: words in self.log(), f"{words!r} in the log")

    def close(self) -> None:
        self.session.close()
        self.do(self.host.close())
        self._server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=self._new_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.host = FunctionHost("testapp", self.log_file, limits=self._limits)
        self.host.set_keys(KEYS)
        config = uvicorn.Config(self.host.asgi, access_log=False, log_level="warning")
        self._server = uvicorn.Server(config)
        self._ready.set()
        await self._server.serve(sockets=[self._socket])


def eventually(holds: Callable[[], bool], what: str, seconds: float = 20) -> None:
    """Wait until something holds; fail with its description when it does not come to hold."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
