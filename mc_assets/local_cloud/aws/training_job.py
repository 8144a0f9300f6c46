"""One training job: an immutable record, and how DescribeTrainingJob tells it."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from mc_assets.local_cloud.settings import ACCOUNT_ID
from mc_assets.local_cloud.store import Document

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
_TERMINAL = frozenset({"Completed", "Failed", "Stopped"})
FAILURE_REASON_LIMIT = 1024
_DEFAULT_MAX_RUNTIME = 86400


@dataclass(frozen=True, slots=True)
class Transition:
    """A secondary status, from when until when; times are seconds since the epoch."""

    status: str
    message: str
    start: float
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    name: str
    value: float
    timestamp: float


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """A process told from any later one that gets the same id."""

    pid: int
    create_time: float


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """What is known of a job; `request` is the CreateTrainingJob request as it came."""

    name: str
    region: str
    request: Document
    created: float
    modified: float
    status: str = "InProgress"
    secondary: str = "Starting"
    transitions: tuple[Transition, ...] = ()
    training_started: float | None = None
    training_ended: float | None = None
    failure_reason: str | None = None
    model_artifacts: str | None = None
    metrics: tuple[Metric, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    process: ProcessMark | None = None

    @classmethod
    def created_from(cls, request: Document, region: str, now: float) -> "TrainingJob":
        tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
        job = cls(request["TrainingJobName"], region, request, now, now, tags=tags)
        return job.entered("Starting", "Preparing the job's folder.", now)

    @classmethod
    def from_document(cls, document: Document) -> "TrainingJob":
        process = document["process"]
        return cls(
            **{
                **document,
                "transitions": tuple(Transition(**entry) for entry in document["transitions"]),
                "metrics": tuple(Metric(**entry) for entry in document["metrics"]),
                "process": ProcessMark(**process) if process else None,
            }
        )

    def to_document(self) -> Document:
        return asdict(self)

    @property
    def arn(self) -> str:
        return f"arn:aws:sagemaker:{self.region}:{ACCOUNT_ID}:training-job/{self.name}"

    @property
    def log_stream(self) -> str:
        return f"{self.name}/algo-1-{int(self.created)}"

    @property
    def is_terminal(self) -> bool:
        return self.status in _TERMINAL

    @property
    def max_runtime(self) -> int:
        """Seconds the training process may take."""
        stopping = self.request.get("StoppingCondition", {})
        return stopping.get("MaxRuntimeInSeconds", _DEFAULT_MAX_RUNTIME)

    @property
    def has_entrypoint(self) -> bool:
        """Whether the request names the container's command; else the image's toolkit runs."""
        return bool(self.request["AlgorithmSpecification"].get("ContainerEntrypoint"))

    @property
    def output_prefix(self) -> str:
        """`s3://...` under which the job's archives go."""
        base = self.request["OutputDataConfig"]["S3OutputPath"].rstrip("/")
        return f"{base}/{self.name}/output"

    def entered(
        self, secondary: str, message: str, now: float, status: str = "InProgress"
    ) -> "TrainingJob":
        """The job in its next state; the transition before it ends now."""
        past = tuple(
            entry if entry.end is not None else replace(entry, end=now)
            for entry in self.transitions
        )
        end = now if status in _TERMINAL else None
        return replace(
            self,
            status=status,
            secondary=secondary,
            modified=now,
            transitions=(*past, Transition(secondary, message, now, end)),
        )

    def in_phase(self, secondary: str, message: str, now: float) -> "TrainingJob":
        """The next phase of a job in progress; one that is stopping stays so."""
        if self.status != "InProgress":
            return self
        started = self.training_started or (None if secondary == "Starting" else now)
        return replace(self.entered(secondary, message, now), training_started=started)

    def stopping(self, message: str, now: float) -> "TrainingJob":
        if self.status != "InProgress":
            return self
        return self.entered("Stopping", message, now, status="Stopping")

    def completed(self, now: float) -> "TrainingJob":
        return self._ended("Completed", "Completed", "The job has completed.", now)

    def stopped(self, secondary: str, now: float) -> "TrainingJob":
        messages = {
            "Stopped": "The job was stopped on request.",
            "MaxRuntimeExceeded": f"The job ran for more than {self.max_runtime} seconds.",
        }
        return self._ended("Stopped", secondary, messages[secondary], now)

    def failed(self, reason: str, now: float) -> "TrainingJob":
        reason = reason[:FAILURE_REASON_LIMIT]
        failed = self._ended("Failed", "Failed", reason, now)
        return replace(failed, failure_reason=reason, model_artifacts=None)

    def tagged(self, tags: Mapping[str, str]) -> "TrainingJob":
        return replace(self, tags=tags)

    def _ended(self, status: str, secondary: str, message: str, now: float) -> "TrainingJob":
        ended = self.entered(secondary, message, now, status=status)
        return replace(ended, training_ended=now if self.training_started else None, process=None)

    def describe(self) -> dict[str, Any]:
        """DescribeTrainingJob's output: the request, its defaults, and what came of it."""
        told = _with_defaults(self.request)
        told.update(
            TrainingJobArn=self.arn,
            TrainingJobStatus=self.status,
            SecondaryStatus=self.secondary,
            CreationTime=self.created,
            LastModifiedTime=self.modified,
            SecondaryStatusTransitions=[_tell_transition(entry) for entry in self.transitions],
            **_present(
                FailureReason=self.failure_reason,
                TrainingStartTime=self.training_started,
                TrainingEndTime=self.training_ended,
                FinalMetricDataList=[_tell_metric(metric) for metric in self.metrics] or None,
                ModelArtifacts=_artifacts(self.model_artifacts),
            ),
        )
        if self.training_started and self.training_ended:
            seconds = math.ceil(self.training_ended - self.training_started)
            told.update(TrainingTimeInSeconds=seconds, BillableTimeInSeconds=seconds)
        return told

    def summary(self) -> dict[str, Any]:
        """One entry of ListTrainingJobs."""
        return {
            "TrainingJobName": self.name,
            "TrainingJobArn": self.arn,
            "CreationTime": self.created,
            "LastModifiedTime": self.modified,
            "TrainingJobStatus": self.status,
            "SecondaryStatus": self.secondary,
            **_present(TrainingEndTime=self.training_ended),
        }


def _with_defaults(request: Document) -> dict[str, Any]:
    """The request with what SageMaker takes for granted; clients read some of it unasked."""
    channels = [
        {"CompressionType": "None", "RecordWrapperType": "None", **channel}
        for channel in request.get("InputDataConfig", [])
    ]
    return {
        "EnableNetworkIsolation": False,
        "EnableInterContainerTrafficEncryption": False,
        "EnableManagedSpotTraining": False,
        **request,
        "AlgorithmSpecification": {
            "EnableSageMakerMetricsTimeSeries": False,
            **request["AlgorithmSpecification"],
        },
        "OutputDataConfig": {"KmsKeyId": "", **request["OutputDataConfig"]},
        "ResourceConfig": {"KeepAlivePeriodInSeconds": 0, **request["ResourceConfig"]},
        "StoppingCondition": {
            "MaxRuntimeInSeconds": _DEFAULT_MAX_RUNTIME,
            **request.get("StoppingCondition", {}),
        },
        **_present(InputDataConfig=channels or None),
    }


def _present(**values: object) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _artifacts(uri: str | None) -> dict[str, str] | None:
    return {"S3ModelArtifacts": uri} if uri else None


def _tell_transition(entry: Transition) -> dict[str, Any]:
    return {
        "Status": entry.status,
        "StartTime": entry.start,
        "StatusMessage": entry.message,
        **_present(EndTime=entry.end),
    }


def _tell_metric(metric: Metric) -> dict[str, Any]:
    return {"MetricName": metric.name, "Value": metric.value, "Timestamp": metric.timestamp}
