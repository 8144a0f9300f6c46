"""How many requests of an app run and wait at a time, as its host.json allows."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

from mc_assets.local_cloud.azure.function_host.host_json import HostConfiguration


class TooManyRequestsError(Exception):
    """As many requests as are allowed are running or waiting already."""


class Admission:
    """Lets requests in, makes them wait for their turn, or turns them away.

    source: HttpThrottleMiddleware of the Functions host.
    """

    def __init__(self, configuration: HostConfiguration) -> None:
        self._most_outstanding = configuration.most_outstanding
        self._outstanding = 0
        concurrent = configuration.most_concurrent
        self._turns = asyncio.Semaphore(concurrent) if concurrent else nullcontext()

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[None]:
        """Hold a place among the outstanding requests, then a turn.

        Raises:
            TooManyRequestsError: every place is taken.
        """
        if self._outstanding == self._most_outstanding:
            raise TooManyRequestsError(
                f"the limit of {self._most_outstanding} outstanding requests has been reached."
            )
        self._outstanding += 1
        try:
            async with self._turns:
                yield
        finally:
            self._outstanding -= 1
