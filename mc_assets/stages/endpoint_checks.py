"""The checks of both endpoints: a running app asked over HTTP, as its users ask it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

from mc_assets.artifacts import Dataset, Endpoint
from mc_assets.gates import Finding, judged
from mc_assets.model_settings import ModelSettings
from mc_assets.pictures import Album
from mc_assets.resources.artifact_store import ArtifactStore
from mc_assets.resources.endpoint_client import Answer, EndpointClient
from mc_assets.resources.releases import Releases
from mc_assets.retrying import retried
from mc_assets.stages import dataset as dataset_stage

if TYPE_CHECKING:
    from mc_assets import evaluation

BATCH = 500
LATENCY_CALLS = 50


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls of an endpoint; `strangers` are those that another package answered."""

    made: int
    strangers: int

    @property
    def displacement(self) -> str | None:
        if not self.strangers:
            return None
        return (
            f"{self.strangers} of {self.made} calls were answered by another package: this one "
            "was displaced by a later release. Materialise it again to have it judged."
        )


def build_shared_checks(
    model: ModelSettings, key: dg.AssetKey, latency_limit_ms: float, latency_blocks: bool
) -> Iterator[dg.AssetChecksDefinition]:
    """Accuracy and latency over HTTP, of the staged or of the live endpoint."""
    ins = {"dataset": dg.AssetIn(key=dataset_stage.key_of(model))}

    @dg.asset_check(
        asset=key,
        name="prediction_accuracy",
        blocking=True,
        additional_ins=ins,
        description="Every test image over HTTP: accuracy above the floor, every answer by this "
        "model.",
    )
    @retried
    def prediction_accuracy(
        context: dg.AssetCheckExecutionContext,
        endpoint: Endpoint,
        dataset: Dataset,
        artifact_store: ArtifactStore,
        releases: Releases,
    ) -> dg.AssetCheckResult:
        client, floor = releases.client(endpoint), model.gates.min_endpoint_accuracy
        result, calls = classify_test_set(client, artifact_store, dataset, endpoint)
        problem = calls.displacement
        if problem is None and result.accuracy < floor:
            problem = f"Its accuracy is {result.accuracy:.4f}, below min_endpoint_accuracy {floor}."
        numbers = {
            "accuracy": result.accuracy,
            "floor": floor,
            "images": result.n,
            "answers_by_another_model": calls.strangers,
        }
        finding = Finding("prediction_accuracy", problem is None, numbers, problem)
        return judged(context, artifact_store, model, endpoint, finding)

    @dg.asset_check(
        asset=key,
        name="latency",
        blocking=latency_blocks,
        additional_ins=ins,
        description="Single-image calls are fast enough.",
    )
    @retried
    def latency(
        context: dg.AssetCheckExecutionContext,
        endpoint: Endpoint,
        dataset: Dataset,
        artifact_store: ArtifactStore,
        releases: Releases,
    ) -> dg.AssetCheckResult:
        from mc_assets import evaluation, plots

        client = releases.client(endpoint)
        seconds, calls = measure_latency(client, artifact_store, dataset, endpoint)
        measured = evaluation.percentiles(seconds)
        problem = calls.displacement
        if problem is None and measured.p95 > latency_limit_ms:
            problem = f"Its p95 is {measured.p95:.0f} ms, beyond {latency_limit_ms:.0f} ms."
        draw = partial(plots.latency_distribution, seconds, latency_limit_ms)
        album = Album(artifact_store, model, endpoint.version, context.log)
        told = {
            **album.show("latency_distribution", draw, in_full=False),
            "p50_ms": measured.p50,
            "p95_ms": measured.p95,
            "p99_ms": measured.p99,
            "budget_p95_ms": latency_limit_ms,
            "answers_by_another_model": calls.strangers,
        }
        finding = Finding("latency", problem is None, told, problem)
        return judged(context, artifact_store, model, endpoint, finding)

    yield prediction_accuracy
    yield latency


def classify_test_set(
    client: EndpointClient, store: ArtifactStore, dataset: Dataset, endpoint: Endpoint
) -> tuple["evaluation.Evaluation", Calls]:
    from mc_assets import evaluation

    images, labels = dataset_stage.read_test_set(store, dataset)
    answers = [
        client.classify(images[first : first + BATCH]) for first in range(0, len(images), BATCH)
    ]
    digits = [digit for answer in answers for digit in answer.digits]
    return evaluation.evaluate(digits, labels), _calls(answers, endpoint)


def measure_latency(
    client: EndpointClient, store: ArtifactStore, dataset: Dataset, endpoint: Endpoint
) -> tuple[list[float], Calls]:
    """Seconds of single-image calls, one after the other."""
    images, _ = dataset_stage.read_test_set(store, dataset)
    singles = images[: LATENCY_CALLS + 1, None]
    client.classify(singles[0])  # the first call pays for the connection
    answers = [client.classify(image) for image in singles[1:]]
    return [answer.seconds for answer in answers], _calls(answers, endpoint)


def _calls(answers: list[Answer], endpoint: Endpoint) -> Calls:
    promised = (endpoint.model.sha256, endpoint.content_version)
    told = [(answer.model_sha256, answer.content_version) for answer in answers]
    return Calls(len(told), sum(one != promised for one in told))


def refusals(client: EndpointClient) -> dict[str, tuple[int, int]]:
    """For each kind of bad call, the status it should get and the one it got."""
    square = [[[[0.0] * 28] * 28]]
    cases: dict[str, tuple[int, Any, str]] = {
        "27 x 28 pixels": (400, {"data": [[[[0.0] * 28] * 27]]}, client.key),
        "text": (400, {"data": "seven"}, client.key),
        "wrong key": (401, {"data": square}, "wrong"),
    }
    found = {}
    for name, (expected, body, key) in cases.items():
        answer = EndpointClient(client.url, key).post(json.dumps(body).encode(), "application/json")
        found[name] = (expected, answer.status_code)
    return found
