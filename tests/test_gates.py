"""What may be released: every blocking verdict, on exactly the versions that are about to ship."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mc_assets.artifacts import (
    ARTIFACTS,
    LiveEndpoint,
    OnnxModel,
    Override,
    StoredObject,
    TrainedModel,
    Verdict,
)
from mc_assets.gates import LIMITS, REQUIRED, Admission, require_passed
from mc_assets.lifecycle import ModelLifecycle
from mc_assets.model_settings import Gates, ModelSettings
from mc_assets.resources.artifact_store import ArtifactStore

LINEAGE = {"m/dataset": "d" * 64, "m/trained_model": "e" * 64}
CHECKS = [(key, check) for key in LINEAGE for check in REQUIRED[key.removeprefix("m/")]]
BYTES = StoredObject(uri="s3://b/k", sha256="e" * 64, size=1)
TRAINED = TrainedModel(
    version="e" * 64, lineage=LINEAGE, archive=BYTES, job_name="j", job_arn="a", metrics={},
    training_seconds=1, billable_seconds=1,
)  # fmt: skip


def model(**gates: Any) -> ModelSettings:
    return ModelSettings("m", Path(), Path(), gates=Gates(**gates))


def limit_of(check: str) -> float | None:
    return getattr(Gates(), LIMITS[check]) if check in LIMITS else None


def judge(
    store: ArtifactStore, key: str, check: str, passed: bool = True, version: str | None = None,
    **more: Any,
) -> None:  # fmt: skip
    verdict = Verdict(
        asset_key=key,
        version=version or LINEAGE[key],
        check=check,
        blocking=True,
        passed=passed,
        run_id=f"run-of-{check}",
        at="2026-01-01T00:00:00+00:00",
        limit=limit_of(check),
    )
    store.write_verdict(verdict.model_copy(update=more))


def ship(store: ArtifactStore, *further: str, reason: str = "") -> tuple[Admission, list[str]]:
    """What let it through, and the warnings on the way."""
    warnings: list[str] = []
    admitted = require_passed(store, model(), TRAINED, "Shipping", warnings.append, further, reason)
    return admitted, warnings


def refusal(store: ArtifactStore, *further: str, reason: str = "") -> dg.Failure:
    with pytest.raises(dg.Failure, match=r"^Shipping is refused: ") as refused:
        ship(store, *further, reason=reason)
    assert not refused.value.allow_retries
    return refused.value


def objections(store: ArtifactStore, *further: str) -> list[str]:
    found: Any = refusal(store, *further).metadata["objections"].value
    return list(found)


def test_all_passed_is_let_through_and_told(store: ArtifactStore) -> None:
    for key, check in CHECKS:
        judge(store, key, check)
    admission, warnings = ship(store)
    assert [str(reading) for reading in admission.readings] == [
        f"{key} {LINEAGE[key][:12]} {check}: passed" for key, check in CHECKS
    ]
    assert (admission.override, warnings) == (None, [])


def test_every_missing_verdict_is_listed(store: ArtifactStore) -> None:
    assert objections(store) == [
        f"{key} {LINEAGE[key][:12]} {check}: never ran" for key, check in CHECKS
    ]


def test_failed_and_missing_are_listed_together(store: ArtifactStore) -> None:
    judge(store, "m/dataset", "files_and_shapes", passed=False)
    judge(store, "m/trained_model", "archive_contents")
    expected = [
        "m/dataset dddddddddddd files_and_shapes: failed in run run-of-files_and_shapes",
        "m/trained_model eeeeeeeeeeee training_metrics: never ran",
    ]
    assert objections(store) == expected
    assert all(objection in str(refusal(store)) for objection in expected)


def test_another_versions_verdict_does_not_count(store: ArtifactStore) -> None:
    for key, check in CHECKS:
        judge(store, key, check)
    judge(store, "m/trained_model", "training_metrics", passed=False)
    judge(store, "m/trained_model", "training_metrics", version="f" * 64)
    assert len(objections(store)) == 1


def test_the_last_verdict_counts(store: ArtifactStore) -> None:
    for key, check in CHECKS:
        judge(store, key, check, passed=False)
        judge(store, key, check)
    admission, _ = ship(store)
    assert len(admission.readings) == len(CHECKS)


def test_an_objection_that_no_check_has_refuses_too(store: ArtifactStore) -> None:
    for key, check in CHECKS:
        judge(store, key, check)
    assert objections(store, "it is older than the newest") == ["it is older than the newest"]


def test_an_override_goes_on_and_keeps_the_reason_and_every_objection(
    store: ArtifactStore,
) -> None:
    judge(store, "m/trained_model", "archive_contents")
    admission, warnings = ship(store, "it is older", reason=" the demo is today ")
    expected = (
        "m/dataset dddddddddddd files_and_shapes: never ran",
        "m/trained_model eeeeeeeeeeee training_metrics: never ran",
        "it is older",
    )
    assert admission.override == Override(reason="the demo is today", objections=expected)
    assert len(warnings) == len(expected)
    for objection, warning in zip(expected, warnings, strict=True):
        assert "'the demo is today'" in warning
        assert objection in warning
    assert admission.metadata["override_reason"].value == "the demo is today"
    assert admission.metadata["overridden"].value == list(expected)


@pytest.mark.parametrize("reason", ["", "  ", "\n\t"])
def test_white_space_is_no_reason(store: ArtifactStore, reason: str) -> None:
    assert len(refusal(store, reason=reason).metadata) == 1


def test_a_reason_with_nothing_to_override_overrides_nothing(store: ArtifactStore) -> None:
    for key, check in CHECKS:
        judge(store, key, check)
    assert ship(store, reason="just in case")[0].override is None


def test_why_a_check_failed_is_said(store: ArtifactStore) -> None:
    for key, check in CHECKS:
        judge(store, key, check)
    judge(store, "m/dataset", "files_and_shapes", passed=False, why="There are no labels.")
    (objection,) = objections(store)
    assert objection.endswith("failed in run run-of-files_and_shapes: There are no labels")


def test_what_the_lineage_lacks_is_an_objection(store: ArtifactStore) -> None:
    judge(store, "m/trained_model", "archive_contents")
    judge(store, "m/trained_model", "training_metrics")
    for lineage in ({"m/trained_model": "e" * 64}, {**LINEAGE, "m/dataset": ""}):
        shipped = TRAINED.model_copy(update={"lineage": lineage})
        with pytest.raises(dg.Failure) as refused:
            require_passed(store, model(), shipped, "Shipping", print)
        assert refused.value.metadata["objections"].value == [
            "m/dataset files_and_shapes: never recorded"
        ]


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        (0.98, ""),
        (0.985, ""),
        (0.97, "passed, by a min_training_accuracy of 0.97, which is 0.98 now"),
        (None, "passed, by a min_training_accuracy that is not written down"),
    ],
)
def test_a_verdict_by_a_laxer_gate_does_not_count(
    store: ArtifactStore, limit: float | None, said: str
) -> None:
    for key, check in CHECKS:
        judge(store, key, check)
    judge(store, "m/trained_model", "training_metrics", limit=limit)
    if said:
        assert objections(store) == [f"m/trained_model eeeeeeeeeeee training_metrics: {said}"]
    else:
        assert ship(store)[0].override is None


def packed(store: ArtifactStore, **of_comparison: Any) -> OnnxModel:
    """A model that passed all its checks, compared so with a champion."""
    lineage = {**LINEAGE, "m/onnx_model": "f" * 64}
    for key, check in CHECKS:
        judge(store, key, check)
    for check in REQUIRED["onnx_model"]:
        more = of_comparison if check == "not_worse_than_champion" else {}
        judge(store, "m/onnx_model", check, version="f" * 64, **more)
    return OnnxModel(version="f" * 64, lineage=lineage, model=BYTES, reference=BYTES)


def go_live(store: ArtifactStore, sha256: str) -> None:
    served = BYTES.model_copy(update={"sha256": sha256})
    live = LiveEndpoint(
        version="9" * 64, lineage={}, resource_group="g", app="a", slot=None, url="u",
        content_version="c", package=BYTES, model=served,
    )  # fmt: skip
    store.write_latest(dg.AssetKey(["m", "live_endpoint"]), live)


def test_a_comparison_counts_as_long_as_its_champion_is_live(store: ArtifactStore) -> None:
    against_a = packed(store, against="a" * 64)
    assert require_passed(store, model(), against_a, "Shipping", print), "nothing is live"
    for live in ("a" * 64, "f" * 64):
        go_live(store, live)
        assert require_passed(store, model(), against_a, "Shipping", print)
    go_live(store, "c" * 64)
    compared = "m/onnx_model ffffffffffff not_worse_than_champion: passed, compared with "
    for against, said in (("a" * 64, "model aaaaaaaaaaaa"), ("", "no champion")):
        challenger = packed(store, against=against)
        with pytest.raises(dg.Failure) as refused:
            require_passed(store, model(), challenger, "Shipping", print)
        assert refused.value.metadata["objections"].value == [
            f"{compared}{said}, but cccccccccccc is live now"
        ]
        assert "dg launch --job checks" in str(refused.value)


def test_a_stricter_gate_is_stricter_in_its_own_direction(store: ArtifactStore) -> None:
    challenger = packed(store)
    for gates in ({"max_parity_difference": 1e-2}, {"min_test_accuracy": 0.5}):
        assert require_passed(store, model(**gates), challenger, "Shipping", print)
    for gates in ({"max_parity_difference": 1e-4}, {"min_test_accuracy": 0.999}):
        with pytest.raises(dg.Failure, match=f"{next(iter(gates))} of .*, which is .* now"):
            require_passed(store, model(**gates), challenger, "Shipping", print)


def test_every_limit_is_a_gate_of_a_required_check() -> None:
    assert LIMITS.keys() <= {check for checks in REQUIRED.values() for check in checks}
    assert all(hasattr(Gates(), gate) for gate in LIMITS.values())


def test_what_is_required_is_what_blocks() -> None:
    defs = ModelLifecycle.from_attributes_dict(attributes={"name": "m"}).build()
    blocking: dict[str, set[str]] = {asset: set() for asset in ARTIFACTS}
    for checks in defs.asset_checks or []:
        for spec in checks.check_specs:  # pyright: ignore[reportAttributeAccessIssue] all are definitions
            if spec.blocking:
                blocking[spec.asset_key.path[-1]].add(spec.name)
    assert blocking == {asset: set(checks) for asset, checks in REQUIRED.items()}
