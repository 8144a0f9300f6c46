"""Every running job has a thread here, and every job of an earlier server is put in order."""

import logging
import shutil
import threading
from pathlib import Path

from mc_assets.local_cloud.aws.attempt import (
    INTERRUPTED,
    Attempt,
    End,
    Surroundings,
    failure_end,
)
from mc_assets.local_cloud.aws.container import Container
from mc_assets.local_cloud.aws.errors import TrainingFailure, internal_error
from mc_assets.local_cloud.aws.job_logs import JobLog
from mc_assets.local_cloud.aws.training_job import TrainingJob
from mc_assets.local_cloud.aws.training_process import kill_survivor

logger = logging.getLogger(__name__)


class Executor:
    """Starts and stops attempts; `folder` gets `jobs/`, emptied as they end, and `logs/`."""

    def __init__(self, folder: Path, around: Surroundings) -> None:
        self._jobs_folder = folder / "jobs"
        self._logs_folder = folder / "logs"
        self._around = around
        self._running: dict[str, tuple[Attempt, threading.Thread]] = {}

    def recover(self) -> None:
        """After a restart: show old logs again, and fail the jobs whose server went away."""
        for job in self._around.book.all():
            self._log(job).show_again()
            if not job.is_terminal:
                if job.process:
                    kill_survivor(job.process)
                self._conclude(job.name, failure_end(INTERRUPTED))

    def start(self, job: TrainingJob) -> None:
        container = Container(self._jobs_folder / job.name)
        attempt = Attempt(job, container, self._log(job), self._around)
        thread = threading.Thread(target=self._run, args=(attempt,), name=job.name, daemon=True)
        self._running[job.name] = attempt, thread
        thread.start()

    def stop(self, name: str) -> None:
        if name in self._running:
            attempt, _ = self._running[name]
            attempt.stop.set()

    def shutdown(self) -> None:
        """Kill what runs, and fail its jobs."""
        running = list(self._running.values())
        for attempt, _ in running:
            attempt.abandon.set()
        for _, thread in running:
            thread.join()

    def forget(self, job: TrainingJob) -> None:
        """Delete what is kept of a job that has ended."""
        self._running.pop(job.name, None)
        self._log(job).delete()

    def _log(self, job: TrainingJob) -> JobLog:
        return JobLog(self._logs_folder, job)

    def _run(self, attempt: Attempt) -> None:
        try:
            end = attempt.run()
        except TrainingFailure as failure:
            end = failure_end(str(failure))
        except Exception as error:
            # Whatever it is, a full disk or a mistake of ours, it ends this job and not the server.
            logger.exception("Training job %s could not be carried out.", attempt.job.name)
            end = failure_end(str(internal_error(f"{type(error).__name__}: {error}")))
        self._conclude(attempt.job.name, end)

    def _conclude(self, name: str, end: End) -> None:
        # The container is gone once the job has ended; its logs and archives are kept elsewhere.
        shutil.rmtree(self._jobs_folder / name, ignore_errors=True)
        self._around.book.conclude(name, end)
