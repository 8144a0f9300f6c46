"""What a user writes with boto3 alone: from a bucket of one's own to a model; told as JSON."""

import io
import json
import os
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import WaiterError

BUCKET = "boto3-walkthrough"
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
TRAINING = Path(__file__).parent / "training"

sagemaker = boto3.client("sagemaker")
s3 = boto3.client("s3")
logs = boto3.client("logs")
EACH_SECOND = {"Delay": 1, "MaxAttempts": 120}


def main() -> None:
    s3.create_bucket(Bucket=BUCKET)
    upload()
    for name in ("boto3-first", "boto3-second"):
        sagemaker.create_training_job(**request(name))
    wait = sagemaker.get_waiter("training_job_completed_or_stopped").wait
    for name in ("boto3-first", "boto3-second"):
        wait(TrainingJobName=name, WaiterConfig=EACH_SECOND)
    sagemaker.create_training_job(**request("boto3-stopped", epochs="1000", pause="0.5"))
    until(lambda: lines("boto3-stopped"))
    in_progress = sagemaker.describe_training_job(TrainingJobName="boto3-stopped")
    sagemaker.stop_training_job(TrainingJobName="boto3-stopped")
    wait(TrainingJobName="boto3-stopped", WaiterConfig=EACH_SECOND)
    sagemaker.create_training_job(**request("boto3-failed", epochs="not-a-number"))
    found = {
        "in_progress": in_progress,
        "completed": sagemaker.describe_training_job(TrainingJobName="boto3-first"),
        "stopped": sagemaker.describe_training_job(TrainingJobName="boto3-stopped"),
        "wait_for_failed": failed_wait("boto3-failed"),
        "failed": sagemaker.describe_training_job(TrainingJobName="boto3-failed"),
        "lines": lines("boto3-first"),
        "filtered": filtered("boto3-first"),
        "model": model("boto3-first"),
        "listed": listed(),
        "tags": tags("boto3-first"),
        "deleted": deleted("boto3-second"),
    }
    json.dump(found, sys.stdout, default=str)


def upload() -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.add(TRAINING / "train.py", "train.py")
    s3.put_object(Bucket=BUCKET, Key="code/sourcedir.tar.gz", Body=archive.getvalue())
    s3.put_object(Bucket=BUCKET, Key="data/points.csv", Body=b"1,2\n2,4\n3,6\n")


def request(name: str, **hyperparameters: str) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "RoleArn": os.environ["MC_SAGEMAKER_ROLE_ARN"],
        "AlgorithmSpecification": {
            "TrainingImage": "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.8",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+);"}],
        },
        "HyperParameters": {
            "sagemaker_program": "train.py",
            "sagemaker_submit_directory": f"s3://{BUCKET}/code/sourcedir.tar.gz",
            "epochs": "2",
            **hyperparameters,
        },
        "InputDataConfig": [
            {
                "ChannelName": "training",
                "DataSource": {
                    "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/data/"}
                },
            }
        ],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/output/"},
        "ResourceConfig": {
            "InstanceType": "ml.m5.large",
            "InstanceCount": 1,
            "VolumeSizeInGB": 5,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "Tags": [{"Key": "owner", "Value": "me"}],
    }


def lines(name: str) -> list[str]:
    """The job's log lines, page by page as boto3's paginator finds its streams."""
    pages = logs.get_paginator("describe_log_streams").paginate(
        logGroupName=LOG_GROUP, logStreamNamePrefix=f"{name}/"
    )
    streams = [stream["logStreamName"] for page in pages for stream in page["logStreams"]]
    answers = (
        logs.get_log_events(logGroupName=LOG_GROUP, logStreamName=stream, startFromHead=True)
        for stream in streams
    )
    return [event["message"] for answer in answers for event in answer["events"]]


def filtered(name: str) -> list[str]:
    """The lines with a loss, as CloudWatch filters them for one job."""
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=LOG_GROUP, logStreamNamePrefix=f"{name}/", filterPattern="loss"
    )
    return [event["message"] for page in pages for event in page["events"]]


def failed_wait(name: str) -> str:
    waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
    try:
        waiter.wait(TrainingJobName=name, WaiterConfig=EACH_SECOND)
    except WaiterError as error:
        return str(error)
    return "no error"


def model(name: str) -> dict[str, Any]:
    job = sagemaker.describe_training_job(TrainingJobName=name)
    bucket, _, key = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://").partition("/")
    s3.download_file(bucket, key, "model.tar.gz")
    with tarfile.open("model.tar.gz") as tar:
        tar.extractall("model", filter="data")
    return json.loads(Path("model", "model.json").read_text())


def listed() -> dict[str, list[str]]:
    """Names by status, two to a page."""
    paginator = sagemaker.get_paginator("list_training_jobs")

    def names(**wanted: str) -> list[str]:
        pages = paginator.paginate(
            NameContains="boto3-", SortBy="Name", PaginationConfig={"PageSize": 2}, **wanted
        )
        return [job["TrainingJobName"] for page in pages for job in page["TrainingJobSummaries"]]

    return {
        "all": names(),
        "stopped": names(StatusEquals="Stopped"),
        "failed": names(StatusEquals="Failed"),
    }


def tags(name: str) -> list[dict[str, str]]:
    arn = sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "stage", "Value": "test"}])
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["owner"])
    pages = sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn)
    return [tag for page in pages for tag in page["Tags"]]


def deleted(name: str) -> list[str]:
    """The jobs that are left when one has been deleted."""
    sagemaker.delete_training_job(TrainingJobName=name)
    return listed()["all"]


def until(found: Any) -> None:
    while not found():
        time.sleep(0.2)


if __name__ == "__main__":
    main()
