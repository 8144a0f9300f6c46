"""Training jobs with boto3 alone, unmodified, against the local SageMaker."""

from typing import Any

import pytest
from client_environments import Client
from terminal import Open, Terminal
from training_container import SCRIPTS

BUCKET = "boto3-walkthrough"


@pytest.fixture(scope="module")
def terminal(client: Client, open_terminal: Open) -> Terminal:
    return open_terminal(client("boto3").folder / "bin")


@pytest.fixture(scope="module")
def found(terminal: Terminal) -> dict[str, Any]:
    """What the walkthrough's script came upon."""
    return terminal.must("python", str(SCRIPTS / "with_boto3.py")).json


def test_job_completes_and_leaves_its_model(found: dict[str, Any]) -> None:
    job = found["completed"]
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Completed", "Completed")
    uri = f"s3://{BUCKET}/output/boto3-first/output/model.tar.gz"
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == uri
    assert found["model"]["epochs"] == 2
    assert found["model"]["channels"] == ["training"]
    assert [metric["MetricName"] for metric in job["FinalMetricDataList"]] == ["loss"]


def test_job_is_seen_while_it_runs_and_can_be_stopped(found: dict[str, Any]) -> None:
    running, stopped = found["in_progress"], found["stopped"]
    assert (running["TrainingJobStatus"], running["SecondaryStatus"]) == ("InProgress", "Training")
    assert "TrainingEndTime" not in running
    assert (stopped["TrainingJobStatus"], stopped["SecondaryStatus"]) == ("Stopped", "Stopped")


def test_boto3s_waiter_tells_a_failed_job_from_others(found: dict[str, Any]) -> None:
    assert 'matched expected path: "Failed"' in found["wait_for_failed"]
    assert "invalid int value: 'not-a-number'" in found["failed"]["FailureReason"]


def test_log_lines_are_those_of_the_job(found: dict[str, Any]) -> None:
    assert [line.split()[0] for line in found["lines"]] == ["epoch=1", "epoch=2"]
    assert found["filtered"] == found["lines"]


def test_paginators_list_every_job_and_its_tags(found: dict[str, Any]) -> None:
    names = ["boto3-failed", "boto3-first", "boto3-second", "boto3-stopped"]
    assert found["listed"] == {
        "all": names,
        "failed": ["boto3-failed"],
        "stopped": ["boto3-stopped"],
    }
    assert found["tags"] == [{"Key": "stage", "Value": "test"}]
    assert found["deleted"] == [name for name in names if name != "boto3-second"]


# What is refused, by which of the service's names, and what its message says.
REFUSALS = {
    "bad job name": ("ValidationException", "Member must satisfy regular expression pattern"),
    "duplicate name": ("ResourceInUse", "a training job with this name already exists"),
    "missing role": ("ValidationException", "Could not assume role"),
    "missing bucket": ("ValidationException", 'No S3 objects found under S3 URL "s3://nobody'),
    "nothing under the prefix": ("ValidationException", "No S3 objects found under S3 URL"),
    "bad S3 URI": ("ValidationException", "Value 'not-a-uri' at 'inputDataConfig.1.member"),
    "bad metric regex": ("ValidationException", "does not compile"),
    "unknown instance type": ("ValidationException", "Member must satisfy enum value set"),
    "too many hyperparameters": ("ValidationException", "length less than or equal to 100"),
    "Pipe mode": ("ValidationException", "no Pipe mode"),
    "manifest": ("ValidationException", "only reads an S3Prefix"),
    "unknown job": ("ValidationException", "Requested resource not found"),
    "stop of an unknown job": ("ValidationException", "Requested resource not found"),
    "stop of an ended job": ("ValidationException", "the training job is in status Completed"),
}


def test_wrong_requests_are_refused_by_the_services_own_names(
    terminal: Terminal, found: dict[str, Any]
) -> None:
    assert found, "the bucket is there"
    refused = terminal.must("python", str(SCRIPTS / "refused_by_boto3.py")).json
    assert set(refused) == set(REFUSALS)
    for what, (code, part) in REFUSALS.items():
        told_code, message = refused[what]
        assert told_code == code, f"{what}: {told_code}: {message}"
        assert part in message, f"{what}: {message}"
