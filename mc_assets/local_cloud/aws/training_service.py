"""The SageMaker training-job operations, as requests and answers."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

from moto.iam.models import iam_backends

from mc_assets.local_cloud.aws.api_model import output_shape, require_valid
from mc_assets.local_cloud.aws.errors import AwsError, validation_error
from mc_assets.local_cloud.aws.executor import Executor
from mc_assets.local_cloud.aws.job_book import JobBook
from mc_assets.local_cloud.aws.s3_mirror import S3Mirror
from mc_assets.local_cloud.aws.training_job import TrainingJob
from mc_assets.local_cloud.aws.training_request import check_training_request
from mc_assets.local_cloud.aws.transfer import split_uri
from mc_assets.local_cloud.settings import ACCOUNT_ID
from mc_assets.local_cloud.store import Document

_DEFAULT_PAGE = 10
_MOST_TAGS = 50


class TrainingService:
    """Answers what is asked of training jobs, and of the tags of training jobs."""

    def __init__(self, book: JobBook, executor: Executor, s3: S3Mirror) -> None:
        self._book = book
        self._s3 = s3
        self._executor = executor
        self._operations: dict[str, Callable[[Document, str], Document]] = {
            "CreateTrainingJob": self._create,
            "DescribeTrainingJob": self._describe,
            "StopTrainingJob": self._stop,
            "ListTrainingJobs": self._list,
            "DeleteTrainingJob": self._delete,
            "AddTags": self._add_tags,
            "ListTags": self._list_tags,
            "DeleteTags": self._delete_tags,
        }

    def serves(self, operation: str, request: Any) -> bool:
        """Whether this is about training jobs, which moto would answer out of nothing."""
        content = request if isinstance(request, dict) else {}
        if operation.endswith("Tags"):
            return ":training-job/" in str(content.get("ResourceArn"))
        if operation == "Search":
            return content.get("Resource") == "TrainingJob"
        return operation in self._operations or operation == "UpdateTrainingJob"

    def answer(self, operation: str, request: Any, region: str) -> Document:
        """Carry an operation out.

        Raises:
            AwsError: it is refused.
        """
        if operation not in self._operations:
            raise AwsError(
                "UnknownOperationException", f"The local SageMaker has no {operation} for this."
            )
        require_valid(operation, request)
        return self._operations[operation](request, region)

    def _create(self, request: Document, region: str) -> Document:
        check_training_request(request)
        _require_role(request["RoleArn"])
        self._require_inputs(request, region)
        job = TrainingJob.created_from(request, region, time.time())
        self._book.add(job)
        self._executor.start(job)
        return {"TrainingJobArn": job.arn}

    def _require_inputs(self, request: Document, region: str) -> None:
        for channel in request.get("InputDataConfig", []):
            uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
            bucket, prefix = split_uri(uri)
            if not self._s3.keys(bucket, prefix):
                raise validation_error(
                    f'No S3 objects found under S3 URL "{uri}" given in input data source. '
                    f"Please ensure that the bucket exists in the selected region ({region}), "
                    f"that objects exist under that S3 prefix, and that the role "
                    f'"{request["RoleArn"]}" has "s3:ListBucket" permissions on bucket '
                    f'"{bucket}".'
                )

    def _describe(self, request: Document, _region: str) -> Document:
        told = self._book.get(request["TrainingJobName"]).describe()
        members = output_shape("DescribeTrainingJob").members
        return {name: value for name, value in told.items() if name in members}

    def _stop(self, request: Document, _region: str) -> Document:
        def stopping(job: TrainingJob) -> TrainingJob:
            if job.is_terminal:
                raise validation_error(
                    f"The request was rejected because the training job is in status {job.status}."
                )
            return job.stopping("A stop was requested.", time.time())

        job = self._book.change(request["TrainingJobName"], stopping)
        self._executor.stop(job.name)
        return {}

    def _delete(self, request: Document, _region: str) -> Document:
        job = self._book.get(request["TrainingJobName"])
        if not job.is_terminal:
            raise AwsError(
                "ResourceInUse", f"The training job {job.name} is {job.status}; stop it first."
            )
        self._book.remove(job.name)
        self._executor.forget(job)
        return {}

    def _list(self, request: Document, _region: str) -> Document:
        jobs = [job for job in self._book.all() if _is_wanted(job, request)]
        order = _ORDERS[request.get("SortBy", "CreationTime")]
        descending = request.get("SortOrder", "Ascending") == "Descending"
        jobs.sort(key=order, reverse=descending)
        if "NextToken" in request:
            last = _read_token(request["NextToken"])
            jobs = [job for job in jobs if (order(job) < last if descending else order(job) > last)]
        size = request.get("MaxResults", _DEFAULT_PAGE)
        page = jobs[:size]
        answer: Document = {"TrainingJobSummaries": [job.summary() for job in page]}
        if len(jobs) > size:
            answer["NextToken"] = _write_token(order(page[-1]))
        return answer

    def _add_tags(self, request: Document, _region: str) -> Document:
        added = {tag["Key"]: tag["Value"] for tag in request["Tags"]}

        def tagged(job: TrainingJob) -> dict[str, str]:
            tags = {**job.tags, **added}
            if len(tags) > _MOST_TAGS:
                raise validation_error(f"{job.arn} would have more than {_MOST_TAGS} tags.")
            return tags

        return {"Tags": _tell_tags(self._retag(request["ResourceArn"], tagged))}

    def _delete_tags(self, request: Document, _region: str) -> Document:
        gone = set(request["TagKeys"])
        self._retag(
            request["ResourceArn"],
            lambda job: {key: value for key, value in job.tags.items() if key not in gone},
        )
        return {}

    def _list_tags(self, request: Document, _region: str) -> Document:
        return {"Tags": _tell_tags(self._book.get(_name_in(request["ResourceArn"])))}

    def _retag(self, arn: str, tags: Callable[[TrainingJob], dict[str, str]]) -> TrainingJob:
        return self._book.change(_name_in(arn), lambda job: job.tagged(tags(job)))


_ORDERS: dict[str, Callable[[TrainingJob], list[Any]]] = {
    "Name": lambda job: [job.name],
    "CreationTime": lambda job: [job.created, job.name],
    "Status": lambda job: [job.status, job.name],
}


def _is_wanted(job: TrainingJob, request: Document) -> bool:
    limits = (
        job.created > request.get("CreationTimeAfter", -1.0),
        job.created < request.get("CreationTimeBefore", float("inf")),
        job.modified > request.get("LastModifiedTimeAfter", -1.0),
        job.modified < request.get("LastModifiedTimeBefore", float("inf")),
        request.get("NameContains", "").lower() in job.name.lower(),
        request.get("StatusEquals", job.status) == job.status,
        # Nothing here has a warm pool or a training plan.
        "WarmPoolStatusEquals" not in request,
        "TrainingPlanArnEquals" not in request,
    )
    return all(limits)


def _require_role(arn: str) -> None:
    roles = iam_backends[ACCOUNT_ID]["aws"].get_roles()
    if arn not in {role.arn for role in roles}:
        raise validation_error(
            f"Could not assume role {arn}. Please ensure that the role exists and allows principal "
            f"'sagemaker.amazonaws.com' to assume the role."
        )


def _name_in(arn: str) -> str:
    return arn.rsplit("/", 1)[-1]


def _tell_tags(job: TrainingJob) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in job.tags.items()]


def _write_token(position: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def _read_token(token: str) -> list[Any]:
    try:
        position = json.loads(base64.urlsafe_b64decode(token))
    except ValueError as error:
        raise validation_error("NextToken is not one that ListTrainingJobs has given.") from error
    if not isinstance(position, list):
        raise validation_error("NextToken is not one that ListTrainingJobs has given.")
    return position
