"""The bake against a real endpoint that answers as it is told, over plain HTTP."""

import json
import threading
import time
from collections.abc import Container, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from mc_assets.bake import DRAINED_ANSWERS, bake
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
    digits: list | None = None
    lost: int = 0  # calls, the next ones, whose connection is closed without an answer
    old: Container[int] = ()  # numbers of the calls, from 0, that the package before answers
    sizes: list[int] = field(default_factory=list)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def client(told: Told) -> Iterator[EndpointClient]:
    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if told.lost:
                told.lost -= 1
                self.close_connection = True
                return
            digits = [(body[at] + (not told.right)) % 10 for at in range(0, len(body), 784)]
            told.sizes.append(len(digits))
            time.sleep(told.pause)
            self.send_response(told.status)
            is_old = len(told.sizes) - 1 in told.old
            self.send_header("x-package-version", "before" if is_old else told.package)
            self.end_headers()
            self.wfile.write(json.dumps({"digits": told.digits or digits}).encode())

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
    latencies = [found.metadata[f"bake_{name}_ms"] for name in ("p50", "p95", "p99")]
    assert latencies == sorted(latencies)
    assert latencies[0] > 0


def test_a_long_one_says_now_and_then_how_far_it_is(
    client: EndpointClient, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mc_assets.bake.WORD_SECONDS", 0.2)
    said: list[str] = []
    bake(client, "promoted", IMAGES, LABELS, replace(GATES, bake_seconds=1.0), log=said.append)
    assert said
    assert set(said) <= {
        f"Bake: {calls} of 4 calls, {10 * calls} of {10 * calls} images right."
        for calls in range(1, 5)
    }


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
        ({"digits": [0] * 19}, "answered 20 images with what are not as many digits"),
        ({"digits": [0] * 21}, "with what are not as many digits"),
        ({"digits": ["0"] * 20}, "with what are not as many digits"),
        ({"digits": [True] * 20}, "with what are not as many digits"),
        ({"digits": [[0]] * 20}, "with what are not as many digits"),
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


def test_a_connection_that_is_lost_once_is_no_verdict(client: EndpointClient, told: Told) -> None:
    told.lost = 1
    found = bake(client, "promoted", IMAGES, LABELS, GATES)
    assert found.problem == ""
    assert (found.calls, found.images, found.correct) == (2, 40, 40)


def test_connections_that_are_lost_again_and_again_are_one(
    client: EndpointClient, told: Told
) -> None:
    told.lost = 3
    found = bake(client, "promoted", IMAGES, LABELS, GATES)
    assert "could not be reached" in found.problem


def test_the_package_before_may_answer_while_it_is_drained(
    client: EndpointClient, told: Told
) -> None:
    told.old = (0, 1, 3)
    found = bake(client, "promoted", IMAGES, LABELS, GATES, before="before")
    assert found.problem == ""
    assert told.sizes == [20] * 5, "asked again what the package before had answered"
    assert (found.calls, found.images, found.correct) == (2, 40, 40)


def test_no_package_before_may_answer_where_none_was_told(
    client: EndpointClient, told: Told
) -> None:
    told.old = (0,)
    found = bake(client, "promoted", IMAGES, LABELS, GATES)
    assert found.problem == "package before answered in its place"


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (DRAINED_ANSWERS - 1, ""),
        (DRAINED_ANSWERS, "package before answered in its place"),
    ],
)
def test_the_package_before_may_not_come_back(
    client: EndpointClient, told: Told, call: int, problem: str
) -> None:
    told.old = (call,)
    many, labels = np.repeat(IMAGES, 300, axis=0), np.repeat(LABELS, 300)
    gates = replace(GATES, bake_seconds=0.0)
    assert bake(client, "promoted", many, labels, gates, before="before").problem == problem
