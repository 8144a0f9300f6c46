"""The schedules of one model: its retraining, and the checks of what serves users."""

from typing import TYPE_CHECKING

import dagster as dg

from mc_assets.automation.runs import Runs
from mc_assets.model_settings import ModelSettings
from mc_assets.stages import live_endpoint, source, trained_model

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )


def build_retraining(
    model: ModelSettings, prefix: str, assets: list[dg.AssetsDefinition]
) -> list[dg.ScheduleDefinition]:
    choice = model.automation.retraining
    if choice is None:
        return []
    keys = [asset.key for asset in assets]
    job = dg.define_asset_job(
        f"{prefix}retraining",
        selection=dg.AssetSelection.assets(*keys),
        description=f"Everything of {model.name}, from its dataset's source to the live endpoint.",
    )
    step = "__".join(trained_model.key_of(model).path)
    config = {"ops": {step: {"config": {"retrain": True}}}} if choice.retrain else {}
    # What a run was to make is not made again on account of it: `on_change` goes by the selection.
    request = dg.RunRequest(run_config=config, asset_selection=keys)
    return [_schedule(model, prefix, job, choice.cron, choice.timezone, request)]


def build_live_check(model: ModelSettings, prefix: str) -> list[dg.ScheduleDefinition]:
    choice = model.automation.live_check
    if choice is None:
        return []
    job = dg.define_asset_job(
        f"{prefix}live_check",
        selection=dg.AssetSelection.checks_for_assets(live_endpoint.key_of(model)),
        description=f"The checks of {model.name}'s live endpoint, without materialising anything.",
    )
    return [_schedule(model, prefix, job, choice.cron, choice.timezone, dg.RunRequest())]


def _schedule(
    model: ModelSettings,
    prefix: str,
    job: "UnresolvedAssetJobDefinition",
    cron: str,
    timezone: str,
    request: dg.RunRequest,
) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=job.name,
        job=job,
        cron_schedule=cron,
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=f"{job.description} Left out while another run changes {model.name}.",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        busy = under_way(context.instance, model, prefix)
        if busy is None:
            return request
        return dg.SkipReason(
            f"Run {busy.run_id[:8]} of {busy.job_name} is still under way: left out this time."
        )

    return schedule


def under_way(
    instance: dg.DagsterInstance, model: ModelSettings, prefix: str
) -> dg.DagsterRun | None:
    """A run that changes something of the model, or waits for its turn to."""
    harmless = {f"{prefix}{job}" for job in ("checks", "live_check", "sweep")}
    looks = {source.key_of(model)}  # at full hours, as a schedule may be due
    found = (
        run
        for run in Runs(instance, model.name, own_run_id="").under_way()
        # A command that was killed between writing its run down and starting it left one that
        # never will: it would keep every later tick away.
        if run.status is not dg.DagsterRunStatus.NOT_STARTED
        and run.job_name not in harmless
        and run.asset_selection != looks
    )
    return next(found, None)
