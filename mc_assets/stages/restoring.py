"""What was ever live, as written down; and going back to it, proven first and promoted as ever."""

from dataclasses import dataclass

import dagster as dg

from mc_assets.artifacts import LiveEndpoint, ReleaseHistory, Verdict
from mc_assets.gates import now
from mc_assets.model_settings import ModelSettings
from mc_assets.resources.artifact_store import RECORDS, ArtifactStore
from mc_assets.resources.releases import Candidate, Releases

# No check of that name exists: a release writes down itself whether its version was kept.
RELEASE = "release"


@dataclass(frozen=True, slots=True)
class WayBack:
    """A version that was live, with its package's bytes."""

    record: LiveEndpoint
    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Ledger:
    """One model's releases in S3; whoever writes holds the model's release pool."""

    store: ArtifactStore
    model: ModelSettings

    @property
    def key(self) -> dg.AssetKey:
        return dg.AssetKey([self.model.name, LiveEndpoint.asset])

    @property
    def live(self) -> LiveEndpoint | None:
        return self.store.latest(self.key, LiveEndpoint)

    @property
    def history(self) -> ReleaseHistory:
        """Everything that was ever live, what is live now included whoever wrote that down."""
        history = self.store.read_record(self._history, ReleaseHistory) or ReleaseHistory()
        live = self.live
        if live is None or live.number in {past.number for past in history.releases}:
            return history
        return ReleaseHistory(releases=(*history.releases, live))

    @property
    def next_number(self) -> int:
        return max((past.number for past in self.history.releases), default=0) + 1

    def remember(self, live: LiveEndpoint) -> None:
        """Put a release at the end of the history, or in the place it has there."""
        others = [past for past in self.history.releases if past.number != live.number]
        releases = sorted([*others, live], key=lambda past: past.number)
        self.store.write_record(self._history, ReleaseHistory(releases=tuple(releases)))
        self.write_verdict(live.version, live.run_id)

    def way_back(self, record: LiveEndpoint) -> WayBack:
        """The version's package, proven to be what was live, before anything is touched.

        Raises:
            dagster.Failure: it is gone from S3, or was changed there.
        """
        if self.store.head(record.package.uri) is None:
            raise dg.Failure(
                f"The package {record.version[:12]} is gone from {record.package.uri}: there is "
                "no way back to it.",
                allow_retries=False,
            )
        return WayBack(record, Candidate(self.store.read(record.package), record.content_version))

    def verdict(self, version: str) -> Verdict | None:
        """Whether a version that was live was kept."""
        return self.store.read_verdicts(self.key.to_user_string(), version, [RELEASE])[RELEASE]

    def write_verdict(self, version: str, run_id: str, why: str = "") -> None:
        """That a version was kept live or, with a `why`, that it was not."""
        self.store.write_verdict(
            Verdict(
                asset_key=self.key.to_user_string(),
                version=version,
                check=RELEASE,
                blocking=True,
                passed=not why,
                run_id=run_id,
                at=now(),
                why=why,
            )
        )

    @property
    def _history(self) -> str:
        return f"{RECORDS}/{self.key.to_user_string()}.history.json"


def restore(
    context: dg.OpExecutionContext | dg.AssetExecutionContext,
    ledger: Ledger,
    releases: Releases,
    back: WayBack,
    refused: str,
    reason: str,
) -> LiveEndpoint:
    """Have a version of before serve users again, and say so: as the asset's next materialisation.

    The `refused` version is not released again but by an override; the restored one stands as it
    did, with what was live before it as its own way back.
    """
    hosting = ledger.model.hosting_in(ledger.store.target.connection.subscription_id)
    release = releases.promote(hosting, back.candidate, redeploy=False, log=context.log.info)
    restored = back.record.model_copy(
        update={"url": release.app.url, "since": now(), "run_id": context.run.run_id}
    )
    if refused != restored.version:
        ledger.write_verdict(refused, context.run.run_id, why=reason)
    ledger.write_verdict(restored.version, context.run.run_id)
    ledger.store.write_latest(ledger.key, restored)
    _materialised(
        context,
        dg.AssetMaterialization(
            ledger.key,
            description=f"Brought back: {reason}",
            metadata={
                "reason": f"rolled back: {reason}",
                "refused_version": refused,
                "content_version": restored.content_version,
                "model_sha256": restored.model.sha256,
                "health": dg.MetadataValue.url(f"{restored.url}/api/health"),
                "release": release.how,
                "release_number": restored.number,
                "live_since": restored.since,
                "warm_up_seconds": round(release.warm_up_seconds, 2),
            },
            tags={"dagster/data_version": restored.version},
        ),
    )
    context.log.info(f"{restored.url} serves {restored.version[:12]} again.")
    return restored


def _materialised(
    context: dg.OpExecutionContext | dg.AssetExecutionContext, event: dg.AssetMaterialization
) -> None:
    """Write it to the run's log at once: what a step logs, Dagster drops when the step fails."""
    step = context.get_step_execution_context()
    context.instance.report_dagster_event(
        dg.DagsterEvent.asset_materialization(step, event), context.run.run_id
    )
