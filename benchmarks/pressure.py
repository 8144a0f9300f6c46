"""Client processes that call a server without pause, and what they count."""

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass

CONNECT_SECONDS = 2.0

# The name of an operation, and a call of it that raises when the answer is not the right one.
Call = tuple[str, Callable[[], None]]
# The calls of the client with a number; one record of it serves every client process.
Load = Callable[[int], Iterable[Call]]


@dataclass(frozen=True, slots=True)
class Period:
    """From when to when calls count, on the clock that all processes share."""

    begin: float
    end: float

    @classmethod
    def coming(cls, seconds: float) -> "Period":
        """From when the clients have had time to connect."""
        begin = time.monotonic() + CONNECT_SECONDS
        return cls(begin, begin + seconds)


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of the calls: seconds of those that succeeded in a period, and every failure."""

    latencies: list[float]
    errors: Counter[str]
    seconds: float

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, percent: int) -> float:
        if len(self.latencies) < 2:
            return max(self.latencies, default=0.0)
        return statistics.quantiles(self.latencies, n=100, method="inclusive")[percent - 1]


def start(
    pool: ProcessPoolExecutor, load: Load, clients: int, seconds: float
) -> list[Future[Tally]]:
    """Let every client call for that long, each in a process of its own."""
    period = Period.coming(seconds)
    return [pool.submit(_call_until_end, load, client, period) for client in range(clients)]


def total(running: Iterable[Future[Tally]]) -> Tally:
    """Wait for the clients, and put their counts together: they called in the same seconds."""
    counted = [each.result() for each in running]
    latencies = [latency for tally in counted for latency in tally.latencies]
    errors = sum((tally.errors for tally in counted), Counter[str]())
    return Tally(latencies, errors, counted[0].seconds)


def _call_until_end(load: Load, client: int, period: Period) -> Tally:
    latencies: list[float] = []
    errors: Counter[str] = Counter()
    for operation, call in load(client):
        started = time.monotonic()
        if started >= period.end:
            break
        try:
            call()
        except Exception as error:  # noqa: BLE001 - whatever goes wrong is counted, and reported
            errors[f"{operation}: {type(error).__name__}: {error}"] += 1
        else:
            if started >= period.begin:
                latencies.append(time.monotonic() - started)
    return Tally(latencies, errors, period.end - period.begin)
