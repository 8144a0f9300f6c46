"""What the training service refuses, lists, tags and deletes, as boto3 sees it."""

import urllib.request
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from local_aws import Jobs, Server

from mc_assets.local_cloud.settings import BUCKET, ROLE_ARN

IMAGE = {"TrainingImage": "image", "TrainingInputMode": "File"}


def refusal(jobs: Jobs, **changes: Any) -> str:
    """`Code: message` of a CreateTrainingJob that is refused."""
    request = {**jobs.request("refused", ""), **changes}
    with pytest.raises(ClientError) as refused:
        jobs.sagemaker.create_training_job(**request)
    error = refused.value.response["Error"]
    assert refused.value.response["ResponseMetadata"]["RequestId"]
    return f"{error['Code']}: {error['Message']}"


def with_regex(regex: str) -> dict[str, Any]:
    return {**IMAGE, "MetricDefinitions": [{"Name": "loss", "Regex": regex}]}


def channel(**source: Any) -> list[dict[str, Any]]:
    prefix = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/x", **source}
    return [{"ChannelName": "training", "DataSource": {"S3DataSource": prefix}}]


SCRIPT = {"sagemaker_program": "train.py"}


def test_name_outside_the_pattern(jobs: Jobs) -> None:
    text = refusal(jobs, TrainingJobName="under_score")
    assert text.startswith(
        "ValidationException: 1 validation error detected: Value 'under_score' at "
        "'trainingJobName' failed to satisfy constraint: Member must satisfy regular expression"
    )


def test_name_that_is_too_long_breaks_two_constraints(jobs: Jobs) -> None:
    text = refusal(jobs, TrainingJobName="x" * 64)
    assert "Member must have length less than or equal to 63" in text


def test_value_outside_its_enum_and_range(jobs: Jobs) -> None:
    resources = {"InstanceType": "ml.toaster", "InstanceCount": 1, "VolumeSizeInGB": 5}
    retries = {"MaximumRetryAttempts": 31}
    text = refusal(jobs, ResourceConfig=resources, RetryStrategy=retries)
    assert "2 validation errors detected" in text
    assert "Member must satisfy enum value set: [" in text
    assert "Value '31' at 'retryStrategy.maximumRetryAttempts'" in text
    assert "less than or equal to 30" in text


def test_missing_member(aws: Server) -> None:
    client = aws.client("sagemaker")
    # boto3 would refuse this itself, so it is sent as any other client might.
    request = urllib.request.Request(
        aws.url,
        data=b'{"TrainingJobName": "x"}',
        headers={"X-Amz-Target": "SageMaker.CreateTrainingJob"},
    )
    with pytest.raises(urllib.request.HTTPError) as refused:
        urllib.request.urlopen(request)
    body = refused.value.read().decode()
    assert refused.value.code == 400
    assert "Value at 'roleArn' failed to satisfy constraint: Member must not be null" in body
    assert '"__type": "ValidationException"' in body
    assert client.list_training_jobs(NameContains="only-x")["TrainingJobSummaries"] == []


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("SageMaker.DescribeTrainingJob", b"["),
        ("SageMaker.DescribeTrainingJob", b'{"TrainingJobName": 7}'),
        ("Logs_20140328.FilterLogEvents", b"["),
        ("Logs_20140328.FilterLogEvents", b"[7]"),
    ],
)
def test_body_that_cannot_be_read(aws: Server, target: str, body: bytes) -> None:
    headers = {"X-Amz-Target": target}
    request = urllib.request.Request(aws.url, data=body, headers=headers)
    with pytest.raises(urllib.request.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert '"__type": "SerializationException"' in refused.value.read().decode()


def test_role_that_does_not_exist(jobs: Jobs) -> None:
    role = ROLE_ARN + "-nobody"
    text = refusal(jobs, RoleArn=role)
    assert text.startswith(f"ValidationException: Could not assume role {role}")


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"AlgorithmSpecification": with_regex("loss=(")}, "loss does not compile"),
        ({"AlgorithmSpecification": with_regex("loss=.*")}, "loss has no capture group"),
        ({"AlgorithmSpecification": {"TrainingInputMode": "File"}}, "either a TrainingImage"),
        ({"AlgorithmSpecification": {**IMAGE, "TrainingInputMode": "Pipe"}}, "no Pipe mode"),
        ({"HyperParameters": {"epochs": "1"}}, "runs scripts, not images"),
        ({"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2,
                             "VolumeSizeInGB": 1}}, "one instance per job"),
        ({"EnableManagedSpotTraining": True}, "needs MaxWaitTimeInSeconds"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 9, "MaxWaitTimeInSeconds": 9}},
         "only for managed spot"),
        ({"InputDataConfig": channel() * 2}, "a channel more than once"),
        ({"InputDataConfig": channel(S3DataType="ManifestFile")}, "only reads an S3Prefix"),
        ({"CheckpointConfig": {"S3Uri": f"s3://{BUCKET}/c", "LocalPath": "/data"}},
         "only has /opt/ml"),
        ({"HyperParameters": {**SCRIPT, "sagemaker_submit_directory": "/opt/ml/../../tmp/x"}},
         "only has /opt/ml"),
        ({"HyperParameters": {**SCRIPT, "sagemaker_mpi_enabled": "true"}}, "no such launcher"),
        ({"InputDataConfig": channel(S3DataType="AugmentedManifestFile")},
         "only reads an S3Prefix"),
        ({"InputDataConfig": channel(S3Uri="https://bucket/x")}, "not an S3 URI"),
        ({"OutputDataConfig": {"S3OutputPath": "https://bucket/x"}}, "not an S3 URI"),
        ({"InputDataConfig": channel(S3Uri="ftp://bucket/x")}, "regular expression pattern"),
        ({"HyperParameters": {str(i): "" for i in range(101)}}, "length less than or equal to 100"),
        ({"InputDataConfig": channel(S3Uri=f"s3://{BUCKET}/nothing/here")},
         f'No S3 objects found under S3 URL "s3://{BUCKET}/nothing/here"'),
        ({"InputDataConfig": channel(S3Uri="s3://nowhere-at-all/x")},
         "Please ensure that the bucket exists"),
    ],
)  # fmt: skip
def test_contradictions_and_what_cannot_run_here(
    jobs: Jobs, changes: dict[str, Any], part: str
) -> None:
    text = refusal(jobs, **changes)
    assert text.startswith("ValidationException: ")
    assert part in text
    with pytest.raises(ClientError, match="Requested resource not found"):
        jobs.describe("refused")


def test_name_that_is_taken(jobs: Jobs) -> None:
    first = jobs.run("taken", "print(1)")
    with pytest.raises(jobs.sagemaker.exceptions.ResourceInUse, match="already exists"):
        jobs.submit("taken", "print(2)")
    assert jobs.describe("taken")["CreationTime"] == first["CreationTime"]


def test_job_that_does_not_exist(jobs: Jobs) -> None:
    client = jobs.sagemaker
    for call in (
        client.describe_training_job,
        client.stop_training_job,
        client.delete_training_job,
    ):
        with pytest.raises(ClientError, match="Requested resource not found") as refused:
            call(TrainingJobName="nobody")
        assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_stop_of_a_job_that_has_ended(jobs: Jobs) -> None:
    jobs.run("ended", "")
    with pytest.raises(ClientError, match="the training job is in status Completed"):
        jobs.sagemaker.stop_training_job(TrainingJobName="ended")


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("update_training_job", {"TrainingJobName": "x"}),
        ("search", {"Resource": "TrainingJob"}),
    ],
)
def test_what_is_not_there_is_refused(jobs: Jobs, operation: str, request_: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(jobs.sagemaker, operation)(**request_)
    assert refused.value.response["Error"]["Code"] == "UnknownOperationException"


def test_defaults_are_told(jobs: Jobs) -> None:
    jobs.s3.put_object(Bucket=BUCKET, Key="defaults/x", Body=b"x")
    data = channel(S3Uri=f"s3://{BUCKET}/defaults/")
    request = jobs.submit("defaults", "", InputDataConfig=data, StoppingCondition={})
    told = jobs.wait("defaults")
    assert told["EnableNetworkIsolation"] is told["EnableManagedSpotTraining"] is False
    assert told["OutputDataConfig"] == {**request["OutputDataConfig"], "KmsKeyId": ""}
    assert told["StoppingCondition"] == {"MaxRuntimeInSeconds": 86400}
    assert told["InputDataConfig"] == [
        {**data[0], "CompressionType": "None", "RecordWrapperType": "None"}
    ]


def test_delete_frees_the_name_once_the_job_has_ended(jobs: Jobs) -> None:
    jobs.submit("deleted", "import time\nprint('ready')\ntime.sleep(600)")
    with pytest.raises(jobs.sagemaker.exceptions.ResourceInUse, match="stop it first"):
        jobs.sagemaker.delete_training_job(TrainingJobName="deleted")
    jobs.sagemaker.stop_training_job(TrainingJobName="deleted")
    jobs.wait("deleted")
    jobs.sagemaker.delete_training_job(TrainingJobName="deleted")
    with pytest.raises(ClientError, match="Requested resource not found"):
        jobs.describe("deleted")
    assert jobs.run("deleted", "")["TrainingJobStatus"] == "Completed"


def test_tags(jobs: Jobs) -> None:
    client = jobs.sagemaker
    jobs.run("tagged", "", Tags=[{"Key": "run", "Value": "1"}, {"Key": "owner", "Value": "me"}])
    arn = jobs.describe("tagged")["TrainingJobArn"]
    client.add_tags(ResourceArn=arn, Tags=[{"Key": "run", "Value": "2"}, {"Key": "x", "Value": ""}])
    client.delete_tags(ResourceArn=arn, TagKeys=["owner", "absent"])
    assert client.list_tags(ResourceArn=arn)["Tags"] == [
        {"Key": "run", "Value": "2"},
        {"Key": "x", "Value": ""},
    ]
    with pytest.raises(ClientError, match="more than 50 tags"):
        client.add_tags(ResourceArn=arn, Tags=[{"Key": f"k{i}", "Value": ""} for i in range(49)])


def test_list_sorts_filters_and_pages(jobs: Jobs) -> None:
    client = jobs.sagemaker
    names = ["list-c", "list-a", "list-d", "list-b"]
    for name in names:
        jobs.run(name, "" if name != "list-a" else "raise SystemExit(1)")

    def listed(**request: Any) -> list[str]:
        answer = client.list_training_jobs(NameContains="list-", **request)
        return [entry["TrainingJobName"] for entry in answer["TrainingJobSummaries"]]

    assert listed() == names
    assert listed(SortBy="CreationTime", SortOrder="Descending") == names[::-1]
    assert listed(SortBy="Name") == sorted(names)
    assert listed(StatusEquals="Failed") == ["list-a"]
    assert listed(SortBy="Status", SortOrder="Descending")[0] == "list-a"
    # boto3 sends whole seconds.
    first = jobs.describe("list-c")["CreationTime"]
    hour = timedelta(hours=1)
    assert listed(CreationTimeAfter=first - hour, LastModifiedTimeBefore=first + hour) == names
    assert listed(CreationTimeAfter=first + hour) == []
    assert listed(CreationTimeBefore=first - hour) == []
    pages = client.get_paginator("list_training_jobs").paginate(
        NameContains="list-", SortBy="Name", SortOrder="Descending", MaxResults=3
    )
    assert [[e["TrainingJobName"] for e in page["TrainingJobSummaries"]] for page in pages] == [
        ["list-d", "list-c", "list-b"],
        ["list-a"],
    ]


def test_token_that_was_never_given(jobs: Jobs) -> None:
    with pytest.raises(ClientError, match="NextToken is not one"):
        jobs.sagemaker.list_training_jobs(NextToken="bogus")


def test_everything_else_is_motos(aws: Server) -> None:
    assert aws.client("sts").get_caller_identity()["Account"] == "123456789012"
    trust = aws.client("iam").get_role(RoleName=ROLE_ARN.rsplit("/", 1)[1])["Role"]
    statement = trust["AssumeRolePolicyDocument"]["Statement"][0]
    assert statement["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    sagemaker = aws.client("sagemaker")
    arn = sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE_ARN)["ModelArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]


def test_policy_simulation_allows(aws: Server) -> None:
    results = aws.client("iam").simulate_principal_policy(
        PolicySourceArn=ROLE_ARN, ActionNames=["s3:GetObject", "logs:PutLogEvents"]
    )["EvaluationResults"]
    assert [(r["EvalActionName"], r["EvalDecision"]) for r in results] == [
        ("s3:GetObject", "allowed"),
        ("logs:PutLogEvents", "allowed"),
    ]


def test_a_role_made_later_may_train(aws: Server, jobs: Jobs) -> None:
    iam = aws.client("iam")
    role = iam.create_role(RoleName="another", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    assert jobs.run("other-role", "", RoleArn=role)["RoleArn"] == role
