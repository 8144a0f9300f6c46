"""The workers of one activated app: shares calls among them and replaces those that die."""

import asyncio
from collections.abc import Mapping
from typing import Any

from mc_assets.local_cloud.azure.function_host import protocol
from mc_assets.local_cloud.azure.function_host.app_log import AppLog
from mc_assets.local_cloud.azure.function_host.host_json import HostConfiguration
from mc_assets.local_cloud.azure.function_host.records import AppContent, HostLimits
from mc_assets.local_cloud.azure.function_host.worker_process import WorkerError, WorkerProcess

_LONGEST_DELAY = 32.0
# A worker that lived this many seconds has earned an immediate restart again.
_STEADY = 60.0


class NoWorkerError(Exception):
    """No worker became ready in the time a request may wait for one."""


class WorkerPool:
    """As many workers as the app asks for, called in turn."""

    def __init__(
        self, content: AppContent, configuration: HostConfiguration, log: AppLog, limits: HostLimits
    ) -> None:
        self._content = content
        self._configuration = configuration
        self._log = log
        self._limits = limits
        self._workers: list[WorkerProcess] = []
        self._supervisors: list[asyncio.Task[None]] = []
        self._turn = 0
        self._arrived = asyncio.Event()
        self._leases = 0
        self._unused = asyncio.Event()
        self._unused.set()

    async def start(self) -> list[dict[str, Any]]:
        """Start every worker and return the functions they found.

        Raises:
            WorkerError: one of them could not start or index the app; none is left running.
        """
        slots = range(self._configuration.process_count)
        starting = [asyncio.create_task(self._start_worker()) for _ in slots]
        try:
            done, _ = await asyncio.wait(starting, return_when=asyncio.FIRST_EXCEPTION)
            self._workers = [each.result() for each in done]
        except BaseException:
            for each in starting:
                each.cancel()
            ended = await asyncio.gather(*starting, return_exceptions=True)
            self._workers = [each for each in ended if isinstance(each, WorkerProcess)]
            await self.close()
            raise
        self._supervisors = [asyncio.create_task(self._supervise(slot)) for slot in slots]
        return self._workers[0].index["functions"]

    def __enter__(self) -> None:
        """Keep `retire` waiting: a request that was routed here is answered here."""
        self._leases += 1
        self._unused.clear()

    def __exit__(self, *_: object) -> None:
        self._leases -= 1
        if not self._leases:
            self._unused.set()

    async def call(self, head: Mapping[str, Any], body: bytes) -> asyncio.Future[protocol.Frame]:
        """Begin a function in the next worker; the future is its result.

        The future fails with WorkerDiedError when the worker dies during the call.

        Raises:
            NoWorkerError: every worker is dead and no new one came up in time.
        """
        worker = self._next() or await self._wait_for_worker()
        return worker.call(head, body, self._configuration.function_timeout)

    async def retire(self, drain: float) -> None:
        """Close once the requests that came here are answered, or `drain` seconds are over."""
        try:
            async with asyncio.timeout(drain):
                await self._unused.wait()
        except TimeoutError:
            self._log.write(f"[host] {self._leases} requests were cut off after {drain:.0f} s.")
        await self.close()

    async def close(self) -> None:
        for supervisor in self._supervisors:
            supervisor.cancel()
        await asyncio.gather(*self._supervisors, return_exceptions=True)
        await asyncio.gather(*(worker.close() for worker in self._workers))

    def _next(self) -> WorkerProcess | None:
        for _ in self._workers:
            self._turn = (self._turn + 1) % len(self._workers)
            worker = self._workers[self._turn]
            if worker.alive:
                return worker
        return None

    async def _wait_for_worker(self) -> WorkerProcess:
        try:
            async with asyncio.timeout(self._limits.worker_wait):
                while not (worker := self._next()):
                    self._arrived.clear()
                    await self._arrived.wait()
                return worker
        except TimeoutError:
            raise NoWorkerError("No worker of the app is running.") from None

    async def _start_worker(self) -> WorkerProcess:
        worker = await WorkerProcess.start(self._content, self._log, self._limits)
        self._log.write(f"[host] Worker {worker.pid} is ready.")
        return worker

    async def _supervise(self, slot: int) -> None:
        loop = asyncio.get_running_loop()
        delay, born = 0.0, loop.time()
        while True:
            await self._workers[slot].ended.wait()
            if loop.time() - born >= _STEADY:
                delay = 0.0
            await asyncio.sleep(delay)
            delay = min(max(1.0, delay * 2), _LONGEST_DELAY)
            born = loop.time()
            try:
                self._workers[slot] = await self._start_worker()
            except WorkerError as error:
                self._log.write(f"[host] A worker could not be restarted: {error}")
            else:
                self._arrived.set()
