"""The AWS CLI, version 2 and shortly version 1, unmodified, against the local AWS."""

import json
import os
import subprocess
import tarfile
import time
from collections.abc import Iterator
from typing import Any

import pytest
from aws_cli import programs_of_version_2
from client_environments import Client
from terminal import BIN, Open, Ran, Terminal
from training_container import SCRIPTS

BUCKET = "aws-cli-walkthrough"
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
REFUSED = 254


@pytest.fixture(scope="module")
def terminal(client: Client, open_terminal: Open) -> Terminal:
    return open_terminal(programs_of_version_2(client))


@pytest.fixture(scope="module")
def bucket(terminal: Terminal) -> str:
    """A bucket of one's own with training data and code in it."""
    terminal.must("aws", "s3", "mb", f"s3://{BUCKET}")
    data = terminal.home / "data"
    (data / "deep").mkdir(parents=True)
    (data / "points.csv").write_text("1,2\n2,4\n3,6\n")
    (data / "deep" / "more.csv").write_text("4,8\n")
    # S3 lists whole seconds: what was written and copied within one looks newer than its copy,
    # and `sync` copies it again.
    an_hour_ago = time.time() - 3600
    for path in data.rglob("*.csv"):
        os.utime(path, (an_hour_ago, an_hour_ago))
    terminal.must("aws", "s3", "sync", "data", f"s3://{BUCKET}/data")
    with tarfile.open(terminal.home / "sourcedir.tar.gz", "w:gz") as tar:
        tar.add(SCRIPTS / "training" / "train.py", "train.py")
    terminal.must("aws", "s3", "cp", "sourcedir.tar.gz", f"s3://{BUCKET}/code/")
    return BUCKET


def create(terminal: Terminal, name: str, **hyperparameters: str) -> Ran:
    """`aws sagemaker create-training-job` as documentation shows it."""
    code = {
        "sagemaker_program": "train.py",
        "sagemaker_submit_directory": f"s3://{BUCKET}/code/sourcedir.tar.gz",
    }
    channel = {
        "ChannelName": "training",
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/data/"}},
    }
    return terminal.run(
        "aws", "sagemaker", "create-training-job",
        "--training-job-name", name,
        "--role-arn", terminal.environment["MC_SAGEMAKER_ROLE_ARN"],
        "--algorithm-specification", "TrainingImage=pytorch-training:2.8,TrainingInputMode=File",
        "--hyper-parameters", json.dumps(code | hyperparameters),
        "--input-data-config", json.dumps([channel]),
        "--output-data-config", f"S3OutputPath=s3://{BUCKET}/output",
        "--resource-config", "InstanceType=ml.m5.large,InstanceCount=1,VolumeSizeInGB=5",
        "--stopping-condition", "MaxRuntimeInSeconds=600",
    )  # fmt: skip


def described(terminal: Terminal, name: str) -> dict[str, Any]:
    command = ("aws", "sagemaker", "describe-training-job", "--training-job-name", name)
    return terminal.must(*command).json


def test_it_knows_who_it_is(terminal: Terminal) -> None:
    told = terminal.must("aws", "sts", "get-caller-identity").json
    role_arn = terminal.environment["MC_SAGEMAKER_ROLE_ARN"]
    name = role_arn.rsplit("/", 1)[1]
    role = terminal.must("aws", "iam", "get-role", "--role-name", name).json["Role"]
    assert role["Arn"] == role_arn
    assert told["Account"] == role_arn.split(":")[4]


def test_s3_copies_lists_and_removes(terminal: Terminal, bucket: str) -> None:
    listed = terminal.must("aws", "s3", "ls", "--recursive", f"s3://{bucket}/data/").stdout
    assert [line.split()[-1] for line in listed.splitlines()] == [
        "data/deep/more.csv",
        "data/points.csv",
    ]
    again = terminal.must("aws", "s3", "sync", "data", f"s3://{bucket}/data")
    assert again.stdout == "", "nothing has changed, so nothing is copied"
    terminal.must("aws", "s3", "sync", f"s3://{bucket}/data", "copied")
    assert (terminal.home / "copied" / "deep" / "more.csv").read_text() == "4,8\n"
    terminal.must("aws", "s3", "cp", "--recursive", "data", f"s3://{bucket}/removed")
    terminal.must("aws", "s3", "rm", "--recursive", f"s3://{bucket}/removed")
    assert terminal.run("aws", "s3", "ls", f"s3://{bucket}/removed/").exit_code == 1


def test_s3_moves_large_files_in_parts(terminal: Terminal, bucket: str) -> None:
    content = bytes(range(256)) * 4 * 1024 * 20
    (terminal.home / "large.bin").write_bytes(content)
    terminal.must("aws", "s3", "cp", "--no-progress", "large.bin", f"s3://{bucket}/large.bin")
    asked = ("--bucket", bucket, "--key", "large.bin")
    head = terminal.must("aws", "s3api", "head-object", *asked).json
    assert head["ContentLength"] == len(content)
    assert head["ETag"].endswith('-3"'), "20 MB in parts of 8"
    terminal.must("aws", "s3", "mv", "--no-progress", f"s3://{bucket}/large.bin", "back.bin")
    assert (terminal.home / "back.bin").read_bytes() == content
    gone = terminal.run("aws", "s3api", "head-object", *asked)
    assert gone.exit_code == REFUSED
    assert "(404)" in gone.stderr


def test_s3api_lists_keys_page_by_page(terminal: Terminal, bucket: str) -> None:
    listed = terminal.must(
        "aws", "s3api", "list-objects-v2", "--bucket", bucket, "--prefix", "data/",
        "--page-size", "1", "--query", "Contents[].Key",
    ).json  # fmt: skip
    assert listed == ["data/deep/more.csv", "data/points.csv"]


@pytest.fixture(scope="module")
def completed(terminal: Terminal, bucket: str) -> str:
    """The name of a job that has trained to its end."""
    name = f"{bucket}-job"
    assert create(terminal, name, epochs="3").json["TrainingJobArn"].endswith(f"/{name}")
    return waited_for(terminal, name)


def waited_for(terminal: Terminal, name: str) -> str:
    waiter = ("aws", "sagemaker", "wait", "training-job-completed-or-stopped")
    terminal.must(*waiter, "--training-job-name", name)
    return name


def test_sagemaker_trains(terminal: Terminal, bucket: str, completed: str) -> None:
    job = described(terminal, completed)
    assert job["TrainingJobStatus"] == "Completed"
    terminal.must("aws", "s3", "cp", job["ModelArtifacts"]["S3ModelArtifacts"], "model.tar.gz")
    with tarfile.open(terminal.home / "model.tar.gz") as tar:
        assert tar.getnames() == ["model.json"]
    listed = terminal.must(
        "aws", "sagemaker", "list-training-jobs", "--name-contains", bucket,
        "--query", "TrainingJobSummaries[].TrainingJobStatus", "--output", "text",
    )  # fmt: skip
    assert listed.stdout.split() == ["Completed"]


def test_logs_are_tailed(terminal: Terminal, completed: str) -> None:
    tail = ("aws", "logs", "tail", LOG_GROUP, "--log-stream-name-prefix", f"{completed}/")
    lines = terminal.must(*tail, "--since", "1h", "--format", "short").stdout.splitlines()
    assert [line.split(" ", 1)[1].split()[0] for line in lines] == ["epoch=1", "epoch=2", "epoch=3"]
    second = terminal.must(*tail, "--since", "1h", "--filter-pattern", '"epoch=2"').stdout
    assert len(second.splitlines()) == 1
    assert terminal.must(*tail, "--since", "2000-01-01T00:00:00").stdout.count("epoch=") == 3


@pytest.fixture
def running(terminal: Terminal, bucket: str) -> Iterator[str]:
    """The name of a job that would run for minutes."""
    name = f"{bucket}-long"
    assert create(terminal, name, epochs="1000", pause="0.3").exit_code == 0
    yield name
    if described(terminal, name)["TrainingJobStatus"] == "InProgress":
        stop(terminal, name)


def stop(terminal: Terminal, name: str) -> Ran:
    return terminal.run("aws", "sagemaker", "stop-training-job", "--training-job-name", name)


def test_logs_are_followed_and_a_job_is_stopped(terminal: Terminal, running: str) -> None:
    follow = subprocess.Popen(
        ["aws", "logs", "tail", LOG_GROUP, "--follow", "--log-stream-name-prefix", f"{running}/"],
        env=dict(terminal.environment),
        cwd=terminal.home,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert follow.stdout is not None
        until_epoch(follow.stdout, 3)
        # It goes on where it was: later lines come, and none comes again.
        until_epoch(follow.stdout, 15, after=3)
    finally:
        follow.terminate()
        follow.wait()
    assert stop(terminal, running).exit_code == 0
    waited_for(terminal, running)
    assert described(terminal, running)["TrainingJobStatus"] == "Stopped"
    again = stop(terminal, running)
    assert again.exit_code == REFUSED
    assert "The request was rejected because the training job is in status Stopped" in again.stderr


def until_epoch(stream: Any, last: int, after: int = 0) -> None:
    for epoch in range(after + 1, last + 1):
        assert f" epoch={epoch} " in stream.readline()


def test_refusals_are_the_services(terminal: Terminal, completed: str) -> None:
    taken = create(terminal, completed)
    assert taken.exit_code == REFUSED
    assert "An error occurred (ResourceInUse) when calling the CreateTrainingJob" in taken.stderr
    named = ("aws", "sagemaker", "describe-training-job", "--training-job-name", "aws-cli-nobody")
    assert "(ValidationException)" in terminal.run(*named).stderr


def test_version_1_trains_too(client: Client, open_terminal: Open, bucket: str) -> None:
    terminal = open_terminal(client("aws-cli").folder / "bin")
    listed = terminal.must("aws", "s3", "ls", f"s3://{bucket}/data/").stdout
    assert "points.csv" in listed
    name = f"{bucket}-version-1"
    assert create(terminal, name).exit_code == 0
    waited_for(terminal, name)
    assert described(terminal, name)["TrainingJobStatus"] == "Completed"


def test_a_users_own_configuration_does_not_mislead_it(client: Client, open_terminal: Open) -> None:
    terminal = open_terminal(programs_of_version_2(client))
    folder = terminal.home / ".aws"
    folder.mkdir()
    (folder / "config").write_text(
        "[default]\nregion = eu-west-1\nendpoint_url = https://real.example\n"
        "ignore_configured_endpoint_urls = true\nservices = real\n"
        "[services real]\nsagemaker =\n  endpoint_url = https://real.example\n"
    )
    (folder / "credentials").write_text(
        "[default]\naws_access_key_id = AKIAREAL\naws_secret_access_key = real\n"
        "aws_session_token = real\n"
    )
    hostile = {
        "AWS_DEFAULT_PROFILE": "real",
        "AWS_ENDPOINT_URL_SAGEMAKER": "https://real.example",
        "AWS_SECURITY_TOKEN": "real",
    }
    script = f'eval "$({BIN}/mc-local env)" && aws sagemaker list-training-jobs'
    listed = terminal.must("bash", "-c", script, timeout=60, **hostile).json
    assert "TrainingJobSummaries" in listed
