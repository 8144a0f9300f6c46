"""The jobs of one model: its checks alone, and the teardown of all that it runs."""

from typing import TYPE_CHECKING

import dagster as dg

from mc_assets.model_settings import ModelSettings
from mc_assets.resources.artifact_store import ArtifactStore, places_of
from mc_assets.resources.azure_group import ResourceGroup
from mc_assets.resources.release_pool import in_turn
from mc_assets.resources.releases import Releases
from mc_assets.resources.training import SageMakerTraining
from mc_assets.resources.training_jobs import TrainingJobs
from mc_assets.retrying import retried

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
        name=f"{prefix}stop_training_jobs",
        out=dg.Out(io_manager_key="nothing_kept"),
        description="Stop the model's training jobs that are in progress.",
    )
    @retried
    def stop_training_jobs(
        context: dg.OpExecutionContext, artifact_store: ArtifactStore, sagemaker: SageMakerTraining
    ) -> list[str]:
        jobs = TrainingJobs(sagemaker.pipes_client(), model.name)
        stopped = [job.name for job in jobs.in_progress()]
        for name in stopped:
            jobs.stop(name)
            context.log.info(f"Stopped training job {name}.")
        kept = [artifact_store.uri(place) for place in places_of(model.name)]
        for uri in kept:
            context.log.info(f"S3 keeps {uri}: `aws s3 rm --recursive {uri}` deletes it.")
        context.add_output_metadata({"stopped": stopped, "kept": kept})
        return stopped

    @dg.op(
        name=f"{prefix}delete_azure_resources",
        out=dg.Out(io_manager_key="nothing_kept"),
        pool=model.release_pool,
        description="Delete the model's resource group and everything in it; if others have "
        "something in it, all that is the model's.",
    )
    @retried
    @in_turn(model.release_pool)
    def delete_azure_resources(context: dg.OpExecutionContext, releases: Releases) -> list[str]:
        hosting = model.hosting_in(releases.azure.target.connection.subscription_id)
        removed = ResourceGroup(releases.azure, hosting).delete_all(context.log.info)
        for resource in removed:
            context.log.info(f"Removed {resource}")
        if not removed:
            context.log.info(f"There is no resource group {hosting.group_name}: nothing to remove.")
        context.add_output_metadata({"removed": removed, "count": len(removed)})
        return removed

    @dg.job(
        name=f"{prefix}teardown",
        executor_def=dg.in_process_executor,
        description=f"Stop what {model.name} trains and delete everything it has on Azure. S3 "
        "keeps the artifacts; the log says where. Can be run again wherever it stopped.",
    )
    def teardown() -> None:
        stop_training_jobs()
        delete_azure_resources()

    return teardown
