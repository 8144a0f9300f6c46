"""Every training job there is, in memory and on disk."""

import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from mc_assets.local_cloud.aws.errors import AwsError, validation_error
from mc_assets.local_cloud.aws.training_job import TrainingJob
from mc_assets.local_cloud.store import DocumentStore

logger = logging.getLogger(__name__)

_KIND = "training-job"


class JobBook:
    """Jobs by name; a job is acknowledged only when it is on disk."""

    def __init__(self, path: Path) -> None:
        self._store = DocumentStore(path)
        self._lock = threading.RLock()
        self._jobs = {
            name: TrainingJob.from_document(document) for name, document in self._store.items(_KIND)
        }

    def all(self) -> list[TrainingJob]:
        with self._lock:
            return list(self._jobs.values())

    def get(self, name: str) -> TrainingJob:
        """The job of that name.

        Raises:
            AwsError: ValidationException, which is how SageMaker says that it has no such job.
        """
        with self._lock:
            job = self._jobs.get(name)
        if job is None:
            raise validation_error("Requested resource not found.")
        return job

    def add(self, job: TrainingJob) -> None:
        with self._lock:
            if job.name in self._jobs:
                raise AwsError(
                    "ResourceInUse",
                    f"Training job names must be unique within an AWS account and region, and a "
                    f"training job with this name already exists ({self._jobs[job.name].arn})",
                )
            self._write(job)
            self._jobs[job.name] = job

    def change(self, name: str, step: Callable[[TrainingJob], TrainingJob]) -> TrainingJob:
        """Replace a job by what `step` makes of it, on disk first."""
        with self._lock:
            job = step(self.get(name))
            self._write(job)
            self._jobs[name] = job
        return job

    def conclude(self, name: str, step: Callable[[TrainingJob], TrainingJob]) -> TrainingJob:
        """Like change, for a job's last step, which a full disk must not prevent.

        A job whose end could not be written is found unfinished at the next start, and fails then.
        """
        with self._lock:
            job = step(self.get(name))
            self._jobs[name] = job
            try:
                self._write(job)
            except AwsError:
                logger.exception("The end of %s is not on disk.", name)
        return job

    def remove(self, name: str) -> None:
        with self._lock:
            self._store.delete(_KIND, name)
            self._jobs.pop(name, None)

    def close(self) -> None:
        self._store.close()

    def _write(self, job: TrainingJob) -> None:
        try:
            self._store.put(_KIND, job.name, job.to_document())
        except sqlite3.Error as error:
            message = f"The local SageMaker could not write its record of jobs to disk: {error}."
            raise AwsError("InternalFailure", message, status=500) from error
