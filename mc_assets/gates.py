"""Verdicts: every check writes its own down by version; a release reads them before it ships."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from mc_assets.artifacts import Artifact, Override, Verdict
from mc_assets.resources.artifact_store import ArtifactStore

# Asset name -> the checks that must have passed on a version before a later stage ships it.
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "dataset": ("files_and_shapes",),
    "trained_model": ("archive_contents", "training_metrics"),
    "onnx_model": ("structure", "signature", "parity", "test_accuracy", "not_worse_than_champion"),
    "function_package": ("contents", "clean_process"),
    "staged_endpoint": ("prediction_accuracy", "latency"),
    "live_endpoint": ("prediction_accuracy",),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What is written down of one check on one version."""

    asset_key: str
    version: str
    check: str
    verdict: Verdict | None

    @property
    def passed(self) -> bool:
        return self.verdict is not None and self.verdict.passed

    @property
    def said(self) -> str:
        if self.verdict is None:
            return "never ran"
        if self.verdict.passed:
            return "passed"
        why = f": {self.verdict.why.rstrip('.')}" if self.verdict.why else ""
        return f"failed in run {self.verdict.run_id}{why}"

    def __str__(self) -> str:
        return f"{self.asset_key} {self.version[:12]} {self.check}: {self.said}"


@dataclass(frozen=True, slots=True)
class Admission:
    """Why a version may go on: what its checks said, and what a person overrode, if anything."""

    readings: tuple[Reading, ...]
    override: Override | None = None

    @property
    def metadata(self) -> dict[str, dg.MetadataValue]:
        table = [
            dg.TableRecord(
                {
                    "asset": reading.asset_key,
                    "version": reading.version[:12],
                    "check": reading.check,
                    "verdict": reading.said,
                }
            )
            for reading in self.readings
        ]
        metadata: dict[str, dg.MetadataValue] = {"gates": dg.MetadataValue.table(table)}
        if self.override:
            metadata["override_reason"] = dg.MetadataValue.text(self.override.reason)
            metadata["overridden"] = dg.MetadataValue.json(list(self.override.objections))
        return metadata


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
            at=now(),
            why=description or "",
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


def require_passed(
    store: ArtifactStore,
    lineage: Mapping[str, str],
    what: str,
    warn: Callable[[str], None],
    further: Sequence[str] = (),
    override_reason: str = "",
) -> Admission:
    """Let a version through on the blocking verdicts on exactly the versions in its `lineage`.

    Args:
        store: keeps the verdicts.
        lineage: version by asset key, of all that is about to ship.
        what: is about to happen, to begin the refusal with.
        warn: is told every objection that is overridden.
        further: objections that are no check's.
        override_reason: a person's, for going on all the same.

    Raises:
        dagster.Failure: lists every objection, and nobody gave a reason to go on.
    """
    readings = tuple(
        Reading(asset_key, version, check, verdict)
        for asset_key, version in lineage.items()
        for check, verdict in store.read_verdicts(
            asset_key, version, REQUIRED[asset_key.rpartition("/")[2]]
        ).items()
    )
    objections = (*(str(reading) for reading in readings if not reading.passed), *further)
    reason = override_reason.strip()
    if not objections:
        return Admission(readings)
    if not reason:
        raise dg.Failure(
            f"{what} is refused: {'; '.join(objections)}. Run the missing checks, or materialise "
            "a version that passes; `override_reason` in the run's config goes on all the same.",
            metadata={"objections": list(objections)},
            allow_retries=False,
        )
    for objection in objections:
        warn(f"{what} goes on, because {reason!r}, in spite of: {objection}")
    return Admission(readings, Override(reason=reason, objections=objections))


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
