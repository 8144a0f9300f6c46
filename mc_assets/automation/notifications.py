"""The notifications sensor: what failed in a run that has ended is posted to a webhook, once."""

import os
from collections.abc import Collection, Iterator, Sequence

import dagster as dg
from dagster._core.errors import DagsterAssetCheckFailedError

from mc_assets.automation_settings import Notifications
from mc_assets.failure_text import failure_text
from mc_assets.model_settings import ModelSettings

ENDINGS = (dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_SUCCESS)
TELLING = {
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.RUN_FAILURE,
}
RUNS_AT_ONCE = 20
LONGEST_REASON = 400  # characters
SECONDS = (5, 15)  # for a connection, for an answer
INTERVAL_SECONDS = 30


class NotificationError(Exception):
    """What failed could not be told; the text says why, without the webhook's URL."""


def build_notifications(
    model: ModelSettings, prefix: str, jobs: Collection[str]
) -> list[dg.SensorDefinition]:
    """The sensor, if the model has one.

    Args:
        jobs: names of the model's own jobs, whose steps do not all begin with its name.
    """
    choice = model.automation.notifications
    if choice is None:
        return []

    # Not Dagster's run_failure_sensor: it goes on to the next run when its function fails, and what
    # it had to say is lost. Here the cursor moves only once the webhook has taken the message.
    @dg.sensor(
        name=f"{prefix}notifications",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description=f"Posts to a webhook what failed in runs of {model.name}: steps and checks.",
    )
    def notifications(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        if context.cursor is None:
            context.update_cursor(str(_newest(context.instance)))
            return dg.SkipReason("Tells of runs that end from now on.")
        ended = _ended_after(context.instance, int(context.cursor))
        if not ended:
            return dg.SkipReason("No run has ended.")
        told = [message(context.instance, record, model, jobs, choice.ui) for record in ended]
        messages = [text for text in told if text]
        if messages:
            # One body for all: of several, one that failed would have the others told twice.
            post(choice, "\n\n".join(messages))
        context.update_cursor(str(ended[-1].storage_id))
        return dg.SkipReason(f"Of {len(ended)} runs that have ended, told of {len(messages)}.")

    return [notifications]


def message(
    instance: dg.DagsterInstance,
    ended: dg.EventLogRecord,
    model: ModelSettings,
    jobs: Collection[str],
    ui: str | None,
) -> str:
    """What there is to tell of a run that has ended, in Slack's way of writing; may be nothing."""
    run = instance.get_run_by_id(ended.run_id)
    if run is None:  # deleted meanwhile
        return ""
    events = [
        entry.dagster_event
        for entry in instance.all_logs(run.run_id, of_type=TELLING)
        if entry.dagster_event
    ]
    is_own = run.job_name in jobs
    steps = [event for event in events if is_own or _is_about(event, model)]
    problems = [problem for event in steps for problem in _problems(event)]
    has_failed = run.status is dg.DagsterRunStatus.FAILURE
    if has_failed and not problems and (is_own or _is_chosen(run, model)):
        problems = [event.message or "" for event in events if event.is_run_failure]
    if not problems:
        return ""
    name = f"run {run.run_id[:8]}"
    link = f"<{ui.rstrip('/')}/runs/{run.run_id}|{name}>" if ui else name
    how = "failed" if has_failed else "has ended well, but for"
    lines = [f"{model.name}: {link} of {_escaped(run.job_name)} {how}:"]
    return "\n".join([*lines, *(f"• {_escaped(_shortened(problem))}" for problem in problems)])


def post(choice: Notifications, text: str) -> None:
    """Hand a message to the webhook.

    Raises:
        NotificationError: it was not taken; the sensor's next tick tries again.
    """
    import requests

    url = os.environ.get(choice.webhook)
    if not url:
        raise NotificationError(
            f"The environment variable {choice.webhook}, which `notifications.webhook` in "
            "defs.yaml names, is not set: set it to the webhook's URL where Dagster runs."
        )
    problem = ""
    try:
        # Whoever has the URL may post: it is sent nowhere else, and is in no error, for which
        # reason none of requests' own is raised, nor is the one raised below caused by it.
        answer = requests.post(url, json={"text": text}, timeout=SECONDS, allow_redirects=False)
        if not 200 <= answer.status_code < 300:
            problem = f"it answered {answer.status_code}"
    except (requests.RequestException, ValueError) as error:
        problem = type(error).__name__
    if problem:
        raise NotificationError(
            f"The webhook that {choice.webhook} names did not take the message ({problem}): it is "
            "posted again at the next tick; if it stays so, look whether its URL still holds."
        )


def _newest(instance: dg.DagsterInstance) -> int:
    newest = [
        record.storage_id
        for ending in ENDINGS
        for record in instance.fetch_run_status_changes(ending, limit=1).records
    ]
    return max(newest, default=-1)


def _ended_after(instance: dg.DagsterInstance, cursor: int) -> Sequence[dg.EventLogRecord]:
    """The next runs that have ended, in the order in which they did."""
    found = [
        record
        for ending in ENDINGS
        for record in instance.fetch_run_status_changes(
            dg.RunStatusChangeRecordsFilter(ending, after_storage_id=cursor),
            limit=RUNS_AT_ONCE,
            ascending=True,
        ).records
    ]
    return sorted(found, key=lambda record: record.storage_id)[:RUNS_AT_ONCE]


def _problems(event: dg.DagsterEvent) -> Iterator[str]:
    if event.is_step_failure:
        error = event.step_failure_data.error
        # The step of a blocking check that did not pass fails too, and says less than the check.
        if error is None or error.cls_name != DagsterAssetCheckFailedError.__name__:
            yield f"{event.step_key}: {failure_text(event)}"
    elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        evaluation = event.asset_check_evaluation_data
        if not evaluation.passed:
            asset = evaluation.asset_key.to_user_string()
            level = "failed" if evaluation.severity is dg.AssetCheckSeverity.ERROR else "warns"
            why = f": {evaluation.description}" if evaluation.description else "."
            yield f"{asset}: check {evaluation.check_name} {level}{why}"


def _is_about(event: dg.DagsterEvent, model: ModelSettings) -> bool:
    """By the step's name: a run may work on several models."""
    return (event.step_key or "").startswith(f"{model.name}__")


def _is_chosen(run: dg.DagsterRun, model: ModelSettings) -> bool:
    checked = {check.asset_key for check in run.asset_check_selection or ()}
    return any(key.path[0] == model.name for key in {*(run.asset_selection or ()), *checked})


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}..."


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
