"""The bake against a real endpoint that answers as it is told, over plain HTTP."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from mc_assets.bake import bake
from mc_assets.model_settings import Gates
from mc_assets.resources.endpoint_client import EndpointClient

LABELS = np.arange(40) % 10
# Each image is its own label, forty times.
IMAGES = np.repeat(LABELS.astype(np.uint8), 784).reshape(40, 28, 28)
GATES = Gates(min_endpoint_accuracy=0.9, bake_seconds=0.5, bake_max_latency_p95_ms=500)


@dataclass
class Told:
    """How the endpoint answers."""

    package: str = "promoted"
    status: int = 200
    pause: float = 0.0
    right: bool = True
    sizes: list[int] = field(default_factory=list)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def client(told: Told) -> Iterator[EndpointClient]:
    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            digits = [(body[at] + (not told.right)) % 10 for at in range(0, len(body), 784)]
            told.sizes.append(len(digits))
            time.sleep(told.pause)
            self.send_response(told.status)
            self.send_header("x-package-version", told.package)
            self.end_headers()
            self.wfile.write(json.dumps({"digits": digits}).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield EndpointClient(f"http://127.0.0.1:{server.server_port}", "key")
    server.shutdown()
    server.server_close()


def test_every_test_image_is_asked_once_spread_over_the_time(
    client: EndpointClient, told: Told
) -> None:
    started = time.monotonic()
    found = bake(client, "promoted", IMAGES, LABELS, replace(GATES, bake_seconds=1.0))
    assert time.monotonic() - started >= 0.75
    assert found.problem == ""
    assert told.sizes == [10, 10, 10, 10]
    assert (found.calls, found.images, found.correct) == (4, 40, 40)
    assert found.metadata["bake_accuracy"] == 1.0
    assert found.metadata["bake_p95_ms"] > 0


def test_without_time_the_calls_follow_one_another(client: EndpointClient, told: Told) -> None:
    many, labels = np.concatenate([IMAGES] * 30), np.concatenate([LABELS] * 30)
    found = bake(client, "promoted", many, labels, replace(GATES, bake_seconds=0.0))
    assert (found.problem, told.sizes) == ("", [400, 400, 400])


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"status": 500}, "answered 500"),
        ({"status": 404}, "answered 404"),
        ({"package": "another"}, "package another answered in its place"),
        ({"package": ""}, "package unknown answered"),
        ({"pause": 0.6}, "took longer than 500 ms"),
    ],
)
def test_the_first_thing_amiss_ends_it(
    client: EndpointClient, told: Told, fault: dict, words: str
) -> None:
    vars(told).update(fault)
    found = bake(client, "promoted", IMAGES, LABELS, GATES)
    assert words in found.problem
    assert len(told.sizes) == 1


def test_wrong_answers_are_counted_to_the_end(client: EndpointClient, told: Told) -> None:
    told.right = False
    found = bake(client, "promoted", IMAGES, LABELS, GATES)
    assert found.problem == "its accuracy was 0.0000, below 0.9"
    assert (found.images, found.correct) == (40, 0)


def test_an_endpoint_that_is_gone_is_a_problem_and_no_error() -> None:
    gone = EndpointClient("http://127.0.0.1:1", "key")
    found = bake(gone, "promoted", IMAGES, LABELS, GATES)
    assert "could not be reached" in found.problem
    assert found.metadata == {"bake_calls": 0, "bake_images": 0}
