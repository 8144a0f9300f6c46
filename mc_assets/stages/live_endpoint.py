"""The live_endpoint asset: the package serving users, and its checks."""

from collections.abc import Iterator

import dagster as dg

from mc_assets.artifacts import LiveEndpoint, StagedEndpoint, StoredObject
from mc_assets.code_version import code_version
from mc_assets.gates import judged, require_passed
from mc_assets.model_settings import ModelSettings
from mc_assets.resources.artifact_store import ArtifactStore
from mc_assets.resources.endpoint_client import serving
from mc_assets.resources.releases import Candidate, Releases
from mc_assets.stages import endpoint_checks
from mc_assets.stages import staged_endpoint as staged_endpoint_stage
from mc_assets.stages.staged_endpoint import RELEASE_CODE, ReleaseRun, gates_table, release_metadata


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
            *RELEASE_CODE,
            extra=repr(model.hosting),
        ),
        description="The package serving users. Refused unless every blocking check passed on "
        "exactly these versions, the staged endpoint's included.",
    )
    def live_endpoint(
        context: dg.AssetExecutionContext,
        config: ReleaseRun,
        staged_endpoint: StagedEndpoint,
        artifact_store: ArtifactStore,
        releases: Releases,
    ) -> dg.MaterializeResult[LiveEndpoint]:
        gates = require_passed(
            artifact_store,
            staged_endpoint.lineage,
            f"Releasing package {staged_endpoint.version[:12]}",
        )
        _require_staged(releases, staged_endpoint)
        hosting = model.hosting_in(artifact_store.target.connection.subscription_id)
        candidate = Candidate(
            artifact_store.read(staged_endpoint.package), staged_endpoint.content_version
        )
        release = releases.promote(hosting, candidate, config.redeploy, context.log.info)
        record = LiveEndpoint(
            version=staged_endpoint.version,
            lineage={
                **staged_endpoint.lineage,
                key_of(model).to_user_string(): staged_endpoint.version,
            },
            resource_group=release.app.group,
            app=release.app.name,
            slot=None,
            url=release.app.url,
            content_version=staged_endpoint.content_version,
            package=staged_endpoint.package,
            model=staged_endpoint.model,
            previous=_previous(model, artifact_store, staged_endpoint),
        )
        return dg.MaterializeResult(
            value=record,
            data_version=dg.DataVersion(record.version),
            metadata={
                **release_metadata(release),
                "classify": dg.MetadataValue.url(f"{record.url}/api/classify"),
                "model_sha256": record.model.sha256,
                "content_version": record.content_version,
                "lineage": dg.MetadataValue.table(
                    [
                        dg.TableRecord({"asset": asset, "version": version})
                        for asset, version in record.lineage.items()
                    ]
                ),
                "gates": gates_table(gates),
            },
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

    yield from endpoint_checks.build_shared_checks(model, key)
    yield serves_promoted_version


def _require_staged(releases: Releases, staged: StagedEndpoint) -> None:
    """A verdict is about a package; that it still runs where it was tried is asked now."""
    _, url = releases.whereabouts(staged)
    found = serving(url)
    if found != staged.content_version:
        raise dg.Failure(
            f"{staged.url} serves {(found or 'nothing')[:12]}, not the staged package "
            f"{staged.content_version[:12]}: materialise staged_endpoint again.",
            allow_retries=False,
        )


def _previous(
    model: ModelSettings, store: ArtifactStore, staged: StagedEndpoint
) -> StoredObject | None:
    """The package live before this one; releasing the same version again keeps the older."""
    last = store.latest(key_of(model), LiveEndpoint)
    if last is None:
        return None
    return last.previous if last.version == staged.version else last.package
