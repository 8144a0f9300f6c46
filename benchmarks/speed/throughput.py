"""Benchmark: requests a second of the local function host, against the bare server it stands on.

The packaged function is deployed to a local Azure of its own, with its remote build, and called
over TLS by wrk: 8 connections. The bare server is uvicorn with a handler that reads the body and
sends an answer of the same size, in one process, as the function host itself is one.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deployed_app import DeployedApp, deploy
from mc_assets.local_cloud import supervisor
from mc_assets.packaging import build_package
from rivals import bare_uvicorn
from speed import steady
from speed.measuring import BenchmarkError, rounds_of
from speed.places import empty_place
from speed.results import Goal, Row, alone, compared
from speed.sides import json_body, raw_body
from speed.workshop import BENCHMARKS, FUNCTION_APP, Workshop

CLIENTS = 8
ROUNDS = 4
SECONDS = 3
STEADY_RATE, STEADY_SECONDS = 500, 8
MOST_P99_MS = 50
SHARE_OF_BARE = 0.8
SCRIPT = BENCHMARKS / "post.lua"
BUILT = {"SCM_DO_BUILD_DURING_DEPLOYMENT": "true", "ENABLE_ORYX_BUILD": "true"}


@dataclass(frozen=True, slots=True)
class Body:
    name: str
    content_type: str
    file: Path


def run(workshop: Workshop) -> Iterator[Row]:
    if shutil.which("wrk") is None:
        raise BenchmarkError("wrk is not on PATH: apt-get install wrk.")
    package = build_package(
        FUNCTION_APP, workshop.our_model.read_bytes(), {"origin": "benchmarks"}
    ).data
    with empty_place() as place:
        clouds, _ = supervisor.up(place.clouds)
        bodies = _bodies(workshop, place.folder)
        tls = (clouds.state / "azure" / "server.pem", clouds.state / "azure" / "server.key")
        with bare_uvicorn(place.folder / "uvicorn.log", *tls, "empty") as bare:
            for processes in (1, 2):
                settings = {**BUILT, "FUNCTIONS_WORKER_PROCESS_COUNT": str(processes)}
                app = deploy(clouds, 1000 + processes, package, settings, "/api/health")
                for body in bodies:
                    yield _row(bare, app, body, processes)
                    yield _steady_row(app, body, processes, str(clouds.ca_file))


def _row(bare: str, app: DeployedApp, body: Body, processes: int) -> Row:
    rounds = rounds_of(
        ROUNDS,
        lambda: _requests_per_second(f"{bare}/api/classify", body, app.key),
        lambda: _requests_per_second(f"{app.url}/api/classify", body, app.key),
    )
    return compared(
        f"function host, {body.name}, {_count(processes)}", "requests/s", rounds,
        against="bare uvicorn, empty handler", ratio_of="ours / baseline",
        goal=Goal("ratio", "at least", SHARE_OF_BARE),
    )  # fmt: skip


def _steady_row(app: DeployedApp, body: Body, processes: int, ca_file: str) -> Row:
    seconds = steady.latencies(
        f"{app.url}/api/classify", ca_file, app.key, body.content_type, body.file,
        rate=STEADY_RATE, clients=CLIENTS, seconds=STEADY_SECONDS,
    )  # fmt: skip
    percentiles = steady.percentiles_ms(seconds)
    return alone(
        f"function host at {STEADY_RATE} requests/s, p99, {body.name}, {_count(processes)}", "ms",
        [percentiles[99]], goal=Goal("ours", "at most", MOST_P99_MS),
        note=f"{len(seconds)} requests on schedule; p50 {percentiles[50]:.1f}, "
        f"longest {1000 * max(seconds):.1f} ms",
    )  # fmt: skip


def _count(processes: int) -> str:
    return "1 worker process" if processes == 1 else f"{processes} worker processes"


def _requests_per_second(url: str, body: Body, key: str) -> float:
    """By wrk, over kept connections; any answer but a 200 is a failure."""
    command = ["wrk", "-t1", f"-c{CLIENTS}", f"-d{SECONDS}s", "-s", str(SCRIPT), url, "--"]
    ended = subprocess.run(
        [*command, str(body.file), body.content_type, key],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    told = ended.stdout
    found = re.search(r"Requests/sec:\s*([\d.]+)", told)
    if ended.returncode or not found or re.search(r"Non-2xx|Socket errors", told):
        raise BenchmarkError(f"wrk did not get its answers: {(told + ended.stderr)[-300:]}")
    return float(found[1])


def _bodies(workshop: Workshop, folder: Path) -> list[Body]:
    raw = Body("784 raw bytes", "application/octet-stream", folder / "body.bin")
    text = Body("16 kB of JSON", "application/json", folder / "body.json")
    raw.file.write_bytes(raw_body(workshop, 1))
    text.file.write_bytes(json_body(workshop, 1))
    return [raw, text]
