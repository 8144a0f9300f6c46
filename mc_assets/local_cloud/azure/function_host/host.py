"""The life of one function app on this host: activated, restarted, stopped, closed."""

import asyncio
import traceback
from pathlib import Path
from typing import Any

from mc_assets.local_cloud.azure.function_host.app_log import AppLog
from mc_assets.local_cloud.azure.function_host.host_json import (
    HostConfiguration,
    HostConfigurationError,
)
from mc_assets.local_cloud.azure.function_host.http import ASGIApp, FrontDoor, ServedApp
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
from mc_assets.local_cloud.azure.function_host.worker_process import WorkerError


class FunctionHost:
    """Serves one app, or one slot of an app; lives on the asyncio loop it was made on.

    `asgi` answers 403 while the app is stopped and 404 before anything was activated; during the
    first activation requests wait.
    """

    def __init__(self, name: str, log_file: Path, *, limits: HostLimits | None = None) -> None:
        self._limits = limits or HostLimits()
        self._log = AppLog(log_file)
        self._front = FrontDoor(name, self._log, self._limits)
        self.asgi: ASGIApp = self._front
        self._content: AppContent | None = None
        self._index: IndexResult | None = None
        self._changing = asyncio.Lock()
        self._preparing: asyncio.Task[ServedApp] | None = None
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

    async def _prepare(self, content: AppContent) -> ServedApp:
        try:
            configuration = HostConfiguration.load(content.root, content.settings)
            pool = WorkerPool(content, configuration, self._log, self._limits)
            functions = [_function_info(found) for found in await pool.start()]
        except (HostConfigurationError, WorkerError) as error:
            return self._without_functions(str(error))
        try:
            served = (each for each in functions if each.name.lower() not in configuration.disabled)
            routes = RouteTable(
                configuration.route_prefix, (each for each in served if each.is_http)
            )
        except ValueError:
            await pool.close()
            return self._without_functions(traceback.format_exc())
        self._log.write(f"[host] Functions found: {', '.join(each.name for each in functions)}.")
        return ServedApp(
            IndexResult(tuple(functions), None), routes, pool, configuration.body_limit
        )

    def _without_functions(self, error: str) -> ServedApp:
        self._log.write(f"[host] The app could not be indexed, so it has no functions.\n{error}")
        return ServedApp(IndexResult((), error), RouteTable("", ()), None, 0)

    def _withdraw(self) -> list[WorkerPool]:
        """Refuse further requests; returns every pool that still has workers."""
        self._front.stopped = True
        previous, self._front.app = self._front.app, None
        pools = list(self._retiring.values())
        if previous and previous.pool:
            pools.append(previous.pool)
        return pools

    def _retire(self, previous: ServedApp | None) -> None:
        if previous is None or previous.pool is None:
            return
        task = asyncio.create_task(previous.pool.retire(self._limits.drain))
        self._retiring[task] = previous.pool
        task.add_done_callback(self._retiring.pop)


def _function_info(found: dict[str, Any]) -> FunctionInfo:
    methods, bindings = tuple(found.pop("methods")), tuple(found.pop("bindings"))
    return FunctionInfo(**found, methods=methods, bindings=bindings)
