"""Every answer of the training service is held against the API model that botocore ships."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from local_aws import Jobs, Server

from mc_assets.local_cloud.aws.api_model import output_shape, violations
from mc_assets.local_cloud.settings import BUCKET

# source: "Common Error Types" of the SageMaker API reference, and of AWS's JSON protocol.
COMMON_ERRORS = {"ValidationException", "SerializationException", "UnknownOperationException"}
# The model requires it; SageMaker itself leaves it out until there is one.
UNTIL_COMPLETED = "Value at 'modelArtifacts' failed to satisfy constraint: Member must not be null"


class Recorder:
    """What came back over HTTP, as it was before botocore read it."""

    def __init__(self, client: Any) -> None:
        self.answers: list[tuple[str, int, Any]] = []
        client.meta.events.register("before-parse.sagemaker", self._take)

    def _take(self, operation_model: Any, response_dict: dict[str, Any], **_: Any) -> None:
        body = json.loads(response_dict["body"])
        self.answers.append((operation_model.name, response_dict["status_code"], body))

    def good(self) -> Iterator[tuple[str, Any]]:
        return ((operation, body) for operation, status, body in self.answers if status < 300)

    def refused(self) -> Iterator[tuple[str, Any]]:
        return ((operation, body) for operation, status, body in self.answers if status >= 300)


@pytest.fixture(scope="module")
def recorder(aws: Server) -> Recorder:
    """Everything that a client may be told, told once."""
    jobs = Jobs(aws)
    recorder = Recorder(jobs.sagemaker)
    work_through(jobs)
    refuse_everything(jobs)
    return recorder


def work_through(jobs: Jobs) -> None:
    """Jobs that end in every way there is, seen before, while and after; then lists and tags."""
    jobs.s3.put_object(Bucket=BUCKET, Key="answers/x", Body=b"x")
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/answers/"}
    everything = {
        "AlgorithmSpecification": {
            "TrainingImage": "image",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*)"}],
        },
        "InputDataConfig": [{"ChannelName": "training", "DataSource": {"S3DataSource": source}}],
        "Environment": {"MINE": "yes"},
        "Tags": [{"Key": "owner", "Value": "me"}],
    }
    slow = "import time\nprint('loss=0.5', flush=True)\ntime.sleep(600)"
    jobs.run("answers-completed", "print('loss=0.5')", **everything)
    jobs.run("answers-failed", "raise ValueError")
    jobs.submit("answers-stopped", slow, **everything)
    jobs.wait_for_line("answers-stopped", "loss=0.5")
    jobs.describe("answers-stopped")
    jobs.sagemaker.stop_training_job(TrainingJobName="answers-stopped")
    arn = jobs.wait("answers-stopped")["TrainingJobArn"]
    jobs.run("answers-overdue", slow, StoppingCondition={"MaxRuntimeInSeconds": 1})
    jobs.sagemaker.list_training_jobs(NameContains="answers-", MaxResults=2)
    jobs.sagemaker.list_training_jobs(NameContains="nobody-")
    jobs.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "stage", "Value": "test"}])
    jobs.sagemaker.list_tags(ResourceArn=arn)
    jobs.sagemaker.delete_tags(ResourceArn=arn, TagKeys=["stage"])
    jobs.sagemaker.delete_training_job(TrainingJobName="answers-overdue")


def refuse_everything(jobs: Jobs) -> None:
    client = jobs.sagemaker
    request = jobs.request("answers-refused", "")
    jobs.submit("answers-running", "import time\ntime.sleep(600)")
    wrong = [
        lambda: client.create_training_job(**{**request, "TrainingJobName": "answers-completed"}),
        lambda: client.create_training_job(
            **{**request, "RoleArn": f"{request['RoleArn']}-nobody"}
        ),
        lambda: client.describe_training_job(TrainingJobName="nobody"),
        lambda: client.stop_training_job(TrainingJobName="nobody"),
        lambda: client.stop_training_job(TrainingJobName="answers-completed"),
        lambda: client.delete_training_job(TrainingJobName="answers-running"),
        lambda: client.list_training_jobs(NextToken="bogus"),
        lambda: client.list_tags(ResourceArn="arn:aws:sagemaker:x:1:training-job/nobody"),
        lambda: client.update_training_job(TrainingJobName="answers-completed"),
    ]
    for call in wrong:
        with pytest.raises(ClientError):
            call()
    client.stop_training_job(TrainingJobName="answers-running")
    jobs.wait("answers-running")


def test_every_operation_has_answered(recorder: Recorder) -> None:
    assert {operation for operation, _ in recorder.good()} == {
        "CreateTrainingJob", "DescribeTrainingJob", "StopTrainingJob", "ListTrainingJobs",
        "DeleteTrainingJob", "AddTags", "ListTags", "DeleteTags",
    }  # fmt: skip
    seen = {
        (body["TrainingJobStatus"], body["SecondaryStatus"])
        for operation, body in recorder.good()
        if operation == "DescribeTrainingJob"
    }
    assert {
        ("InProgress", "Training"), ("Completed", "Completed"), ("Failed", "Failed"),
        ("Stopped", "Stopped"), ("Stopped", "MaxRuntimeExceeded"),
    } <= seen  # fmt: skip


def test_answers_fit_their_shapes(recorder: Recorder) -> None:
    for operation, body in recorder.good():
        shape = output_shape(operation)
        if shape is None:
            assert body == {}, operation
            continue
        allowed = {UNTIL_COMPLETED} if body.get("TrainingJobStatus") != "Completed" else set()
        assert set(violations(shape, body)) <= allowed, (operation, body)
        assert list(unknown_members(shape, body, operation)) == []


def test_refusals_have_names_that_the_operation_may_use(recorder: Recorder, jobs: Jobs) -> None:
    model = jobs.sagemaker.meta.service_model
    for operation, body in recorder.refused():
        declared = {shape.name for shape in model.operation_model(operation).error_shapes}
        assert body["__type"] in declared | COMMON_ERRORS, (operation, body)
        assert set(body) == {"__type", "message"}
        assert body["message"]


def test_what_does_not_fit_is_found() -> None:
    shape = output_shape("ListTrainingJobs")
    summary = {"TrainingJobName": "a_b", "TrainingJobStatus": "Asleep", "CreationTime": 1.5}
    found = list(violations(shape, {"TrainingJobSummaries": [summary]}))
    assert len(found) == 3, "the name's pattern, the missing ARN, the status outside its enum"
    assert list(unknown_members(shape, {"TrainingJobSummaries": [{"Colour": 1}]}, "")) == [
        ".TrainingJobSummaries.Colour"
    ]


def unknown_members(shape: Any, value: Any, where: str) -> Iterator[str]:
    """What the shape knows nothing of; a client would never show it."""
    if shape.type_name == "structure":
        for name, member in value.items():
            if name not in shape.members:
                yield f"{where}.{name}"
            else:
                yield from unknown_members(shape.members[name], member, f"{where}.{name}")
    elif shape.type_name == "list":
        for member in value:
            yield from unknown_members(shape.member, member, where)
