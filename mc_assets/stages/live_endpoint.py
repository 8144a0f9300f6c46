"""The live_endpoint asset: the package serving users, and its checks."""

from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg

from mc_assets.artifacts import Dataset, FunctionPackage, LiveEndpoint, Override, StagedEndpoint
from mc_assets.bake import Bake, bake
from mc_assets.code_version import code_version
from mc_assets.gates import judged, now, require_passed
from mc_assets.hosting import Hosting
from mc_assets.model_settings import ModelSettings
from mc_assets.resources.artifact_store import ArtifactStore
from mc_assets.resources.endpoint_client import serving
from mc_assets.resources.releases import Candidate, Release, Releases
from mc_assets.retrying import retried
from mc_assets.stages import dataset as dataset_stage
from mc_assets.stages import endpoint_checks
from mc_assets.stages import function_package as function_package_stage
from mc_assets.stages import staged_endpoint as staged_endpoint_stage
from mc_assets.stages.restoring import Ledger, WayBack, restore
from mc_assets.stages.staged_endpoint import RELEASE_CODE, ReleaseRun, release_metadata


def key_of(model: ModelSettings) -> dg.AssetKey:
    return dg.AssetKey([model.name, LiveEndpoint.asset])


def build_asset(model: ModelSettings) -> dg.AssetsDefinition:
    @dg.asset(
        key=key_of(model),
        ins={"staged_endpoint": dg.AssetIn(key=staged_endpoint_stage.key_of(model))},
        group_name=model.name,
        kinds={"azure", "azurefunctions"},
        owners=list(model.owners),
        code_version=code_version(
            "stages/live_endpoint.py",
            "stages/restoring.py",
            "bake.py",
            *RELEASE_CODE,
            extra=repr(model.hosting),
        ),
        description="The package serving users. Refused unless every blocking check passed on "
        "exactly these versions, the staged endpoint's included; taken back when its bake fails.",
        pool=model.release_pool,
    )
    @retried
    def live_endpoint(
        context: dg.AssetExecutionContext,
        config: ReleaseRun,
        staged_endpoint: StagedEndpoint,
        artifact_store: ArtifactStore,
        releases: Releases,
    ) -> dg.MaterializeResult[LiveEndpoint]:
        promotion = Promotion(context, Ledger(artifact_store, model), releases, staged_endpoint)
        back, no_way_back = promotion.way_back()
        admission = require_passed(
            artifact_store,
            staged_endpoint.lineage,
            f"Releasing package {staged_endpoint.version[:12]}",
            context.log.warning,
            [*promotion.objections(), *no_way_back],
            config.override_reason,
        )
        promotion.require_staged()
        release = promotion.promote(back, config.redeploy)
        record = promotion.record(release, admission.override)
        metadata = {**_metadata(record, release), **admission.metadata}
        if release.changed or not promotion.is_live:
            baked = promotion.bake(record)
            if baked.problem:
                raise promotion.taken_back(back, f"failed its bake: {baked.problem}")
            metadata |= baked.metadata
        promotion.ledger.remember(record)
        return dg.MaterializeResult(
            value=record, data_version=dg.DataVersion(record.version), metadata=metadata
        )

    return live_endpoint


def build_checks(model: ModelSettings) -> Iterator[dg.AssetChecksDefinition]:
    key = key_of(model)

    @dg.asset_check(
        asset=key,
        name="serves_promoted_version",
        description="The endpoint answers with the package that was promoted.",
    )
    def serves_promoted_version(
        context: dg.AssetCheckExecutionContext,
        live_endpoint: LiveEndpoint,
        artifact_store: ArtifactStore,
    ) -> dg.AssetCheckResult:
        found = serving(live_endpoint.url)
        return judged(
            context, artifact_store, key, live_endpoint, "serves_promoted_version",
            found == live_endpoint.content_version,
            {"promoted": live_endpoint.content_version, "serving": found or "nothing"},
        )  # fmt: skip

    limit = model.gates.max_latency_p95_ms
    yield from endpoint_checks.build_shared_checks(model, key, limit, latency_blocks=False)
    yield serves_promoted_version


@dataclass(frozen=True, slots=True)
class Promotion:
    """One staged package on its way to the users."""

    context: dg.AssetExecutionContext
    ledger: Ledger
    releases: Releases
    staged: StagedEndpoint

    @property
    def is_live(self) -> bool:
        """Whether its release ended well once: a run that died in the bake wrote nothing down."""
        live = self.ledger.live
        return live is not None and live.version == self.staged.version

    @property
    def hosting(self) -> Hosting:
        subscription = self.ledger.store.target.connection.subscription_id
        return self.ledger.model.hosting_in(subscription)

    @property
    def candidate(self) -> Candidate:
        return Candidate(self.ledger.store.read(self.staged.package), self.staged.content_version)

    def way_back(self) -> tuple[WayBack | None, list[str]]:
        """What to bring back should this go wrong, proven now; or what speaks against going."""
        live = self.ledger.live
        before = self.ledger.history.before(live) if live and self.is_live else live
        try:
            return self.ledger.way_back(before) if before else None, []
        except dg.Failure as failure:
            return None, [str(failure.description)]

    def objections(self) -> list[str]:
        """What no check says: that there is a newer package, or that this one was taken back."""
        model, version = self.ledger.model, self.staged.version
        found = []
        newest = self.ledger.store.latest(function_package_stage.key_of(model), FunctionPackage)
        if newest and newest.version != version:
            found.append(
                f"package {version[:12]} is older than the newest, {newest.version[:12]}: stage "
                "that one, or go back to one that was live by the rollback job"
            )
        verdict = self.ledger.verdict(version)
        if verdict and not verdict.passed:
            found.append(
                f"package {version[:12]} was taken back in run {verdict.run_id}: {verdict.why}"
            )
        return found

    def require_staged(self) -> None:
        """Have the package run where it was tried; a later release may have taken its place.

        Its verdicts are about its hash, and hold.

        Raises:
            dagster.Failure: nothing at all runs there.
        """
        _, url = self.releases.whereabouts(self.staged)
        found = serving(url)
        if found is None:
            raise dg.Failure(
                f"{self.staged.url} serves nothing, not the staged package "
                f"{self.staged.content_version[:12]}: materialise staged_endpoint again.",
                allow_retries=False,
            )
        if found != self.staged.content_version:
            log = self.context.log.info
            log(f"{url} serves {found[:12]}, of a later release: staging this package again.")
            self.releases.stage(self.hosting, self.candidate, redeploy=False, log=log)

    def promote(self, back: WayBack | None, redeploy: bool) -> Release:
        """Have users served.

        Raises:
            dagster.Failure: it failed, and what users were served by serves them still or again.
        """
        try:
            return self.releases.promote(
                self.hosting, self.candidate, redeploy, self.context.log.info
            )
        except dg.Failure as failure:
            live = self.ledger.live
            if back is None or live is None or serving(live.url) == live.content_version:
                raise
            problem = f"was promoted but does not serve: {failure.description}"
            raise self.taken_back(back, problem) from failure

    def record(self, release: Release, override: Override | None) -> LiveEndpoint:
        """The release as the next of the history; of the version that is live, as what it is."""
        live, key = self.ledger.live, self.ledger.key.to_user_string()
        record = LiveEndpoint(
            version=self.staged.version,
            lineage={**self.staged.lineage, key: self.staged.version},
            resource_group=release.app.group,
            app=release.app.name,
            slot=None,
            url=release.app.url,
            content_version=self.staged.content_version,
            package=self.staged.package,
            model=self.staged.model,
            previous=live.package if live else None,
            number=self.ledger.next_number,
            since=now(),
            run_id=self.context.run.run_id,
            override=override,
        )
        if live is None or not self.is_live:
            return record
        kept = {name: getattr(live, name) for name in ("previous", "number", "since", "run_id")}
        return record.model_copy(update={**kept, "override": override or live.override})

    def bake(self, record: LiveEndpoint) -> Bake:
        store, model = self.ledger.store, self.ledger.model
        dataset = store.latest(dataset_stage.key_of(model), Dataset)
        if dataset is None:
            return Bake(problem="the record of the dataset to call it with is gone")
        images, labels = dataset_stage.read_test_set(store, dataset)
        client = self.releases.client(record)
        return bake(client, record.content_version, images, labels, model.gates)

    def taken_back(self, back: WayBack | None, problem: str) -> dg.Failure:
        """Bring back what was live before; the failure to end the run with says what serves now.

        A first release has nothing to go back to. It stays: nobody relied on the endpoint before, a
        stopped app could neither be looked into nor deployed to, and no record calls it live.
        """
        version, run_id = self.staged.version, self.context.run.run_id
        said = f"Package {version[:12]} {problem}."
        self.context.log.error(said)
        metadata = {"refused_version": version, "reason": problem}
        if back is None:
            self.ledger.write_verdict(version, run_id, problem)
            now_serving = (
                "There is no version before it to go back to, so it is left as it is: `dg launch "
                "--job teardown` takes it down."
            )
            return dg.Failure(f"{said} {now_serving}", metadata=metadata, allow_retries=False)
        url, before = back.record.url, back.record.version
        try:
            restore(self.context, self.ledger, self.releases, back, version, problem)
        except dg.Failure as failure:
            now_serving = (
                f"Going back to {before[:12]} failed too: {failure.description} Until the rollback "
                f"job has brought a version back, {url} may serve the one refused."
            )
        else:
            now_serving = f"{url} serves the version before it again, {before[:12]}."
            metadata["serving_version"] = before
        return dg.Failure(f"{said} {now_serving}", metadata=metadata, allow_retries=False)


def _metadata(record: LiveEndpoint, release: Release) -> dict[str, dg.MetadataValue]:
    lineage = [
        dg.TableRecord({"asset": asset, "version": version})
        for asset, version in record.lineage.items()
    ]
    return {
        **release_metadata(release),
        "classify": dg.MetadataValue.url(f"{record.url}/api/classify"),
        "model_sha256": dg.MetadataValue.text(record.model.sha256),
        "content_version": dg.MetadataValue.text(record.content_version),
        "reason": dg.MetadataValue.text("promoted"),
        "live_since": dg.MetadataValue.text(record.since),
        "release_number": dg.MetadataValue.int(record.number),
        "lineage": dg.MetadataValue.table(lineage),
    }
