"""One worker process: how it is started, spoken to, and ended."""

import asyncio
import contextlib
import importlib.util
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from mc_assets.local_cloud.azure.function_host import protocol
from mc_assets.local_cloud.azure.function_host.app_log import AppLog
from mc_assets.local_cloud.azure.function_host.records import AppContent, HostLimits

_PROGRAM = Path(__file__).with_name("worker.py")
# All that an app sees of the server's environment: never the server's credentials.
_INHERITED = ("PATH", "HOME", "LANG", "TMPDIR")


class WorkerError(Exception):
    """A worker could not be started; the text says why."""


class AppNotIndexedError(WorkerError):
    """The worker is well, the app is not: the text is the traceback of its import or indexing."""


class WorkerDiedError(Exception):
    """The worker ended before it answered."""


@dataclass(slots=True)
class _Call:
    answer: asyncio.Future[protocol.Frame]
    deadline: asyncio.TimerHandle | None = field(default=None)


class WorkerChannel(asyncio.Protocol):
    """The host's end of the connection to a worker; pairs results with the calls that wait."""

    def __init__(self, on_lost: Callable[[], None]) -> None:
        self.indexed: asyncio.Future[protocol.Frame] = asyncio.get_running_loop().create_future()
        self._on_lost = on_lost
        self._decoder = protocol.FrameDecoder()
        self._calls: dict[int, _Call] = {}
        self._next = 0
        self._outgoing: list[bytes] = []
        self._transport: asyncio.WriteTransport | None = None

    def call(
        self,
        head: Mapping[str, Any],
        body: bytes,
        timeout: float | None,
        expire: Callable[[], None],
    ) -> asyncio.Future[protocol.Frame]:
        """Send an invocation; `expire` is called when no result has come after `timeout` seconds.

        The future fails with WorkerDiedError when the worker ends first.
        """
        loop = asyncio.get_running_loop()
        call = _Call(loop.create_future())
        if self._transport is None:
            call.answer.set_exception(WorkerDiedError("The worker has ended."))
            return call.answer
        if timeout is not None:
            call.deadline = loop.call_later(timeout, expire)
        # Wraps below 2^32, the width of the field; that many calls are never in flight.
        self._next = (self._next + 1) & 0xFFFFFFFF
        self._calls[self._next] = call
        if not self._outgoing:
            loop.call_soon(self._flush)
        self._outgoing += protocol.encode(protocol.Kind.INVOKE, self._next, head, body)
        return call.answer

    def _flush(self) -> None:
        # All calls of one turn of the loop at once: each write wakes the worker.
        if self._transport is not None:
            self._transport.writelines(self._outgoing)
        self._outgoing.clear()

    def close(self) -> None:
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not asserted: uvloop's transports do not derive from asyncio's.
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        for frame in self._decoder.feed(data):
            if frame.kind == protocol.Kind.INDEXED:
                self.indexed.set_result(frame)
                continue
            call = self._calls.pop(frame.call)
            if call.deadline:
                call.deadline.cancel()
            # The front end may have given up on it.
            if not call.answer.done():
                call.answer.set_result(frame)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._transport = None
        waiting = [self.indexed, *(call.answer for call in self._calls.values())]
        for call in self._calls.values():
            if call.deadline:
                call.deadline.cancel()
        self._calls.clear()
        for answer in waiting:
            if not answer.done():
                answer.set_exception(WorkerDiedError("The worker ended before it answered."))
                # Whoever asked may have stopped waiting; that is no reason for a warning.
                answer.exception()
        self._on_lost()


class WorkerProcess:
    """A worker of one app; `index` is what it found, `ended` is set once it is gone."""

    def __init__(self, log: AppLog, limits: HostLimits) -> None:
        self._log = log
        self._limits = limits
        self._lost = False
        self.pid = 0
        self.index: dict[str, Any] = {}
        self.ended = asyncio.Event()

    @classmethod
    async def start(cls, content: AppContent, log: AppLog, limits: HostLimits) -> "WorkerProcess":
        """Start a process and wait until it has indexed the app.

        Raises:
            WorkerError: it could not start, died, took too long, or could not index the app.
        """
        worker = cls(log, limits)
        try:
            await worker._spawn(content)
        except (OSError, ValueError) as error:
            raise WorkerError(f"The worker process could not be started: {error}") from error
        try:
            await worker._await_index()
        except BaseException:
            worker._kill()
            await worker.ended.wait()
            raise
        return worker

    @property
    def alive(self) -> bool:
        return not self._lost

    def call(
        self, head: Mapping[str, Any], body: bytes, timeout: float | None
    ) -> asyncio.Future[protocol.Frame]:
        """Run a function; see WorkerChannel.call. A call over its time ends the whole worker.

        source: Microsoft Learn, host.json functionTimeout; the host restarts the language worker.
        """
        return self._channel.call(head, body, timeout, lambda: self._expire(head, timeout))

    async def close(self) -> None:
        """End the process: it leaves when its channel closes, or is killed a moment later."""
        self._channel.close()
        try:
            async with asyncio.timeout(self._limits.exit):
                await self.ended.wait()
        except TimeoutError:
            self._kill()
            await self.ended.wait()

    async def _spawn(self, content: AppContent) -> None:
        host_end, worker_end = socket.socketpair()
        with worker_end:
            _, self._channel = await asyncio.get_running_loop().create_unix_connection(
                lambda: WorkerChannel(self._on_lost), sock=host_end
            )
            try:
                await self._launch(content, worker_end.fileno())
            except BaseException:
                self._channel.abort()
                raise
        self._watch = asyncio.create_task(self._watch_exit())

    async def _launch(self, content: AppContent, channel: int) -> None:
        log_end, output = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *_command(content.root, channel),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=content.root,
                env=_environment(content.settings),
                pass_fds=(channel,),
                start_new_session=True,
            )
        except BaseException:
            os.close(log_end)
            raise
        finally:
            os.close(output)
        self.pid = self._process.pid
        self._copying = self._log.follow(log_end, f"log of worker {self.pid}")

    async def _await_index(self) -> None:
        try:
            async with asyncio.timeout(self._limits.index):
                self.index = (await self._channel.indexed).head
        except TimeoutError:
            raise WorkerError(
                f"The app was not indexed within {self._limits.index:g} seconds."
            ) from None
        except WorkerDiedError:
            await self.ended.wait()
            raise WorkerError(
                "The worker ended while it indexed the app "
                f"({_exit_reason(self._process.returncode)})."
            ) from None
        if self.index["error"]:
            raise AppNotIndexedError(self.index["error"])

    async def _watch_exit(self) -> None:
        code = await self._process.wait()
        # A program the app started may still hold the channel.
        self._channel.abort()
        self._kill()
        await asyncio.to_thread(self._copying.join, 1)
        self._log.write(f"[host] Worker {self.pid} ended ({_exit_reason(code)}).")
        self.ended.set()

    def _on_lost(self) -> None:
        self._lost = True
        # A worker that has let go of its channel is of no use, even if it lives on.
        asyncio.get_running_loop().call_later(self._limits.exit, self._kill)

    def _expire(self, head: Mapping[str, Any], timeout: float | None) -> None:
        self._log.write(
            f"[host] Timeout value of {timeout:g} seconds was exceeded by function "
            f"{head['function']}; its worker {self.pid} is restarted."
        )
        self._kill()

    def _kill(self) -> None:
        if not self.pid or self.ended.is_set():
            return
        # The worker leads its own process group: what the app has started goes with it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


def _command(root: Path, channel: int) -> list[str]:
    # No site-packages (-S), no user packages (-s), no folder of the script (-P): see worker.py.
    return [
        sys.executable,
        *("-u", "-s", "-S", "-P"),
        str(_PROGRAM),
        *(str(channel), str(root.resolve()), str(_library())),
    ]


def _library() -> Path:
    """The folder with the server's own azure.functions, werkzeug and markupsafe."""
    spec = importlib.util.find_spec("azure.functions")
    if spec is None or spec.origin is None:
        raise OSError("azure-functions is not installed: pip install 'mc-assets[local]'.")
    return Path(spec.origin).parents[2]


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**inherited, **settings}


def _exit_reason(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"
