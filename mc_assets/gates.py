"""Verdicts: every check writes its own down by version; a release reads them before it ships."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from mc_assets.artifacts import Artifact, Verdict
from mc_assets.resources.artifact_store import ArtifactStore

# Asset name -> the checks that must have passed on a version before a later stage ships it.
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "dataset": ("files_and_shapes",),
    "trained_model": ("archive_contents", "training_metrics"),
    "onnx_model": ("structure", "signature", "parity", "test_accuracy", "not_worse_than_champion"),
    "function_package": ("contents", "clean_process"),
    "staged_endpoint": ("prediction_accuracy",),
    "live_endpoint": ("prediction_accuracy",),
}


def judged(
    context: dg.AssetCheckExecutionContext,
    store: ArtifactStore,
    asset_key: dg.AssetKey,
    artifact: Artifact,
    check: str,
    passed: bool,
    metadata: Mapping[str, Any],
    description: str | None = None,
) -> dg.AssetCheckResult:
    """A check's result, after writing it down under the version it is about.

    A blocking check holds only inside its own run; what is written here holds for every later one.
    """
    blocking = check in REQUIRED[artifact.asset]
    store.write_verdict(
        Verdict(
            asset_key=asset_key.to_user_string(),
            version=artifact.version,
            check=check,
            blocking=blocking,
            passed=passed,
            run_id=context.run.run_id,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
    )
    return dg.AssetCheckResult(
        passed=passed,
        check_name=check,
        asset_key=asset_key,
        severity=dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN,
        description=description,
        metadata=metadata,
    )


def require_passed(store: ArtifactStore, lineage: Mapping[str, str], what: str) -> list[str]:
    """Every blocking verdict on exactly the versions in `lineage`; the checks that were read.

    Raises:
        dagster.Failure: lists every one that failed or is missing.
    """
    read, objections = [], []
    for asset_key, version in lineage.items():
        checks = REQUIRED[asset_key.rpartition("/")[2]]
        for check, verdict in store.read_verdicts(asset_key, version, checks).items():
            name = f"{asset_key} {version[:12]} {check}"
            read.append(name)
            if verdict is None:
                objections.append(f"{name}: never ran")
            elif not verdict.passed:
                objections.append(f"{name}: failed in run {verdict.run_id}")
    if objections:
        raise dg.Failure(
            f"{what} is refused: {'; '.join(objections)}. Run the missing checks, or materialise "
            "a version that passes.",
            metadata={"objections": objections},
            allow_retries=False,
        )
    return read
