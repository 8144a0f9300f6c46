"""Verdicts: every check writes its own down by version; a release reads them before it ships."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from mc_assets.artifacts import Artifact, LiveEndpoint, Override, Verdict
from mc_assets.model_settings import Gates, ModelSettings
from mc_assets.resources.artifact_store import ArtifactStore

# Asset name, in the order of the graph -> the checks that must have passed on a version before a
# later stage ships it.
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "dataset": ("files_and_shapes",),
    "trained_model": ("archive_contents", "training_metrics"),
    "onnx_model": ("structure", "signature", "parity", "test_accuracy", "not_worse_than_champion"),
    "function_package": ("contents", "clean_process"),
    "staged_endpoint": ("prediction_accuracy", "latency"),
    "live_endpoint": ("prediction_accuracy",),
}
# Required check -> the gate of defs.yaml that it judges by; the others have none.
LIMITS: Mapping[str, str] = {
    "training_metrics": "min_training_accuracy",
    "parity": "max_parity_difference",
    "test_accuracy": "min_test_accuracy",
    "not_worse_than_champion": "champion_margin",
    "contents": "max_package_bytes",
    "clean_process": "min_endpoint_accuracy",
    "prediction_accuracy": "min_endpoint_accuracy",
    "latency": "bake_max_latency_p95_ms",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What is written down of one check on one version, and why it holds no more, if so."""

    asset_key: str
    version: str
    check: str
    verdict: Verdict | None = None
    outdated: str = ""

    @property
    def passed(self) -> bool:
        return self.verdict is not None and self.verdict.passed and not self.outdated

    @property
    def said(self) -> str:
        if not self.version:
            return "never recorded"
        if self.verdict is None:
            return "never ran"
        if self.verdict.passed:
            return f"passed, {self.outdated}" if self.outdated else "passed"
        why = f": {self.verdict.why.rstrip('.')}" if self.verdict.why else ""
        return f"failed in run {self.verdict.run_id}{why}"

    def __str__(self) -> str:
        version = f" {self.version[:12]}" if self.version else ""
        return f"{self.asset_key}{version} {self.check}: {self.said}"


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


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check says: `description` is what is wrong, with its number, and `against` the
    sha256 of the model that it compared with, if any."""

    check: str
    passed: bool
    metadata: Mapping[str, Any]
    description: str | None = None
    against: str = ""


def judged(
    context: dg.AssetCheckExecutionContext,
    store: ArtifactStore,
    model: ModelSettings,
    artifact: Artifact,
    finding: Finding,
) -> dg.AssetCheckResult:
    """A check's result, after writing it down under the version it is about.

    A blocking check holds only inside its own run; what is written here holds for every later one.
    """
    key = dg.AssetKey([model.name, artifact.asset])
    blocking = finding.check in REQUIRED[artifact.asset]
    gate = LIMITS.get(finding.check) if blocking else None
    store.write_verdict(
        Verdict(
            asset_key=key.to_user_string(),
            version=artifact.version,
            check=finding.check,
            blocking=blocking,
            passed=finding.passed,
            run_id=context.run.run_id,
            at=now(),
            why=finding.description or "",
            limit=getattr(model.gates, gate) if gate else None,
            against=finding.against,
        )
    )
    return dg.AssetCheckResult(
        passed=finding.passed,
        check_name=finding.check,
        asset_key=key,
        severity=dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN,
        description=finding.description,
        metadata=finding.metadata,
    )


def all_judged(
    context: dg.AssetCheckExecutionContext,
    store: ArtifactStore,
    model: ModelSettings,
    artifact: Artifact,
    findings: Iterable[Finding],
) -> list[dg.AssetCheckResult]:
    """The results of the checks that were asked for, of several that share their work."""
    chosen = {key.name for key in context.selected_asset_check_keys}
    return [
        judged(context, store, model, artifact, finding)
        for finding in findings
        if finding.check in chosen
    ]


def require_passed(
    store: ArtifactStore,
    model: ModelSettings,
    artifact: Artifact,
    what: str,
    warn: Callable[[str], None],
    further: Sequence[str] = (),
    override_reason: str = "",
) -> Admission:
    """Let a version through on the blocking verdicts on it and on exactly what went into it.

    Args:
        store: keeps the verdicts.
        model: whose gates, as they are now, the verdicts have to have been judged by.
        artifact: is about to ship.
        what: is about to happen, to begin the refusal with.
        warn: is told every objection that is overridden.
        further: objections that are no check's.
        override_reason: a person's, for going on all the same.

    Raises:
        dagster.Failure: lists every objection, and nobody gave a reason to go on.
    """
    readings = tuple(_readings(store, model, artifact))
    objections = (*(str(reading) for reading in readings if not reading.passed), *further)
    reason = override_reason.strip()
    if not objections:
        return Admission(readings)
    if not reason:
        raise dg.Failure(
            f"{what} is refused: {'; '.join(objections)}. Run what is missing or outdated (`dg "
            "launch --job checks` runs every check), or materialise a version that passes; "
            "`override_reason` in the run's config goes on all the same.",
            metadata={"objections": list(objections)},
            allow_retries=False,
        )
    for objection in objections:
        warn(f"{what} goes on, because {reason!r}, in spite of: {objection}")
    return Admission(readings, Override(reason=reason, objections=objections))


def _readings(store: ArtifactStore, model: ModelSettings, artifact: Artifact) -> Iterator[Reading]:
    """What was said of everything from the dataset to the artifact, whatever its lineage lacks."""
    live = store.latest(dg.AssetKey([model.name, LiveEndpoint.asset]), LiveEndpoint)
    assets = list(REQUIRED)
    for asset in assets[: assets.index(artifact.asset) + 1]:
        key = f"{model.name}/{asset}"
        version = artifact.lineage.get(key, "")
        verdicts = store.read_verdicts(key, version, REQUIRED[asset]) if version else {}
        for check in REQUIRED[asset]:
            verdict = verdicts.get(check)
            outdated = _outdated(verdict, model.gates, live) if verdict else ""
            yield Reading(key, version, check, verdict, outdated)


def _outdated(verdict: Verdict, gates: Gates, live: LiveEndpoint | None) -> str:
    """Why a verdict holds no more: its gate became stricter, or another champion serves by now."""
    gate, was = LIMITS.get(verdict.check), verdict.limit
    if gate is not None:
        wanted = getattr(gates, gate)
        if was is None:
            return f"by a {gate} that is not written down"
        if wanted > was if gate.startswith("min_") else wanted < was:
            return f"by a {gate} of {was:.10g}, which is {wanted:.10g} now"
    if verdict.check == "not_worse_than_champion" and live is not None:
        champion = live.model.sha256
        if champion not in (verdict.version, verdict.against):
            compared = f"model {verdict.against[:12]}" if verdict.against else "no champion"
            return f"compared with {compared}, but {champion[:12]} is live now"
    return ""


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
