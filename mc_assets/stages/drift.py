"""The drift check: the live endpoint's accuracy today, beside the one at its promotion."""

from collections.abc import Iterator

import dagster as dg

from mc_assets.artifacts import Dataset, LiveEndpoint, Record
from mc_assets.gates import Finding, judged, now
from mc_assets.model_settings import ModelSettings
from mc_assets.resources.artifact_store import RECORDS, ArtifactStore
from mc_assets.resources.releases import Releases
from mc_assets.retrying import retried
from mc_assets.stages import dataset as dataset_stage
from mc_assets.stages import live_endpoint as live_endpoint_stage
from mc_assets.stages.endpoint_checks import classify_test_set

CHECK = "accuracy_drift"
DIGITS = 6  # of an accuracy: 0.99 - 0.98 is a little more than 0.01 to a computer


class Baseline(Record):
    """What a version's accuracy over HTTP was when it was measured first, and on which dataset."""

    accuracy: float
    dataset: str
    at: str


def build_checks(model: ModelSettings) -> Iterator[dg.AssetChecksDefinition]:
    """One check, where `automation.live_check` says how much it lets go."""
    choice = model.automation.live_check
    if choice is None:
        return
    key, max_drop = live_endpoint_stage.key_of(model), choice.max_drop

    @dg.asset_check(
        asset=key,
        name=CHECK,
        additional_ins={"dataset": dg.AssetIn(key=dataset_stage.key_of(model))},
        description="Every test image over HTTP: hardly less accurate than at its promotion. A "
        "dataset that has changed since shows here, before it falls below the floor.",
    )
    @retried
    def accuracy_drift(
        context: dg.AssetCheckExecutionContext,
        live_endpoint: LiveEndpoint,
        dataset: Dataset,
        artifact_store: ArtifactStore,
        releases: Releases,
    ) -> dg.AssetCheckResult:
        client = releases.client(live_endpoint)
        result, calls = classify_test_set(client, artifact_store, dataset, live_endpoint)
        today = Baseline(accuracy=result.accuracy, dataset=dataset.version, at=now())
        if calls.displacement:  # what another package answered is no measure of this one
            told = {"answers_by_another_model": calls.strangers}
            finding = Finding(CHECK, False, told, calls.displacement)
        else:
            finding = compare(_baseline(artifact_store, key, live_endpoint, today), today, max_drop)
        return judged(context, artifact_store, model, live_endpoint, finding)

    yield accuracy_drift


def compare(baseline: Baseline, today: Baseline, max_drop: float) -> Finding:
    drop = round(baseline.accuracy - today.accuracy, DIGITS)
    problem = (
        f"Its accuracy is {today.accuracy:.4f} on dataset {today.dataset[:12]}, and was "
        f"{baseline.accuracy:.4f} on dataset {baseline.dataset[:12]} at its promotion: {drop:.4f} "
        f"less, beyond max_drop {max_drop:.10g}."
    )
    told = {
        "accuracy": today.accuracy,
        "accuracy_at_promotion": baseline.accuracy,
        "drop": drop,
        "max_drop": max_drop,
        "dataset": today.dataset,
        "dataset_at_promotion": baseline.dataset,
        "measured_first": baseline.at,
    }
    passed = drop <= max_drop
    return Finding(CHECK, passed, told, None if passed else problem)


def _baseline(
    store: ArtifactStore, key: dg.AssetKey, live: LiveEndpoint, today: Baseline
) -> Baseline:
    """The version's first measurement, which the run that promotes it makes right afterwards."""
    place = f"{RECORDS}/{key.to_user_string()}/{live.version}.accuracy.json"
    first = store.read_record(place, Baseline)
    if first is None:
        store.write_record(place, today)
    return first or today
