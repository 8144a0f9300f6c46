"""The bake: a version just promoted is called for a while, as its users call it, and judged."""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg

from mc_assets.model_settings import Gates
from mc_assets.progress import Log, unheard
from mc_assets.resources.endpoint_client import Answer, EndpointClient, UnreachedError

if TYPE_CHECKING:
    import numpy as np

    from mc_assets import evaluation

CALLS_PER_SECOND = 4
LARGEST_CALL = 500  # images
TOLERATED = 0.05  # of the calls: what a 95th percentile leaves out
# Azure drains a rolling update's instances batch by batch, for three minutes at most as a rule, and
# says neither which are left nor when it has ended. source: learn.microsoft.com, "Site update
# strategies in Flex Consumption".
DRAIN_SECONDS = 180
DRAINED_ANSWERS = 20  # in a row, by the new version
DRAIN_PAUSE = 0.25
WORD_SECONDS = 5  # between two words of how far it is


@dataclass(frozen=True, slots=True)
class Bake:
    """What the calls found; `problem` is empty where all was well."""

    calls: int = 0
    images: int = 0
    correct: int = 0
    latency: "evaluation.Latency | None" = None
    problem: str = ""

    @property
    def metadata(self) -> dict[str, Any]:
        found: dict[str, Any] = {"bake_calls": self.calls, "bake_images": self.images}
        if self.images:
            found["bake_accuracy"] = self.correct / self.images
        if self.latency:
            found["bake_p50_ms"] = round(self.latency.p50, 2)
            found["bake_p95_ms"] = round(self.latency.p95, 2)
            found["bake_p99_ms"] = round(self.latency.p99, 2)
        return found


def bake(
    client: EndpointClient,
    content_version: str,
    images: "np.ndarray",
    labels: "np.ndarray",
    gates: Gates,
    before: str = "",
    log: Log = unheard,
) -> Bake:
    """Call the endpoint with every test image once, spread evenly over `bake_seconds`.

    A sample would be wrong by chance now and then, and bring a good version down; over all of them
    the accuracy is the one that was found in staging. The first thing amiss ends it.

    Args:
        before: version that may still answer until the update to this one has reached every
            instance; none if not given.
        log: is told now and then how far it is; nobody is if not given.
    """
    import numpy as np

    from mc_assets import evaluation

    parts = np.array_split(np.arange(len(images)), _calls(len(images), gates.bake_seconds))
    caller = _Caller(client, content_version, before, max(1, int(TOLERATED * len(parts))))
    started, seconds, asked, correct, problem = time.monotonic(), [], 0, 0, ""
    word_due = started + WORD_SECONDS
    for turn, part in enumerate(parts):
        due = started + caller.waited + turn * gates.bake_seconds / len(parts)
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            answer = caller.ask(images[part])
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
        if time.monotonic() > word_due:
            word_due += WORD_SECONDS
            log(f"Bake: {len(seconds)} of {len(parts)} calls, {correct} of {asked} images right.")
    else:
        problem = _inaccuracy(correct / asked, gates.min_endpoint_accuracy)
    latency = evaluation.percentiles(seconds) if seconds else None
    return Bake(len(seconds), asked, correct, latency, problem)


@dataclass
class _Caller:
    """Asks a call again where that is no fault of the version's."""

    client: EndpointClient
    content_version: str
    before: str
    lost_calls: int  # that may yet be asked again: one connection of sixty is no verdict
    clean: int = 0
    waited: float = 0.0
    began: float = field(default_factory=time.monotonic)

    def ask(self, images: "np.ndarray") -> Answer:
        """One answer, by the version before only once it should be gone."""
        while self._is_draining(answer := self._answer(images)):
            self.clean = 0
            self.waited += answer.seconds + DRAIN_PAUSE
            time.sleep(DRAIN_PAUSE)
        self.clean += 1
        return answer

    def _is_draining(self, answer: Answer) -> bool:
        return (
            answer.content_version == self.before != ""
            and self.before != self.content_version
            and self.clean < DRAINED_ANSWERS
            and time.monotonic() < self.began + DRAIN_SECONDS
        )

    def _answer(self, images: "np.ndarray") -> Answer:
        try:
            return self.client.classify(images)
        except UnreachedError:
            if not self.lost_calls:
                raise
            self.lost_calls -= 1
            return self.client.classify(images)


def _calls(images: int, seconds: float) -> int:
    return max(-(-images // LARGEST_CALL), min(images, round(seconds * CALLS_PER_SECOND)))


def _slowness(seconds: list[float], planned: int, limit_ms: float) -> str:
    slow = [each for each in seconds if each * 1000 > limit_ms]
    if len(slow) <= TOLERATED * planned:
        return ""
    return (
        f"{len(slow)} of {len(seconds)} calls took longer than {limit_ms:.0f} ms, the slowest "
        f"{max(slow) * 1000:.0f} ms"
    )


def _inaccuracy(accuracy: float, floor: float) -> str:
    return "" if accuracy >= floor else f"its accuracy was {accuracy:.4f}, below {floor}"
