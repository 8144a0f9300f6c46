"""How many requests of an app run and wait at a time, as its host.json allows."""

import asyncio

from mc_assets.local_cloud.azure.function_host.host_json import HostConfiguration


class TooManyRequestsError(Exception):
    """As many requests as are allowed are running or waiting already."""


class Admission:
    """Lets requests in, makes them wait for their turn, or turns them away.

    Entered by `async with`, it holds a place among the outstanding requests, then a turn.
    source: HttpThrottleMiddleware of the Functions host.
    """

    def __init__(self, configuration: HostConfiguration) -> None:
        self._most_outstanding = configuration.most_outstanding
        self._outstanding = 0
        concurrent = configuration.most_concurrent
        self._turns = asyncio.Semaphore(concurrent) if concurrent else None

    async def __aenter__(self) -> None:
        """Wait for a turn.

        Raises:
            TooManyRequestsError: every place is taken.
        """
        if self._outstanding == self._most_outstanding:
            raise TooManyRequestsError(
                f"the limit of {self._most_outstanding} outstanding requests has been reached."
            )
        self._outstanding += 1
        if self._turns:
            try:
                await self._turns.acquire()
            except BaseException:
                self._outstanding -= 1
                raise

    async def __aexit__(self, *_: object) -> None:
        self._outstanding -= 1
        if self._turns:
            self._turns.release()
