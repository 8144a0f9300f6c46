"""What was ever live, as written down; and going back to it, proven first and promoted as ever."""

import time
from dataclasses import dataclass

import dagster as dg

from mc_assets.artifacts import Endpoint, LiveEndpoint, ReleaseHistory, StagedEndpoint, Verdict
from mc_assets.gates import now
from mc_assets.hosting import Hosting
from mc_assets.model_settings import ModelSettings
from mc_assets.resources.artifact_store import RECORDS, ArtifactStore
from mc_assets.resources.releases import Candidate, Release, Releases
from mc_assets.stages.tracing import traced

# No check of that name exists: a release writes down itself whether its version was kept.
RELEASE = "release"
# Seconds before going back is tried a second and a third time: who is refused serves meanwhile.
PAUSES = (2, 10)

Context = dg.OpExecutionContext | dg.AssetExecutionContext


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
    def hosting(self) -> Hosting:
        return self.model.hosting_in(self.store.target.connection.subscription_id)

    @property
    def live(self) -> LiveEndpoint | None:
        return self.store.latest(self.key, LiveEndpoint)

    @property
    def history(self) -> ReleaseHistory:
        return read_history(self.store, self.key)

    @property
    def next_number(self) -> int:
        return max((past.number for past in self.history.releases), default=0) + 1

    def remember(self, live: LiveEndpoint) -> None:
        """Put a release at the end of the history, or in the place it has there; it is live."""
        others = [past for past in self.history.releases if past.number != live.number]
        releases = sorted([*others, live], key=lambda past: past.number)
        self._judge(live, live.run_id)
        # First, since the history counts it in by itself: a run killed between the two leaves no
        # release behind that never was.
        self.store.write_latest(self.key, live)
        self.store.write_record(self._history, ReleaseHistory(releases=tuple(releases)))

    def bring_back(self, restored: LiveEndpoint) -> None:
        """Have a version of the history be the one that is live."""
        self._judge(restored, restored.run_id)
        self.store.write_record(self._history, self.history)
        self.store.write_latest(self.key, restored)

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

    def release_of(self, content_version: str | None) -> Endpoint | None:
        """What is known of the package that answers with this version: staged, or once live."""
        staged = self.store.latest(
            dg.AssetKey([self.model.name, StagedEndpoint.asset]), StagedEndpoint
        )
        known = [*self.history.releases, *([staged] if staged else [])]
        found = (each for each in reversed(known) if each.content_version == content_version)
        return next(found, None)

    def refuse(self, release: Endpoint, run_id: str, why: str) -> None:
        """Have a version not be released again but by an override."""
        self._judge(release, run_id, why)

    def refusal(self, release: Endpoint) -> str:
        """That it was taken back, or else the same files, or its model in another function."""
        version, model = release.version[:12], release.model.sha256[:12]
        names = (
            f"package {version}",
            f"package {version}'s content {release.content_version[:12]}",
            f"package {version}'s model {model}",
        )
        for name, judged in zip(names, _judged_as(release), strict=True):
            verdict = self.verdict(judged)
            if verdict and not verdict.passed:
                return f"{name} was taken back in run {verdict.run_id}: {verdict.why}"
        return ""

    def verdict(self, version: str) -> Verdict | None:
        """Whether what has this sha256 was kept live: a package, its content or its model."""
        return self.store.read_verdicts(self.key.to_user_string(), version, [RELEASE])[RELEASE]

    def _judge(self, release: Endpoint, run_id: str, why: str = "") -> None:
        """That a version was kept live or, with a `why`, that it was not.

        Under its model's name too, which a change of the function does not alter, and its
        content's, which the same training done again does not.
        """
        for judged in _judged_as(release):
            verdict = Verdict(
                asset_key=self.key.to_user_string(),
                version=judged,
                check=RELEASE,
                blocking=True,
                passed=not why,
                run_id=run_id,
                at=now(),
                why=why,
            )
            self.store.write_verdict(verdict)

    @property
    def _history(self) -> str:
        return _history_key(self.key)


def read_history(store: ArtifactStore, key: dg.AssetKey) -> ReleaseHistory:
    """Everything that was ever live, what is live now included whoever wrote that down."""
    history = store.read_record(_history_key(key), ReleaseHistory) or ReleaseHistory()
    live = store.latest(key, LiveEndpoint)
    if live is None or live.number in {past.number for past in history.releases}:
        return history
    return ReleaseHistory(releases=(*history.releases, live))


def restore(
    context: Context,
    ledger: Ledger,
    releases: Releases,
    back: WayBack,
    left: Endpoint | None,
    reason: str,
) -> None:
    """Have a version of before serve users again, and say so: as the asset's next materialisation.

    What is `left` is not released again but by an override, from before anything is touched; the
    restored one stands as it did, with what was live before it as its own way back.
    """
    if left and left.version != back.record.version:
        ledger.refuse(left, context.run.run_id, reason)
    release = bring_back(context, ledger, releases, back)
    write_down(context, ledger, back, release, left, reason)


def bring_back(context: Context, ledger: Ledger, releases: Releases, back: WayBack) -> Release:
    """Have a version of before serve users; insistently, as nothing else helps them."""
    for pause in PAUSES:
        try:
            return releases.promote(ledger.hosting, back.candidate, False, context.log.info)
        except dg.Failure as failure:
            if not failure.allow_retries:
                raise
            context.log.warning(f"{failure.description} Trying again in {pause} s.")
            time.sleep(pause)
    return releases.promote(ledger.hosting, back.candidate, False, context.log.info)


def write_down(
    context: Context,
    ledger: Ledger,
    back: WayBack,
    release: Release,
    left: Endpoint | None,
    reason: str,
) -> None:
    """That a version of before is live again, in the records and in the asset's history."""
    restored = back.record.model_copy(
        update={
            "url": release.app.url,
            "since": now(),
            "run_id": context.run.run_id,
            "brought_back": reason,
        }
    )
    ledger.bring_back(restored)
    event = dg.AssetMaterialization(
        ledger.key,
        description=f"Brought back: {reason}",
        metadata={
            "reason": f"rolled back: {reason}",
            **({"refused_version": left.version} if left else {}),
            "content_version": restored.content_version,
            "model_sha256": restored.model.sha256,
            "health": dg.MetadataValue.url(f"{restored.url}/api/health"),
            "release": release.how,
            "release_number": restored.number,
            "live_since": restored.since,
            "warm_up_seconds": round(release.warm_up_seconds, 2),
            **traced(ledger.store, restored),
        },
        tags={"dagster/data_version": restored.version},
    )
    # Writes it at once: what context.log_event is given, Dagster drops when the step fails.
    dg.DagsterEvent.asset_materialization(context.get_step_execution_context(), event)
    context.log.info(f"{restored.url} serves {restored.version[:12]} again.")


def _history_key(key: dg.AssetKey) -> str:
    return f"{RECORDS}/{key.to_user_string()}.history.json"


def _judged_as(release: Endpoint) -> tuple[str, str, str]:
    return release.version, release.content_version, release.model.sha256
