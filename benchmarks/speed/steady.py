"""Requests at a steady rate: each has its moment, and its latency counts from that moment.

So a server that stalls is charged for every request that should have been sent meanwhile.
"""

import http.client
import ssl
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from urllib.parse import urlsplit

CONNECT_SECONDS = 2.0


def latencies(
    url: str,
    ca_file: str,
    key: str,
    content_type: str,
    body: Path,
    *,
    rate: float,
    clients: int,
    seconds: float,
) -> list[float]:
    """Of every request, in seconds; the clients are processes that share the rate evenly.

    Raises:
        RuntimeError: an answer was not a 200.
    """
    begin = time.monotonic() + CONNECT_SECONDS
    with ProcessPoolExecutor(clients, get_context("spawn")) as pool:
        running = [
            pool.submit(
                _client, url, ca_file, key, content_type, body,
                begin + number / rate, clients / rate, int(seconds * rate / clients),
            )
            for number in range(clients)
        ]  # fmt: skip
        return [latency for each in running for latency in each.result()]


def percentiles_ms(seconds: list[float]) -> dict[int, float]:
    """The median and the 99th percentile, in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {50: 1000 * cuts[49], 99: 1000 * cuts[98]}


def _client(
    url: str,
    ca_file: str,
    key: str,
    content_type: str,
    body: Path,
    begin: float,
    pause: float,
    requests: int,
) -> list[float]:
    place = urlsplit(url)
    connection = http.client.HTTPSConnection(
        place.netloc, context=ssl.create_default_context(cafile=ca_file), timeout=30
    )
    data, headers = body.read_bytes(), {"x-functions-key": key, "content-type": content_type}
    connection.connect()
    found = []
    for number in range(requests):
        due = begin + number * pause
        time.sleep(max(0.0, due - time.monotonic()))
        connection.request("POST", place.path, data, headers)
        answer = connection.getresponse()
        answer.read()
        found.append(time.monotonic() - due)
        if answer.status != 200:
            raise RuntimeError(f"{url} answered {answer.status}.")
    return found
