"""The program of a worker process: indexes one function app and runs its functions on request.

Started by the function host as `python -s -S -P worker.py CHANNEL ROOT LIBRARY`: a socket's file
descriptor, the app's folder, and the folder with the host's own copy of azure.functions. It uses
the standard library, azure.functions and the app's packages, nothing else of the host's.
"""

import asyncio
import importlib.machinery
import importlib.util
import logging
import os
import socket
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from mc_assets.local_cloud.azure.function_host import (
        crew,
        function_folders,
        indexing,
        invocation,
        protocol,
    )

_PACKAGES = Path(".python_packages", "lib", "site-packages")
_READ_BYTES = 1 << 18


class OwnLibraries:
    """Finds azure.functions in the host's packages where the app brings none, and nothing else.

    Azure's worker ships its own copy for the same reason.
    """

    _SHARED = frozenset({"azure.functions", "werkzeug", "markupsafe"})

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        if name == "azure":
            # An empty namespace: the host's other azure packages must stay out of sight.
            return importlib.machinery.ModuleSpec(name, None, is_package=True)
        if name not in self._SHARED:
            return None
        parent = Path(self._folder, *name.split(".")[:-1])
        return importlib.machinery.PathFinder.find_spec(name, [str(parent)])


class Worker:
    """Reads invocations from the host and writes their results back, many at a time."""

    def __init__(self, channel: socket.socket, root: Path) -> None:
        self._channel = channel
        self._root = root
        self._writing = threading.Lock()
        self._received = memoryview(bytearray(_READ_BYTES))
        self._decoder = protocol.FrameDecoder()
        self._functions: dict[str, indexing.LoadedFunction] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Index the app, tell the host what was found, then serve until the host goes away."""
        self._send(protocol.Kind.INDEXED, 0, self._index())
        self._loop = asyncio.get_running_loop()
        crew.Crew(_thread_count(), self._read).start()
        await asyncio.Event().wait()

    def _index(self) -> dict[str, Any]:
        try:
            _load_siblings("function_folders", "indexing", "invocation")
            loaded = [indexing.load(each, self._root) for each in indexing.registered(self._root)]
            if not loaded:
                folders = function_folders.found(self._root)
                loaded = [indexing.load_or_list(each, self._root) for each in folders]
        except BaseException:  # noqa: BLE001 - whatever an app's import raises, SystemExit too, is its error
            return {"functions": [], "error": traceback.format_exc()}
        if not loaded:
            sys.stderr.write("[WARNING] There is no function in a function_app.py or a folder.\n")
        self._functions = {function.name: function for function in loaded}
        return {"functions": [function.info for function in loaded], "error": None}

    def _read(self) -> "list[crew.Job]":
        """Wait for the next calls; those of coroutine functions are started on the loop."""
        try:
            size = self._channel.recv_into(self._received)
            if size == 0:
                # The host has gone, or needs this worker no more: nobody waits for its answers.
                _leave(0)
            frames = self._decoder.feed(self._received[:size])
            return [job for frame in frames if (job := self._job(frame))]
        except OSError:
            _leave(0)
        except BaseException:  # noqa: BLE001 - whatever it is, it ends the process
            traceback.print_exc()
            _leave(70)

    def _job(self, frame: "protocol.Frame") -> "crew.Job | None":
        function = self._functions[frame.head["function"]]
        try:
            call = invocation.Invocation(function, frame.head, frame.body)
        except Exception:  # noqa: BLE001 - reported as the call's failure
            self._failed(frame.call, function.name)
            return None
        if not function.is_async:
            return crew.Job(function.name, partial(self._run, frame.call, function.name, call.run))
        self._loop.call_soon_threadsafe(self._start, frame.call, function.name, call.run_async)
        return None

    def _run(self, call: int, name: str, run: "Callable[[], invocation.Response]") -> None:
        try:
            self._answer(call, run())
        except BaseException:  # noqa: BLE001 - an exception of the function is its failure, not ours
            self._failed(call, name)

    def _start(
        self, call: int, name: str, run: "Callable[[], Awaitable[invocation.Response]]"
    ) -> None:
        task = self._loop.create_task(self._run_async(call, name, run))
        # The loop itself keeps only weak references to its tasks.
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run_async(
        self, call: int, name: str, run: "Callable[[], Awaitable[invocation.Response]]"
    ) -> None:
        try:
            response = await run()
        except BaseException:  # noqa: BLE001 - as in _run
            self._failed(call, name)
        else:
            self._answer(call, response)

    def _failed(self, call: int, name: str) -> None:
        # Not through logging: the app may have reconfigured it.
        sys.stderr.write(f"[ERROR] Executed 'Functions.{name}' (Failed)\n{traceback.format_exc()}")
        self._send(protocol.Kind.RESULT, call, {"status": 500, "headers": []})

    def _answer(self, call: int, response: "invocation.Response") -> None:
        head = {"status": response.status, "headers": response.headers}
        self._send(protocol.Kind.RESULT, call, head, response.body)

    def _send(self, kind: "protocol.Kind", call: int, head: object, body: bytes = b"") -> None:
        pieces = protocol.encode(kind, call, head, body)
        try:
            with self._writing:
                for piece in pieces:
                    self._channel.sendall(piece)
        except OSError:
            _leave(0)


def main(arguments: Sequence[str]) -> None:
    descriptor, root, library = arguments
    channel = socket.socket(fileno=int(descriptor))
    # Programs the app starts must not hold the channel open after the worker has died.
    channel.set_inheritable(False)
    sys.argv = [str(Path(root, "function_app.py"))]
    sys.path[:0] = [root, str(Path(root, _PACKAGES))]
    sys.meta_path.append(OwnLibraries(library))
    _load_siblings("protocol", "crew")
    logging.basicConfig(format="[%(levelname)s] %(name)s: %(message)s", level=logging.INFO)
    asyncio.run(Worker(channel, Path(root)).serve())


def _load_siblings(*names: str) -> None:
    """Load modules beside this file under private names: an app may have a `protocol` too."""
    for name in names:
        alias = f"_function_worker_{name}"
        spec = importlib.util.spec_from_file_location(alias, Path(__file__).with_name(f"{name}.py"))
        if spec is None or spec.loader is None:
            raise ImportError(f"The worker's own {name}.py cannot be loaded.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[alias] = module
        spec.loader.exec_module(module)
        globals()[name] = module


def _thread_count() -> int:
    text = os.environ.get("PYTHON_THREADPOOL_THREAD_COUNT", "")
    # source: concurrent.futures.ThreadPoolExecutor, whose default Azure's worker takes.
    return int(text) if text.isdecimal() and int(text) > 0 else min(32, (os.cpu_count() or 1) + 4)


def _leave(code: int) -> NoReturn:
    # Functions may still be running on other threads; waiting for them could take forever.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
