"""What may be released: every blocking verdict, on exactly the versions that are about to ship."""

from typing import Any

import dagster as dg
import pytest

from mc_assets.artifacts import ARTIFACTS, Override, Verdict
from mc_assets.gates import REQUIRED, Admission, require_passed
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


def ship(store: ArtifactStore, *further: str, reason: str = "") -> tuple[Admission, list[str]]:
    """What let it through, and the warnings on the way."""
    warnings: list[str] = []
    return require_passed(store, LINEAGE, "Shipping", warnings.append, further, reason), warnings


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
    failed = Verdict(
        asset_key="m/dataset", version=LINEAGE["m/dataset"], check="files_and_shapes",
        blocking=True, passed=False, run_id="r", at="", why="There are no labels.",
    )  # fmt: skip
    store.write_verdict(failed)
    assert objections(store) == [
        "m/dataset dddddddddddd files_and_shapes: failed in run r: There are no labels"
    ]


def test_what_is_required_is_what_blocks() -> None:
    defs = ModelLifecycle.from_attributes_dict(attributes={"name": "m"}).build()
    blocking: dict[str, set[str]] = {asset: set() for asset in ARTIFACTS}
    for checks in defs.asset_checks or []:
        for spec in checks.check_specs:  # pyright: ignore[reportAttributeAccessIssue] all are definitions
            if spec.blocking:
                blocking[spec.asset_key.path[-1]].add(spec.name)
    assert blocking == {asset: set(checks) for asset, checks in REQUIRED.items()}
