"""Wrong requests as boto3 sends them, and by which name each is refused; told as JSON."""

import json
import os
import sys
from typing import Any

import boto3
from botocore.exceptions import ClientError
from with_boto3 import request, upload

sagemaker = boto3.client("sagemaker")
ALGORITHM = {"TrainingImage": "any", "TrainingInputMode": "File"}


def main() -> None:
    upload()
    sagemaker.create_training_job(**request("boto3-taken"))
    role = os.environ["MC_SAGEMAKER_ROLE_ARN"]
    create = sagemaker.create_training_job
    calls = {
        "bad job name": lambda: create(**request("under_score")),
        "duplicate name": lambda: create(**request("boto3-taken")),
        "missing role": lambda: create(**changed(RoleArn=f"{role}-nobody")),
        "missing bucket": lambda: create(
            **changed(InputDataConfig=channel("s3://nobody-has-it/x"))
        ),
        "nothing under the prefix": lambda: create(
            **changed(InputDataConfig=channel("s3://boto3-walkthrough/nothing/"))
        ),
        "bad S3 URI": lambda: create(**changed(InputDataConfig=channel("not-a-uri"))),
        "bad metric regex": lambda: create(**changed(AlgorithmSpecification=measured("loss=("))),
        "unknown instance type": lambda: create(**changed(ResourceConfig=instance("ml.toaster"))),
        "too many hyperparameters": lambda: create(
            **changed(HyperParameters={str(number): "x" for number in range(101)})
        ),
        "Pipe mode": lambda: create(
            **changed(AlgorithmSpecification={**ALGORITHM, "TrainingInputMode": "Pipe"})
        ),
        "manifest": lambda: create(**changed(InputDataConfig=channel(kind="ManifestFile"))),
        "unknown job": lambda: sagemaker.describe_training_job(TrainingJobName="boto3-nobody"),
        "stop of an unknown job": lambda: sagemaker.stop_training_job(
            TrainingJobName="boto3-nobody"
        ),
        "stop of an ended job": lambda: stop_ended("boto3-taken"),
    }
    json.dump({what: refusal(call) for what, call in calls.items()}, sys.stdout)


def changed(**changes: Any) -> dict[str, Any]:
    return {**request("boto3-refused"), **changes}


def channel(uri: str = "s3://boto3-walkthrough/data/", kind: str = "S3Prefix") -> list[Any]:
    source = {"S3DataType": kind, "S3Uri": uri}
    return [{"ChannelName": "training", "DataSource": {"S3DataSource": source}}]


def measured(regex: str) -> dict[str, Any]:
    return {**ALGORITHM, "MetricDefinitions": [{"Name": "loss", "Regex": regex}]}


def instance(kind: str) -> dict[str, Any]:
    return {"InstanceType": kind, "InstanceCount": 1, "VolumeSizeInGB": 5}


def stop_ended(name: str) -> None:
    sagemaker.get_waiter("training_job_completed_or_stopped").wait(
        TrainingJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
    )
    sagemaker.stop_training_job(TrainingJobName=name)


def refusal(call: Any) -> tuple[str, str]:
    """The name of the error and its message."""
    try:
        call()
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["Error"]["Message"]
    return "nothing", "it was carried out"


if __name__ == "__main__":
    main()
