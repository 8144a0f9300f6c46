"""The bake: a version just promoted is called for a while, as its users call it, and judged."""

import time
from dataclasses import dataclass
from typing import Any

import dagster as dg
import numpy as np

from mc_assets import evaluation
from mc_assets.model_settings import Gates
from mc_assets.resources.endpoint_client import EndpointClient

CALLS_PER_SECOND = 4
LARGEST_CALL = 500  # images
TOLERATED_SLOW = 0.05  # what a 95th percentile leaves out


@dataclass(frozen=True, slots=True)
class Bake:
    """What the calls found; `problem` is empty where all was well."""

    calls: int = 0
    images: int = 0
    correct: int = 0
    latency: evaluation.Latency | None = None
    problem: str = ""

    @property
    def metadata(self) -> dict[str, Any]:
        found: dict[str, Any] = {"bake_calls": self.calls, "bake_images": self.images}
        if self.images:
            found["bake_accuracy"] = self.correct / self.images
        if self.latency:
            found["bake_p95_ms"] = round(self.latency.p95, 2)
        return found


def bake(
    client: EndpointClient,
    content_version: str,
    images: np.ndarray,
    labels: np.ndarray,
    gates: Gates,
) -> Bake:
    """Call the endpoint with every test image once, spread evenly over `bake_seconds`.

    A sample would be wrong by chance now and then, and bring a good version down; over all of them
    the accuracy is the one that was found in staging. The first thing amiss ends it.
    """
    parts = np.array_split(np.arange(len(images)), _calls(len(images), gates.bake_seconds))
    started, seconds, asked, correct, problem = time.monotonic(), [], 0, 0, ""
    for turn, part in enumerate(parts):
        time.sleep(max(0.0, started + turn * gates.bake_seconds / len(parts) - time.monotonic()))
        try:
            answer = client.classify(images[part])
        except dg.Failure as failure:
            problem = failure.description or "a call failed"
            break
        seconds.append(answer.seconds)
        asked += len(part)
        correct += int((np.asarray(answer.digits) == labels[part]).sum())
        if answer.content_version != content_version:
            problem = f"package {(answer.content_version or 'unknown')[:12]} answered in its place"
            break
        if problem := _slowness(seconds, len(parts), gates.bake_max_latency_p95_ms):
            break
    else:
        problem = _inaccuracy(correct / asked, gates.min_endpoint_accuracy)
    latency = evaluation.percentiles(seconds) if seconds else None
    return Bake(len(seconds), asked, correct, latency, problem)


def _calls(images: int, seconds: float) -> int:
    return max(-(-images // LARGEST_CALL), min(images, round(seconds * CALLS_PER_SECOND)))


def _slowness(seconds: list[float], planned: int, limit_ms: float) -> str:
    slow = [each for each in seconds if each * 1000 > limit_ms]
    if len(slow) <= TOLERATED_SLOW * planned:
        return ""
    return (
        f"{len(slow)} of {len(seconds)} calls took longer than {limit_ms:.0f} ms, the slowest "
        f"{max(slow) * 1000:.0f} ms"
    )


def _inaccuracy(accuracy: float, floor: float) -> str:
    return "" if accuracy >= floor else f"its accuracy was {accuracy:.4f}, below {floor}"
