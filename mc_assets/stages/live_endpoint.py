"""The live_endpoint asset: the package serving users, and its checks."""

from collections.abc import Iterator

import dagster as dg

from mc_assets.artifacts import LiveEndpoint, StagedEndpoint
from mc_assets.code_version import code_version
from mc_assets.gates import Finding, judged, require_passed
from mc_assets.model_settings import ModelSettings
from mc_assets.resources.artifact_store import ArtifactStore
from mc_assets.resources.endpoint_client import serving
from mc_assets.resources.release_pool import in_turn
from mc_assets.resources.releases import Release, Releases
from mc_assets.retrying import retried
from mc_assets.stages import endpoint_checks
from mc_assets.stages import staged_endpoint as staged_endpoint_stage
from mc_assets.stages.promotion import Promotion
from mc_assets.stages.restoring import Ledger
from mc_assets.stages.staged_endpoint import RELEASE_CODE, ReleaseRun, release_metadata
from mc_assets.stages.tracing import code, traced


def key_of(model: ModelSettings) -> dg.AssetKey:
    return dg.AssetKey([model.name, LiveEndpoint.asset])


def build_asset(model: ModelSettings) -> dg.AssetsDefinition:
    @dg.asset(
        key=key_of(model),
        ins={"staged_endpoint": dg.AssetIn(key=staged_endpoint_stage.key_of(model))},
        group_name=model.name,
        kinds={"azure", "azurefunctions"},
        tags={"cloud": "azure", "step": "release"},
        metadata=code(__file__, model.function_app / "function_app.py"),
        owners=list(model.owners),
        code_version=code_version(
            "stages/live_endpoint.py",
            "stages/promotion.py",
            "stages/restoring.py",
            "bake.py",
            *RELEASE_CODE,
            extra=repr(model.hosting),
        ),
        description="The package **serving users**. Refused unless every blocking check passed on "
        "exactly the versions that it is made of, the staged endpoint's included; when its bake "
        "fails, the version before is brought back.",
        pool=model.release_pool,
    )
    @retried
    @in_turn(model.release_pool)
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
            model,
            staged_endpoint,
            f"Releasing package {staged_endpoint.version[:12]}",
            context.log.warning,
            [*promotion.objections(), *no_way_back],
            config.override_reason,
        )
        promotion.require_staged()
        test_set = promotion.test_set()
        with promotion.taken_back_on_failure(back):
            release = promotion.promote(config.redeploy)
            record = promotion.record(release, admission.override)
            metadata = {
                **_metadata(record, release),
                **traced(artifact_store, record),
                **admission.metadata,
            }
            if release.changed or not promotion.is_live:
                metadata |= promotion.bake(record, test_set).metadata
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
    @retried
    def serves_promoted_version(
        context: dg.AssetCheckExecutionContext,
        live_endpoint: LiveEndpoint,
        artifact_store: ArtifactStore,
    ) -> dg.AssetCheckResult:
        found, promoted = serving(live_endpoint.url) or "nothing", live_endpoint.content_version
        problem = f"It serves {found[:12]}, not {promoted[:12]}, which was promoted."
        finding = Finding(
            "serves_promoted_version",
            found == promoted,
            {"promoted": promoted, "serving": found},
            None if found == promoted else problem,
        )
        return judged(context, artifact_store, model, live_endpoint, finding)

    limit = model.gates.max_latency_p95_ms
    yield from endpoint_checks.build_shared_checks(model, key, limit, latency_blocks=False)
    yield serves_promoted_version


def _metadata(record: LiveEndpoint, release: Release) -> dict[str, dg.MetadataValue]:
    return {
        **release_metadata(release),
        "classify": dg.MetadataValue.url(f"{record.url}/api/classify"),
        "model_sha256": dg.MetadataValue.text(record.model.sha256),
        "content_version": dg.MetadataValue.text(record.content_version),
        "reason": dg.MetadataValue.text("promoted"),
        "live_since": dg.MetadataValue.text(record.since),
        "release_number": dg.MetadataValue.int(record.number),
    }
