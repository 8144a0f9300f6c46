"""The Pipes client for SageMaker training jobs, against the local SageMaker's real jobs."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import psutil
import pytest
from sagemaker_lab import SAVE, WAIT, Lab

from graph_runs import Ran
from mc_assets.ownership import RUN_TAG
from mc_assets.resources.artifact_store import ArtifactStore

TESTS = Path(__file__).parent.parent
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
    """Training under a job name of this test's own; GATE and STARTED are files in its folder."""
    digits = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]
    files = {"GATE": str(tmp_path / "gate"), "STARTED": str(tmp_path / "started")}
    return Lab(store, f"lab-{digits}", files)


@dg.job
def trivial() -> None:
    """A job for runs that are only there to have a status."""


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


@pytest.fixture
def interrupt(lab: Lab, tmp_path: Path) -> Callable[..., tuple[int, int]]:
    """Trains in a process, interrupts it while its script runs; its exit code, the script's pid."""

    def act(forward: bool = True, retries: int = 0) -> tuple[int, int]:
        words = [lab.store.prefix, lab.base_name, "forward" if forward else "leave", str(retries)]
        path = os.pathsep.join([str(TESTS.parent), str(TESTS), str(TESTS / "resources")])
        with (tmp_path / "output").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, str(TESTS / "resources" / "interrupted_training.py"), *words],
                env={
                    **os.environ,
                    "PYTHONPATH": path,
                    "JOB_ENVIRONMENT": json.dumps(dict(lab.environment)),
                },
                stdout=output,
                stderr=output,
            )
        try:
            pid = script_pid(process, Path(lab.environment["STARTED"]))
            process.send_signal(signal.SIGINT)
            return process.wait(60), pid
        finally:
            process.kill()
            process.wait()

    return act


def script_pid(process: subprocess.Popen[bytes], started: Path) -> int:
    """The training script's process, once it runs."""
    while not (started.exists() and started.read_text()):
        assert process.poll() is None, "it ended before its script ran"
        time.sleep(0.05)
    return int(started.read_text())


def wait_for_end(name: str) -> str:
    boto3.client("sagemaker").get_waiter("training_job_completed_or_stopped").wait(
        TrainingJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    return boto3.client("sagemaker").describe_training_job(TrainingJobName=name)[
        "TrainingJobStatus"
    ]


@pytest.mark.parametrize("retries", [0, 2])
def test_an_interrupted_run_stops_its_job(
    lab: Lab, interrupt: Callable[..., tuple[int, int]], retries: int
) -> None:
    code, pid = interrupt(retries=retries)
    assert code != 0
    assert wait_for_end(f"{lab.base_name}-1") == "Stopped"
    assert not psutil.pid_exists(pid)
    assert lab.jobs == {"1": "Stopped"}


@pytest.mark.parametrize(
    ("owner", "left"), [("STARTED", "InProgress"), ("FAILURE", "Stopped"), (None, "Stopped")]
)
def test_an_interrupted_run_stops_what_it_attached_to_unless_its_owner_goes_on(
    lab: Lab, tmp_path: Path, owner: str | None, left: str
) -> None:
    tags = {}
    if owner:
        other = lab.instance.create_run_for_job(trivial, status=dg.DagsterRunStatus(owner))
        tags = {RUN_TAG: other.run_id}
    name = lab.create(WAIT + SAVE, tags=tags)
    lab.when_training(lambda _: os.kill(os.getpid(), signal.SIGINT))
    assert not lab.run(WAIT + SAVE).success
    if left == "Stopped":
        assert wait_for_end(name) == left
    assert lab.jobs == {"1": left}
    (tmp_path / "gate").touch()


def test_an_interrupted_run_may_leave_its_job_training(
    lab: Lab, interrupt: Callable[..., tuple[int, int]], tmp_path: Path
) -> None:
    code, pid = interrupt(forward=False)
    assert code != 0
    assert lab.jobs == {"1": "InProgress"}
    assert psutil.pid_exists(pid)
    (tmp_path / "gate").touch()  # and the next run takes it over
    assert lab.run(WAIT).success
    assert lab.jobs == {"1": "Completed"}
