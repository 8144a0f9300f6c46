"""The local AWS console: pages about training jobs and what is in S3, to look at only."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from moto.logs.models import logs_backends
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request, Response

from mc_assets.local_cloud.aws.errors import AwsError
from mc_assets.local_cloud.aws.s3_mirror import S3Mirror
from mc_assets.local_cloud.aws.training_job import LOG_GROUP
from mc_assets.local_cloud.aws.training_service import TrainingService
from mc_assets.local_cloud.pages import (
    HEADERS,
    Html,
    facts,
    image,
    is_of_this_machine,
    link,
    log,
    page,
    paragraph,
    path,
    section,
    table,
)
from mc_assets.local_cloud.settings import ACCOUNT_ID, BUCKET, REGION
from mc_assets.local_cloud.store import Document

ROOT = "/_console"
MOST_JOBS, MOST_OBJECTS, PREVIEW_BYTES = 100, 1000, 20_000
IMAGES = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg"}
TEXTS = frozenset({"json", "txt", "csv", "log", "md"})
# moto asks for credentials and takes any: these are nobody's.
CREDENTIAL = f"AWS4-HMAC-SHA256 Credential=console/20260101/{REGION}/s3/aws4_request"


class NothingThereError(Exception):
    """There is nothing of that name; the text says what was looked for."""


class Console:
    """Answers GET requests from browsers on this machine, who need no credentials."""

    def __init__(self, training: TrainingService, s3: S3Mirror) -> None:
        self._training = training
        self._s3 = s3
        self._pages = {
            re.compile(f"{ROOT}/?"): self._index,
            re.compile(f"{ROOT}/jobs/([^/]+)"): self._job,
            re.compile(f"{ROOT}/s3/([^/]+)/((?:.*/)?)"): self._folder,
            re.compile(f"{ROOT}/s3/([^/]+)/(.+)"): self._object,
        }
        self._files = re.compile(f"{ROOT}/files/([^/]+)/(.+)")

    def serves(self, request: Request) -> bool:
        return request.path == ROOT or request.path.startswith(f"{ROOT}/")

    def answer(self, request: Request) -> Response:
        if not is_of_this_machine(request.headers.get("Host", "")):
            return _plain(HTTPStatus.MISDIRECTED_REQUEST, "This console is 127.0.0.1's alone.")
        if request.method != "GET":
            return _plain(HTTPStatus.METHOD_NOT_ALLOWED, "Nothing here can be changed.")
        try:
            file = self._files.fullmatch(request.path)
            if file:
                return self._file(*file.groups())
            return Response(self._page(request.path), headers=dict(HEADERS), mimetype="text/html")
        except NothingThereError as error:
            return _plain(HTTPStatus.NOT_FOUND, str(error))

    def _page(self, address: str) -> str:
        for pattern, make in self._pages.items():
            match = pattern.fullmatch(address)
            if match:
                return make(*match.groups())
        raise NothingThereError(f"The local console has no page {address}.")

    def _index(self) -> str:
        listed = self._training.answer("ListTrainingJobs", {"MaxResults": MOST_JOBS}, REGION)
        jobs = [
            [
                link(path(ROOT, "jobs", job["TrainingJobName"]), job["TrainingJobName"]),
                job["TrainingJobStatus"],
                _time(job["CreationTime"]),
            ]
            for job in listed["TrainingJobSummaries"]
        ]
        return page(
            "The local AWS",
            section("S3", paragraph(link(path(ROOT, "s3", f"{BUCKET}/"), BUCKET))),
            section("Training jobs", table(["name", "status", "created"], jobs), "jobs"),
        )

    def _job(self, name: str) -> str:
        try:
            job = self._training.answer("DescribeTrainingJob", {"TrainingJobName": name}, REGION)
        except AwsError as error:
            raise NothingThereError(f"There is no training job {name}.") from error
        goes_on = job["TrainingJobStatus"] in {"InProgress", "Stopping"}
        parts = [
            facts(_job_facts(job)),
            section("Steps", table(["step", "from", "until", ""], _steps(job)), "steps"),
            section("Metrics", table(["metric", "last value"], _metrics(job))),
            section("Hyperparameters", facts(job.get("HyperParameters", {}))),
            section("Log", log(_log_lines(job))),
        ]
        return page(f"Training job {name}", *parts, goes_on=goes_on)

    def _folder(self, bucket: str, prefix: str) -> str:
        keys = self._s3.keys(bucket, prefix)
        if not keys:
            raise NothingThereError(f"There is nothing in s3://{bucket}/{prefix}.")
        rows = [[_link_to(f"s3://{bucket}/{key}", key)] for key in keys[:MOST_OBJECTS]]
        count = f"{len(keys)} objects"
        if len(keys) > MOST_OBJECTS:
            count += f", of which the first {MOST_OBJECTS} are listed"
        return page(f"s3://{bucket}/{prefix}", table([count], rows))

    def _object(self, bucket: str, key: str) -> str:
        try:
            head = self._ask("HEAD", bucket, key)
        except NothingThereError:  # a prefix, as SageMaker's inputs are, need not end with a slash
            return self._folder(bucket, key)
        told = {
            "size": f"{int(head.headers['Content-Length']):,} bytes",
            "last modified": head.headers.get("Last-Modified"),
            "ETag": head.headers.get("ETag"),
            **{
                name.removeprefix("x-amz-meta-"): value
                for name, value in head.headers.items()
                if name.lower().startswith("x-amz-meta-")
            },
            "": link(path(ROOT, "files", bucket, key), "download"),
        }
        return page(f"s3://{bucket}/{key}", facts(told), *self._preview(bucket, key))

    def _preview(self, bucket: str, key: str) -> Iterator[Html]:
        kind = _kind(key)
        if kind in IMAGES:
            yield image(path(ROOT, "files", bucket, key))
        elif kind in TEXTS:
            beginning = self._ask("GET", bucket, key, Range=f"bytes=0-{PREVIEW_BYTES - 1}")
            yield log([beginning.get_data().decode(errors="replace")])

    def _file(self, bucket: str, key: str) -> Response:
        """An object's bytes, which a browser saves: only a page of this console shows an image."""
        answer = self._ask("GET", bucket, key)
        kept = {
            name: answer.headers[name]
            for name in ("Content-Length", "ETag")
            if name in answer.headers
        }
        answer.headers.clear()
        answer.headers.extend({**kept, **HEADERS})
        answer.headers["Content-Type"] = IMAGES.get(_kind(key), "application/octet-stream")
        name = path(key.rpartition("/")[2])
        answer.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{name}"
        return answer

    def _ask(self, method: str, bucket: str, key: str, **headers: str) -> Response:
        """What S3 itself answers, as it would any client."""
        builder = EnvironBuilder(
            path=path("", bucket, key),
            method=method,
            headers=Headers({"Authorization": CREDENTIAL, **headers}),
        )
        answer = Response.from_app(self._s3, builder.get_environ())
        if answer.status_code >= HTTPStatus.BAD_REQUEST:
            answer.close()
            raise NothingThereError(f"There is no object s3://{bucket}/{key}.")
        return answer


def _job_facts(job: Document) -> dict[str, object]:
    artifacts = job.get("ModelArtifacts", {}).get("S3ModelArtifacts", "")
    channels = {
        f"channel {channel['ChannelName']}": _link_to(
            channel["DataSource"]["S3DataSource"]["S3Uri"]
        )
        for channel in job.get("InputDataConfig", [])
    }
    config = job["ResourceConfig"]
    return {
        "status": job["TrainingJobStatus"],
        "why": job.get("FailureReason"),
        "created": _time(job["CreationTime"]),
        "ended": _time(job.get("TrainingEndTime")),
        "seconds billed": job.get("BillableTimeInSeconds"),
        "instances": f"{config.get('InstanceCount')} x {config.get('InstanceType')}",
        "image": job["AlgorithmSpecification"].get("TrainingImage"),
        **channels,
        "model": _link_to(artifacts) if artifacts else None,
        # Their values may be secrets.
        "environment": ", ".join(sorted(job.get("Environment", {}))),
        "ARN": job["TrainingJobArn"],
    }


def _steps(job: Document) -> list[list[object]]:
    return [
        [
            step["Status"],
            _time(step["StartTime"]),
            _time(step.get("EndTime")),
            step.get("StatusMessage", ""),
        ]
        for step in job["SecondaryStatusTransitions"]
    ]


def _metrics(job: Document) -> list[list[object]]:
    return [[each["MetricName"], each["Value"]] for each in job.get("FinalMetricDataList", [])]


def _log_lines(job: Document) -> Iterator[str]:
    region = job["TrainingJobArn"].split(":")[3]
    group = logs_backends[ACCOUNT_ID][region].groups.get(LOG_GROUP)
    for name, stream in list(group.streams.items()) if group else []:
        if name.startswith(f"{job['TrainingJobName']}/"):
            yield from (event.message for event in list(stream.events))


def _link_to(uri: str, text: str = "") -> Html:
    """To the page of an object or of all that a prefix has."""
    return link(path(ROOT, "s3", uri.removeprefix("s3://")), text or uri)


def _kind(key: str) -> str:
    return key.rpartition(".")[2].lower()


def _time(seconds: Any) -> str:
    moment = datetime.fromtimestamp(seconds, UTC) if seconds else None
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else ""


def _plain(status: HTTPStatus, text: str) -> Response:
    return Response(f"{text}\n", status, headers=dict(HEADERS), mimetype="text/plain")
