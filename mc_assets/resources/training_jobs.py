"""The model's training jobs on SageMaker, told from all others by their owner tag."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from mc_assets.ownership import is_owned
from mc_assets.resources.aws_failures import aws_failures_named
from mc_assets.resources.sagemaker import PipesSageMakerClient

S3_URI = re.compile(r's3://[^"\\\s]+')


@dataclass(frozen=True, slots=True)
class OwnJob:
    """One training job that carries the model's owner tag."""

    name: str
    status: str
    created: datetime
    tags: Mapping[str, str]


@dataclass(frozen=True)
class TrainingJobs:
    """One model's jobs; the names of others are never told."""

    clients: PipesSageMakerClient
    model: str

    def in_progress(self) -> list[OwnJob]:
        return list(self._own(StatusEquals="InProgress"))

    def since(self, moment: datetime) -> list[OwnJob]:
        """Those that were still changing after that moment, whatever became of them."""
        return list(self._own(LastModifiedTimeAfter=moment))

    def named(self, beginning: str) -> list[OwnJob]:
        """Those whose names begin like this."""
        found = self._own(NameContains=beginning)
        return [job for job in found if job.name.startswith(beginning)]

    def addresses(self, job: OwnJob) -> set[str]:
        """Everything in S3 that the job reads or writes, as its description names it."""
        with aws_failures_named(f"the description of training job {job.name}"):
            told = self.clients.client.describe_training_job(TrainingJobName=job.name)
        # Below its output path are all jobs' outputs; its own are in a folder of its name.
        outputs = told.pop("OutputDataConfig")["S3OutputPath"]
        found = S3_URI.findall(json.dumps(told, default=str))
        return {*found, f"{outputs.rstrip('/')}/{job.name}"}

    def stop(self, name: str) -> None:
        self.clients.end(name)

    def _own(self, **wanted: Any) -> Iterator[OwnJob]:
        # Every job of the model begins like this, which keeps the calls for tags few.
        beginning = f"{self.model}-"
        asked = {"NameContains": beginning, **wanted}
        with aws_failures_named("the list of training jobs"):
            pages = self.clients.client.get_paginator("list_training_jobs").paginate(**asked)
            found = [job for page in pages for job in page["TrainingJobSummaries"]]
        for job in found:
            if not job["TrainingJobName"].startswith(beginning):
                continue
            tags = self._tags(job["TrainingJobArn"])
            if is_owned(tags, self.model):
                yield OwnJob(
                    job["TrainingJobName"], job["TrainingJobStatus"], job["CreationTime"], tags
                )

    def _tags(self, arn: str) -> dict[str, str]:
        if arn not in self._known_tags:
            with aws_failures_named(f"the tags of training job {arn}"):
                pages = self.clients.client.get_paginator("list_tags").paginate(ResourceArn=arn)
                self._known_tags[arn] = {
                    tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]
                }
        return self._known_tags[arn]

    @cached_property
    def _known_tags(self) -> dict[str, dict[str, str]]:
        return {}
