"""The sweep job of one model: lists what nothing needs any more and, if asked to, deletes it."""

import dagster as dg

from mc_assets.automation.orphans import Orphan, OrphanSearch
from mc_assets.automation.runs import Runs
from mc_assets.model_settings import ModelSettings
from mc_assets.resources.artifact_store import ArtifactStore
from mc_assets.resources.azure_functions import AzureFunctions
from mc_assets.resources.azure_group import ResourceGroup
from mc_assets.resources.training import SageMakerTraining
from mc_assets.resources.training_jobs import TrainingJobs
from mc_assets.retrying import retried


class SweepRun(dg.Config):
    """Choices for one sweep."""

    delete: bool = False
    """Delete what is listed; without it, nothing is touched."""


def build_sweep_job(model: ModelSettings, prefix: str) -> dg.JobDefinition:
    @dg.op(
        name=f"{prefix}sweep_orphans",
        out=dg.Out(io_manager_key="nothing_kept"),
        description="List what nothing needs any more, with why and since when; with `delete`, "
        "delete it.",
    )
    @retried
    def sweep_orphans(
        context: dg.OpExecutionContext,
        config: SweepRun,
        artifact_store: ArtifactStore,
        sagemaker: SageMakerTraining,
        azure_functions: AzureFunctions,
    ) -> list[str]:
        hosting = model.hosting_in(artifact_store.target.connection.subscription_id)
        orphans = OrphanSearch(
            model,
            artifact_store,
            TrainingJobs(sagemaker.pipes_client(), model.name),
            ResourceGroup(azure_functions, hosting),
            Runs(context.instance, model.name, context.run.run_id),
            context.log.info,
        ).all()
        context.add_output_metadata(
            {
                "orphans": dg.MetadataValue.table([orphan.row for orphan in orphans], SCHEMA),
                "count": len(orphans),
                "deleted": len(orphans) if config.delete else 0,
            }
        )
        if config.delete:
            _delete(context, orphans)
        else:
            for orphan in orphans:
                context.log.info(f"{orphan}: {orphan.why}.")
            context.log.info(f"Listed {len(orphans)}, touched none: `delete: true` removes them.")
        return [str(orphan) for orphan in orphans]

    @dg.job(
        name=f"{prefix}sweep",
        executor_def=dg.in_process_executor,
        description=f"List what {model.name} has on AWS and Azure that nothing needs any more: "
        "training jobs of runs that have ended, apps that are not in use, S3 objects that nothing "
        "refers to. Deletes them only with `delete: true`.",
    )
    def sweep() -> None:
        sweep_orphans()

    return sweep


SCHEMA = dg.TableSchema(columns=[dg.TableColumn(name) for name in ("kind", "name", "why", "since")])


def _delete(context: dg.OpExecutionContext, orphans: list[Orphan]) -> None:
    """Delete them all, going on where one cannot be.

    Raises:
        dagster.Failure: some could not be deleted; names each with why.
    """
    problems = {}
    for orphan in orphans:
        try:
            orphan.remove()
        except dg.Failure as failure:
            problems[str(orphan)] = str(failure.description)
            context.log.warning(f"{orphan} was not removed: {failure.description}")
        else:
            context.log.info(f"Removed {orphan}: {orphan.why}.")
    if problems:
        listed = " ".join(f"{orphan}: {problem}" for orphan, problem in problems.items())
        raise dg.Failure(
            f"{len(problems)} of {len(orphans)} orphans were not removed; run the sweep again once "
            f"what stands in the way is gone. {listed}",
            metadata={"orphans": dg.MetadataValue.table([each.row for each in orphans], SCHEMA)},
            allow_retries=False,
        )
