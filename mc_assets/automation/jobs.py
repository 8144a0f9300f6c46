"""The jobs of one model: its checks alone, and the teardown of what it made on Azure."""

from typing import TYPE_CHECKING

import dagster as dg

from mc_assets.model_settings import ModelSettings
from mc_assets.resources.azure_functions import AzureFunctions
from mc_assets.target import CloudTarget

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )


def build_checks_job(
    model: ModelSettings, prefix: str, checks: list[dg.AssetChecksDefinition]
) -> "UnresolvedAssetJobDefinition":
    return dg.define_asset_job(
        f"{prefix}checks",
        selection=dg.AssetSelection.checks(*checks),
        description=f"Every asset check of {model.name}, without materialising anything. Fails "
        "when a blocking check fails.",
    )


def build_teardown_job(model: ModelSettings, prefix: str) -> dg.JobDefinition:
    @dg.op(
        name=f"{prefix}delete_azure_resources",
        out=dg.Out(io_manager_key="nothing_kept"),
        description="Delete the model's resource group and everything in it.",
    )
    def delete_azure_resources(
        context: dg.OpExecutionContext, target: CloudTarget, azure_functions: AzureFunctions
    ) -> list[str]:
        hosting = model.hosting_in(target.connection.subscription_id)
        removed = azure_functions.delete_group(hosting)
        for resource in removed:
            context.log.info(f"Removed {resource}")
        if not removed:
            context.log.info(f"There is no resource group {hosting.group_name}: nothing to remove.")
        context.add_output_metadata({"removed": removed, "count": len(removed)})
        return removed

    @dg.job(
        name=f"{prefix}teardown",
        executor_def=dg.in_process_executor,
        description=f"Delete everything {model.name} has on Azure. S3 keeps the artifacts.",
    )
    def teardown() -> None:
        delete_azure_resources()

    return teardown
