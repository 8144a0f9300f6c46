"""The Pipes client for SageMaker training jobs, against the local SageMaker's real jobs."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sagemaker_lab import SAVE, WAIT, Lab

from graph_runs import Ran
from mc_assets.resources.artifact_store import ArtifactStore
from mc_assets.resources.sagemaker import FAILURES, MISSES

THROTTLED = ("ThrottlingException", "Rate exceeded")
NOT_FOUND = ("ValidationException", "Requested resource not found.")
EXPIRED = ("ExpiredTokenException", "The security token included in the request is expired")
# Takes its time to end when it is stopped, as one that saves its last checkpoint does.
LINGER = f"import signal; signal.signal(signal.SIGTERM, lambda *_: None)\n{WAIT}{SAVE}"
RETRIES = dg.RetryPolicy(max_retries=2)
PIPES = """
import boto3
from dagster_pipes import PipesS3ContextLoader, open_dagster_pipes
with open_dagster_pipes(context_loader=PipesS3ContextLoader(client=boto3.client("s3"))) as pipes:
    pipes.log.info(f"the script knows the asset {pipes.asset_key}")
    pipes.report_asset_materialization(metadata={"loss": 0.25}, data_version="v7")
"""


@pytest.fixture
def lab(store: ArtifactStore, tmp_path: Path, request: pytest.FixtureRequest) -> Lab:
    return Lab.of(store, request.node.nodeid, tmp_path)


def failure(ran: Ran) -> str:
    assert not ran.success
    return ran.failure("trained")


def test_a_job_is_trained_once_and_adopted_by_the_next_run(lab: Lab) -> None:
    first = lab.run(SAVE)
    assert first.success
    assert first.metadata("trained", "job") == "trained"
    assert first.metadata("trained", "job_name") == f"{lab.base_name}-1"
    second = lab.run(SAVE)
    assert second.success
    assert second.metadata("trained", "job") == "adopted"
    assert lab.jobs == {"1": "Completed"}


def test_a_completed_job_whose_model_is_gone_is_not_adopted(lab: Lab) -> None:
    assert lab.run(SAVE).success
    assert lab.run(SAVE, is_usable=lambda job: not job["TrainingJobName"].endswith("-1")).success
    assert lab.jobs == {"1": "Completed", "2": "Completed"}


def test_a_failed_job_says_why_is_not_retried_and_the_next_run_tries_again(
    lab: Lab, tmp_path: Path
) -> None:
    script = f"{SAVE}\nif not os.path.exists(os.environ['GATE']): raise ValueError('no such digit')"
    ran = lab.run(script, retry_policy=RETRIES)
    message = failure(ran)
    assert f"Training job {lab.base_name}-1 ended Failed: AlgorithmError" in message
    assert "ValueError: no such digit" in message
    assert lab.jobs == {"1": "Failed"}
    told = ran.result.failure_data_for_node("trained")
    assert told is not None
    assert told.user_failure_data is not None
    page = str(told.user_failure_data.metadata["sagemaker_console"].value)
    assert page.endswith(f"/_console/jobs/{lab.base_name}-1")

    (tmp_path / "gate").touch()
    assert lab.run(script, retry_policy=RETRIES).success
    assert lab.jobs == {"1": "Failed", "2": "Completed"}


def test_a_job_under_way_is_attached_to(lab: Lab, tmp_path: Path) -> None:
    lab.create(WAIT + SAVE)
    lab.when_training(lambda _: (tmp_path / "gate").touch())
    ran = lab.run(WAIT + SAVE)
    assert ran.success
    assert ran.metadata("trained", "job") == "attached"
    assert any("attached to it" in line for line in ran.messages)
    assert "[training] waiting" in ran.messages
    assert lab.jobs == {"1": "Completed"}


def test_a_job_that_another_run_starts_in_between_is_attached_to(lab: Lab) -> None:
    def faster(**_: Any) -> None:
        if not lab.jobs:
            lab.create(SAVE)

    lab.pipes.client.meta.events.register("before-call.sagemaker.CreateTrainingJob", faster)
    ran = lab.run(SAVE)
    assert ran.success
    assert ran.metadata("trained", "job") == "attached"
    assert lab.jobs == {"1": "Completed"}


def test_a_stopped_job_is_no_success(lab: Lab) -> None:
    lab.when_training(lambda name: lab.client.stop_training_job(TrainingJobName=name))
    message = failure(lab.run(WAIT, retry_policy=RETRIES))
    assert message == (
        f"Training job {lab.base_name}-1 ended Stopped: Stopped. Somebody stopped it: run again to "
        "train anew."
    )
    assert lab.jobs == {"1": "Stopped"}


def test_a_job_beyond_its_time_is_no_success(lab: Lab) -> None:
    message = failure(lab.run(WAIT, retry_policy=RETRIES, max_runtime=1))
    assert message.startswith(
        f"Training job {lab.base_name}-1 ended Stopped: MaxRuntimeExceeded. It ran for longer"
    )
    assert lab.jobs == {"1": "Stopped"}


def test_a_refusal_carries_sagemakers_words(lab: Lab) -> None:
    role = "arn:aws:iam::123456789012:role/nobody"
    ran = lab.run(SAVE, retry_policy=RETRIES, RoleArn=role)
    message = failure(ran)
    assert f"AWS refused training job {lab.base_name}-1: Could not assume role {role}" in message
    assert lab.jobs == {}


def test_lines_and_phases_reach_the_runs_log_once_and_in_order(lab: Lab) -> None:
    epochs = [f"epoch {number} of 3 train_loss=0.{number}" for number in (1, 2, 3)]
    ran = lab.run("".join(f"print({line!r})\n" for line in epochs) + SAVE)
    spoken = [line for line in ran.messages if line.startswith("[training] ")]
    assert spoken == [f"[training] {line}" for line in epochs]
    prefix = f"Training job {lab.base_name}-1: "
    phases = [line.removeprefix(prefix) for line in ran.messages if line.startswith(prefix)]
    names = [phase.partition(" - ")[0] for phase in phases]
    assert names == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    job = lab.client.describe_training_job(TrainingJobName=f"{lab.base_name}-1")
    measured = {metric["MetricName"]: metric["Value"] for metric in job["FinalMetricDataList"]}
    assert measured == {"train_loss": pytest.approx(0.3)}


def test_a_script_may_speak_pipes(lab: Lab) -> None:
    ran = lab.run(PIPES + SAVE)
    assert ran.success, ran.messages[-20:]
    assert ran.metadata("trained", "loss") == 0.25
    assert ran.data_version("trained") == "v7"
    assert "the script knows the asset trained" in "\n".join(ran.messages)
    assert not any("__dagster_pipes_version" in line for line in ran.messages)


def test_a_job_whose_creation_was_not_answered_is_attached_to(lab: Lab) -> None:
    def lost() -> tuple[str, str]:
        lab.create(SAVE)
        return "InternalFailure", "The request processing has failed."

    lab.answer("CreateTrainingJob", lost)
    ran = lab.run(SAVE)
    assert ran.success
    assert ran.metadata("trained", "job") == "attached"
    assert lab.jobs == {"1": "Completed"}


def test_a_job_that_is_being_stopped_is_waited_for_before_the_next_attempt(lab: Lab) -> None:
    def stopping(job: dict[str, Any]) -> None:
        if job.get("TrainingJobStatus") == "Stopping":
            lab.gate.touch()

    stopped_while_it_lingers(lab)
    lab.when_told(stopping)
    ran = lab.run(LINGER)
    assert ran.success
    assert f"Training job {lab.base_name}-1 is being stopped: waiting for its end." in ran.messages
    assert lab.jobs == {"1": "Stopped", "2": "Completed"}
    first, second = (
        lab.client.describe_training_job(TrainingJobName=f"{lab.base_name}-{attempt}")
        for attempt in (1, 2)
    )
    assert first["TrainingEndTime"] <= second["CreationTime"]


def stopped_while_it_lingers(lab: Lab) -> None:
    name = lab.create(LINGER)
    started = Path(lab.environment["STARTED"])
    while not started.exists():
        assert lab.jobs == {"1": "InProgress"}
    lab.client.stop_training_job(TrainingJobName=name)


def goes_on(lab: Lab) -> str:
    return (
        f" Training job {lab.base_name}-1 may go on, and is paid for while it does: the next run "
        "attaches to it."
    )


def test_a_creation_of_which_nothing_is_known_says_so_and_is_not_repeated(lab: Lab) -> None:
    def lost() -> tuple[str, str]:
        lab.create(WAIT + SAVE)
        created.append(lab.base_name)
        return "InternalFailure", "The request processing has failed."

    created: list[str] = []
    lab.answer("CreateTrainingJob", lost)
    lab.answer("DescribeTrainingJob", lambda: THROTTLED if created else None)
    message = failure(lab.run(WAIT + SAVE, retry_policy=RETRIES))
    assert message.endswith(goes_on(lab))
    assert created == [lab.base_name]
    assert lab.jobs == {"1": "InProgress"}
    lab.gate.touch()


def once_training(lab: Lab, answers: list[tuple[str, str]]) -> None:
    """Have the descriptions refused like this in turn, from when the job is known to train."""
    begun: list[str] = []
    lab.when_training(begun.append)
    lab.answer("DescribeTrainingJob", lambda: answers.pop(0) if begun and answers else None)


@pytest.mark.parametrize(
    "answers",
    [
        [THROTTLED] * (FAILURES - 1),
        [NOT_FOUND] * (MISSES - 1),
        [THROTTLED] * (FAILURES - 1) + [NOT_FOUND] * (MISSES - 1),
    ],
    ids=["throttled", "stale", "both"],
)
def test_descriptions_that_fail_for_a_while_are_outlived(
    lab: Lab, answers: list[tuple[str, str]]
) -> None:
    waited = answers.count(THROTTLED)
    lab.when_training(lambda _: lab.gate.touch())
    once_training(lab, answers)
    ran = lab.run(WAIT + SAVE)
    assert ran.success
    assert not answers
    assert len([line for line in ran.messages if "Rate exceeded" in line]) == waited
    assert lab.jobs == {"1": "Completed"}


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([THROTTLED] * FAILURES, "Rate exceeded. AWS asked for fewer calls."),
        ([EXPIRED], "is expired. The credentials have run out: renew them, then run again."),
        ([("404", "Not Found")], "Not Found. "),
    ],
    ids=["throttled", "expired", "a proxy's page"],
)
def test_a_run_that_loses_sight_of_its_job_says_that_it_goes_on(
    lab: Lab, answers: list[tuple[str, str]], why: str
) -> None:
    once_training(lab, answers)
    message = failure(lab.run(WAIT + SAVE, retry_policy=RETRIES))
    assert not answers
    assert message.startswith(f"AWS refused the description of training job {lab.base_name}-1: ")
    assert why in message
    assert message.endswith(goes_on(lab))
    assert lab.jobs == {"1": "InProgress"}

    lab.when_training(lambda _: lab.gate.touch())
    ran = lab.run(WAIT + SAVE)
    assert ran.metadata("trained", "job") == "attached"
    assert lab.jobs == {"1": "Completed"}


def test_a_line_that_only_looks_like_pipes_leaves_a_word_on_the_job(lab: Lab) -> None:
    line = '{"__dagster_pipes_version": "0.1", "method": "sing", "params": null}'
    message = failure(lab.run(f"print({line!r}, flush=True){WAIT}{SAVE}", retry_policy=RETRIES))
    assert "Unknown message method: sing" in message
    assert message.endswith(goes_on(lab))
    assert lab.jobs == {"1": "InProgress"}
    lab.gate.touch()


def test_a_job_that_was_deleted_is_no_success(lab: Lab) -> None:
    def delete(name: str) -> None:
        lab.client.stop_training_job(TrainingJobName=name)
        lab.client.get_waiter("training_job_completed_or_stopped").wait(
            TrainingJobName=name, WaiterConfig={"Delay": 1}
        )
        lab.client.delete_training_job(TrainingJobName=name)

    lab.when_training(delete)
    assert failure(lab.run(WAIT, retry_policy=RETRIES)) == (
        f"Training job {lab.base_name}-1 has vanished. It was deleted while this run waited for "
        "it: run again to train anew."
    )
    assert lab.jobs == {}


def test_a_status_that_nobody_knows_ends_the_run_and_starts_no_other_job(lab: Lab) -> None:
    def paused(job: dict[str, Any]) -> None:
        if job.get("TrainingJobStatus") == "Completed":
            job["TrainingJobStatus"] = "Paused"

    lab.when_told(paused)
    told = f"Training job {lab.base_name}-1 is Paused. This is unknown here: look at it in the "
    assert failure(lab.run(SAVE, retry_policy=RETRIES)).startswith(told)
    assert failure(lab.run(SAVE, retry_policy=RETRIES)).startswith(told)
    assert lab.jobs == {"1": "Completed"}


def test_spot_capacity_that_is_taken_back_is_no_end(lab: Lab) -> None:
    def interrupted(job: dict[str, Any]) -> None:
        transitions = job.get("SecondaryStatusTransitions", [])
        for place, transition in enumerate(transitions):
            if transition["Status"] == "Uploading":
                transitions[place] = {"Status": "Interrupted", "StatusMessage": "Interrupted"}

    lab.when_told(interrupted)
    ran = lab.run(SAVE)
    assert ran.success
    assert (
        f"Training job {lab.base_name}-1: Interrupted - Interrupted - its spot capacity was taken "
        "back; it goes on when there is some again"
    ) in ran.messages
