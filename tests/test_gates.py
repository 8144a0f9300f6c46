"""What may be released: every blocking verdict, on exactly the versions that are about to ship."""

from typing import Any

import dagster as dg
import pytest

from mc_assets.artifacts import ARTIFACTS, Verdict
from mc_assets.gates import REQUIRED, require_passed
from mc_assets.lifecycle import ModelLifecycle
from mc_assets.resources.artifact_store import ArtifactStore

LINEAGE = {"m/dataset": "d" * 64, "m/trained_model": "e" * 64}
CHECKS = [(key, check) for key in LINEAGE for check in REQUIRED[key.removeprefix("m/")]]


def judge(
    store: ArtifactStore, key: str, check: str, passed: bool = True, version: str | None = None
) -> None:
    store.write_verdict(
        Verdict(
            asset_key=key,
            version=version or LINEAGE[key],
            check=check,
            blocking=True,
            passed=passed,
            run_id=f"run-of-{check}",
            at="2026-01-01T00:00:00+00:00",
        )
    )


def refusal(store: ArtifactStore) -> dg.Failure:
    with pytest.raises(dg.Failure, match=r"^Shipping is refused: ") as refused:
        require_passed(store, LINEAGE, "Shipping")
    assert not refused.value.allow_retries
    return refused.value


def objections(store: ArtifactStore) -> list[str]:
    found: Any = refusal(store).metadata["objections"].value
    return list(found)


def test_all_passed_is_let_through_and_told(store: ArtifactStore) -> None:
    for key, check in CHECKS:
        judge(store, key, check)
    assert require_passed(store, LINEAGE, "Shipping") == [
        f"{key} {LINEAGE[key][:12]} {check}" for key, check in CHECKS
    ]


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
    assert len(require_passed(store, LINEAGE, "Shipping")) == len(CHECKS)


def test_what_is_required_is_what_blocks() -> None:
    defs = ModelLifecycle.from_attributes_dict(attributes={"name": "m"}).build()
    blocking: dict[str, set[str]] = {asset: set() for asset in ARTIFACTS}
    for checks in defs.asset_checks or []:
        for spec in checks.check_specs:  # pyright: ignore[reportAttributeAccessIssue] all are definitions
            if spec.blocking:
                blocking[spec.asset_key.path[-1]].add(spec.name)
    assert blocking == {asset: set(checks) for asset, checks in REQUIRED.items()}
