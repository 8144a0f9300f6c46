"""The staged_endpoint asset: the package running out of users' sight, and its checks."""

from collections.abc import Iterator

import dagster as dg

from mc_assets.artifacts import FunctionPackage, StagedEndpoint
from mc_assets.code_version import code_version
from mc_assets.gates import Finding, judged, require_passed
from mc_assets.model_settings import ModelSettings
from mc_assets.resources.artifact_store import ArtifactStore
from mc_assets.resources.release_pool import in_turn
from mc_assets.resources.releases import Candidate, Release, Releases
from mc_assets.retrying import retried
from mc_assets.stages import endpoint_checks
from mc_assets.stages import function_package as function_package_stage
from mc_assets.stages.tracing import code, traced

RELEASE_CODE = (
    "hosting.py",
    "resources/releases.py",
    "resources/azure_functions.py",
    "resources/scm.py",
    "resources/endpoint_client.py",
)


class ReleaseRun(dg.Config):
    """Choices for one run of a release stage."""

    redeploy: bool = False
    """Deploy even where the app serves this package already."""
    override_reason: str = ""
    """Go on in spite of failed, missing or outdated verdicts; said in the log and kept with why."""


def key_of(model: ModelSettings) -> dg.AssetKey:
    return dg.AssetKey([model.name, StagedEndpoint.asset])


def build_asset(model: ModelSettings) -> dg.AssetsDefinition:
    @dg.asset(
        key=key_of(model),
        ins={"function_package": dg.AssetIn(key=function_package_stage.key_of(model))},
        group_name=model.name,
        kinds={"azure", "azurefunctions"},
        tags={"cloud": "azure", "step": "staging"},
        metadata=code(__file__, model.function_app / "function_app.py"),
        owners=list(model.owners),
        code_version=code_version(
            "stages/staged_endpoint.py",
            *RELEASE_CODE,
            extra=repr(model.hosting),
        ),
        description="The package running in Azure Functions **where no user calls it**: in a slot, "
        "or in a staging app. Refused unless every blocking check passed on exactly the versions "
        "that it is made of.",
        pool=model.release_pool,
    )
    @retried
    @in_turn(model.release_pool)
    def staged_endpoint(
        context: dg.AssetExecutionContext,
        config: ReleaseRun,
        function_package: FunctionPackage,
        artifact_store: ArtifactStore,
        releases: Releases,
    ) -> dg.MaterializeResult[StagedEndpoint]:
        key = key_of(model).to_user_string()
        admission = require_passed(
            artifact_store,
            model,
            function_package,
            f"Staging package {function_package.version[:12]}",
            context.log.warning,
            override_reason=config.override_reason,
        )
        hosting = model.hosting_in(artifact_store.target.connection.subscription_id)
        candidate = Candidate(
            artifact_store.read(function_package.package), function_package.content_version
        )
        release = releases.stage(hosting, candidate, config.redeploy, context.log.info)
        record = StagedEndpoint(
            version=function_package.version,
            lineage={**function_package.lineage, key: function_package.version},
            resource_group=release.app.group,
            app=release.app.name,
            slot=release.app.slot,
            url=release.app.url,
            content_version=function_package.content_version,
            package=function_package.package,
            model=function_package.model,
            job_arn=function_package.job_arn,
        )
        return dg.MaterializeResult(
            value=record,
            data_version=dg.DataVersion(record.version),
            metadata={
                **release_metadata(release),
                **traced(artifact_store, record),
                "size_bytes": record.package.size,
                **admission.metadata,
            },
        )

    return staged_endpoint


def build_checks(model: ModelSettings) -> Iterator[dg.AssetChecksDefinition]:
    key = key_of(model)

    @dg.asset_check(
        asset=key,
        name="rejects_bad_input",
        description="A wrong shape, text and a wrong key are refused as they should be.",
    )
    @retried
    def rejects_bad_input(
        context: dg.AssetCheckExecutionContext,
        staged_endpoint: StagedEndpoint,
        artifact_store: ArtifactStore,
        releases: Releases,
    ) -> dg.AssetCheckResult:
        refusals = endpoint_checks.refusals(releases.client(staged_endpoint))
        told = {
            name: f"{status}, expected {expected}" for name, (expected, status) in refusals.items()
        }
        wrong = [
            f"{name} got {told[name]}"
            for name, (expected, status) in refusals.items()
            if status != expected
        ]
        problem = f"Bad calls were not refused as they should be: {'; '.join(wrong)}."
        finding = Finding("rejects_bad_input", not wrong, told, problem if wrong else None)
        return judged(context, artifact_store, model, staged_endpoint, finding)

    # What would fail the bake is kept from it; users' own, stricter limit is the live endpoint's.
    limit = model.gates.bake_max_latency_p95_ms
    yield from endpoint_checks.build_shared_checks(model, key, limit, latency_blocks=True)
    yield rejects_bad_input


def release_metadata(release: Release) -> dict[str, dg.MetadataValue]:
    """What the UI shows of either release stage."""
    metadata: dict[str, dg.MetadataValue] = {
        "health": dg.MetadataValue.url(f"{release.app.url}/api/health"),
        "app": dg.MetadataValue.text(release.app.label),
        "release": dg.MetadataValue.text(release.how),
        "warm_up_seconds": dg.MetadataValue.float(round(release.warm_up_seconds, 2)),
    }
    if release.deployment:
        metadata["deployment_id"] = dg.MetadataValue.text(release.deployment.id)
        metadata["deployment_seconds"] = dg.MetadataValue.float(
            round(release.deployment.seconds, 2)
        )
    return metadata
