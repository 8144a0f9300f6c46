"""The life of one function app on this host: activated, restarted, stopped, closed."""

import asyncio
import traceback
from pathlib import Path
from typing import Any

from mc_assets.local_cloud.azure.function_host.admission import Admission
from mc_assets.local_cloud.azure.function_host.app_log import AppLog
from mc_assets.local_cloud.azure.function_host.host_json import (
    HostConfiguration,
    HostConfigurationError,
)
from mc_assets.local_cloud.azure.function_host.http import (
    ASGIApp,
    FailedApp,
    FrontDoor,
    ServedApp,
)
from mc_assets.local_cloud.azure.function_host.keys import KeyRing
from mc_assets.local_cloud.azure.function_host.records import (
    AppContent,
    AppKeys,
    FunctionInfo,
    HostLimits,
    IndexResult,
)
from mc_assets.local_cloud.azure.function_host.routes import RouteTable
from mc_assets.local_cloud.azure.function_host.worker_pool import WorkerPool
from mc_assets.local_cloud.azure.function_host.worker_process import (
    AppNotIndexedError,
    WorkerError,
)


class FunctionHost:
    """Serves one app, or one slot of an app; lives on the asyncio loop it was made on.

    `asgi` answers 403 while the app is stopped, and has nothing but a homepage before anything was
    activated; during the first activation requests wait.
    """

    def __init__(self, name: str, log_file: Path, *, limits: HostLimits | None = None) -> None:
        self._limits = limits or HostLimits()
        self._log = AppLog(log_file)
        self._front = FrontDoor(name, self._log, self._limits)
        self.asgi: ASGIApp = self._front
        self._content: AppContent | None = None
        self._index: IndexResult | None = None
        self._changing = asyncio.Lock()
        self._preparing: asyncio.Task[ServedApp | FailedApp] | None = None
        self._retiring: dict[asyncio.Task[None], WorkerPool] = {}

    @property
    def index(self) -> IndexResult | None:
        """What the last activation found; None before the first."""
        return self._index

    def set_keys(self, keys: AppKeys) -> None:
        self._front.keys = KeyRing(keys)

    async def activate(self, content: AppContent) -> IndexResult:
        """Start and index new workers, switch requests to them, then retire the old ones.

        No request fails: those under way are answered by the workers they came to. An app that
        cannot be indexed is switched to as well, as in Azure: it has no functions, and the result
        says why.

        Raises:
            CancelledError: the host was closed before the new workers were ready.
        """
        async with self._changing:
            if self._front.app is None:
                self._front.settled.clear()
            self._preparing = asyncio.create_task(self._prepare(content))
            try:
                app = await self._preparing
                previous, self._front.app = self._front.app, app
                self._front.stopped = False
                self._content, self._index = content, app.index
            finally:
                self._front.settled.set()
            self._retire(previous)
            return app.index

    async def restart(self) -> IndexResult:
        """Activate the current content again; a stopped app is started by it."""
        if self._content is None:
            self._front.stopped = False
            return IndexResult((), None)
        return await self.activate(self._content)

    async def stop(self) -> None:
        """Refuse requests from now on and end the workers."""
        async with self._changing:
            pools = self._withdraw()
            await asyncio.gather(*(pool.retire(self._limits.stop_drain) for pool in pools))

    async def close(self) -> None:
        """End everything at once; requests under way get 500, an activation is cancelled."""
        if self._preparing:
            self._preparing.cancel()
        async with self._changing:
            await asyncio.gather(*(pool.close() for pool in self._withdraw()))
            await asyncio.gather(*self._retiring)
        self._log.close()

    async def _prepare(self, content: AppContent) -> ServedApp | FailedApp:
        try:
            configuration = HostConfiguration.load(content.root, content.settings)
        except HostConfigurationError as error:
            return FailedApp(self._without_functions(str(error)), None)
        pool = WorkerPool(content, configuration, self._log, self._limits)
        try:
            found = await pool.start()
        except AppNotIndexedError as error:
            return FailedApp(self._without_functions(str(error)), configuration)
        except WorkerError as error:
            return FailedApp(self._without_functions(str(error)), None)
        functions = [_function_info(each, configuration) for each in found]
        try:
            http = (each for each in functions if each.is_http)
            routes = RouteTable(configuration.route_prefix, http)
        except ValueError:
            await pool.close()
            return FailedApp(self._without_functions(traceback.format_exc()), configuration)
        self._tell(functions, routes)
        index = IndexResult(tuple(functions), None)
        return ServedApp(index, configuration, routes, pool, Admission(configuration))

    def _without_functions(self, error: str) -> IndexResult:
        self._log.write(f"[host] The app could not be indexed, so it has no functions.\n{error}")
        return IndexResult((), error)

    def _tell(self, functions: list[FunctionInfo], routes: RouteTable) -> None:
        names = ", ".join(each.name for each in functions) or "none"
        self._log.write(f"[host] Functions found: {names}.")
        for name, reason in routes.refused.items():
            self._log.write(f"[host] The '{name}' function is in error: {reason}")
        for each in functions:
            if not each.is_http:
                self._log.write(
                    f"[host] The '{each.name}' function is listed but never called: only HTTP "
                    "triggers are served here."
                )

    def _withdraw(self) -> list[WorkerPool]:
        """Refuse further requests; returns every pool that still has workers."""
        self._front.stopped = True
        previous, self._front.app = self._front.app, None
        pools = list(self._retiring.values())
        if isinstance(previous, ServedApp):
            pools.append(previous.pool)
        return pools

    def _retire(self, previous: ServedApp | FailedApp | None) -> None:
        if not isinstance(previous, ServedApp):
            return
        task = asyncio.create_task(previous.pool.retire(self._limits.drain))
        self._retiring[task] = previous.pool
        task.add_done_callback(self._retiring.pop)


def _function_info(found: dict[str, Any], configuration: HostConfiguration) -> FunctionInfo:
    methods, bindings = tuple(found.pop("methods")), tuple(found.pop("bindings"))
    is_disabled = found["name"].lower() in configuration.disabled
    return FunctionInfo(**found, methods=methods, bindings=bindings, is_disabled=is_disabled)
