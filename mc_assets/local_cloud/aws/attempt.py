"""One job, first phase to last: fetch the inputs, run the script, upload what it made."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from mc_assets.local_cloud.aws import transfer
from mc_assets.local_cloud.aws.container import Container
from mc_assets.local_cloud.aws.errors import TrainingFailure, internal_error
from mc_assets.local_cloud.aws.job_book import JobBook
from mc_assets.local_cloud.aws.job_logs import JobLog
from mc_assets.local_cloud.aws.metrics import MetricReader
from mc_assets.local_cloud.aws.s3_mirror import S3Mirror
from mc_assets.local_cloud.aws.training_command import (
    Command,
    requirements_command,
    training_command,
)
from mc_assets.local_cloud.aws.training_job import FAILURE_REASON_LIMIT, TrainingJob
from mc_assets.local_cloud.aws.training_process import TrainingProcess

INTERRUPTED = str(internal_error("the local SageMaker ended while this job was running."))

_LOG_SECONDS = 0.25
_CHECKPOINT_SECONDS = 5.0

End = Callable[[TrainingJob], TrainingJob]
"""The last step of a job's record."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every attempt is made with; `cloud` lets a script's AWS clients find this cloud."""

    book: JobBook
    s3: S3Mirror
    cloud: dict[str, str]
    stop_grace: float


@dataclass(slots=True)
class Attempt:
    """A job on its way; `stop` ends it as SageMaker would, `abandon` because the server ends."""

    job: TrainingJob
    container: Container
    log: JobLog
    around: Surroundings
    stop: threading.Event = field(default_factory=threading.Event)
    abandon: threading.Event = field(default_factory=threading.Event)
    _overdue: bool = field(init=False, default=False)
    _checkpoints: transfer.CheckpointSync | None = field(init=False, default=None)
    _metrics: MetricReader = field(init=False)

    def __post_init__(self) -> None:
        definitions = self.job.request["AlgorithmSpecification"].get("MetricDefinitions", [])
        self._metrics = MetricReader(definitions)

    def run(self) -> End:
        """Carry the job out; returns the step that ends its record.

        Raises:
            TrainingFailure: the job failed, for the reason told.
            OSError: this machine failed it.
        """
        self._enter("Downloading", "Copying the input data.")
        self.container.make(self.job)
        self._download()
        self._enter("Training", "The training script is running.")
        code = self._train()
        self._enter("Uploading", "Copying the model and the output data.")
        self._upload_output()
        if code is None:
            return self._end(None)
        return self._end(self._upload_model())

    def _enter(self, secondary: str, message: str) -> None:
        self._record(lambda job: job.in_phase(secondary, message, time.time()))

    def _record(self, step: End) -> None:
        self.job = self.around.book.change(self.job.name, step)

    def _download(self) -> None:
        request, s3 = self.job.request, self.around.s3
        transfer.require_bucket(s3, self.job.output_prefix)
        for channel in request.get("InputDataConfig", []):
            uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
            transfer.fetch_channel(s3, uri, self.container.channel(channel["ChannelName"]))
        if "CheckpointConfig" in request:
            uri = request["CheckpointConfig"]["S3Uri"]
            folder = self.container.checkpoints(self.job)
            transfer.require_bucket(s3, uri)
            transfer.fetch_prefix(s3, f"{uri.rstrip('/')}/", folder)
            self._checkpoints = transfer.CheckpointSync(s3, folder, uri)
        if self.job.has_entrypoint:
            self.container.rewrite_drivers()
        else:
            transfer.fetch_code(s3, self.job, self.container)

    def _train(self) -> int | None:
        """Run the installer, if one is asked for, and the script; None if it never came to that."""
        commands = (
            requirements_command(self.container, self.job),
            training_command(self.container, self.job, self.around.cloud),
        )
        code = None
        for command in filter(None, commands):
            if self.stop.is_set() or self._overdue:
                break
            code, last_line = self._supervise(command)
            if code != 0 and not (self.stop.is_set() or self._overdue):
                self._upload_output()
                raise TrainingFailure(_algorithm_error(self.container, command, code, last_line))
        return code

    def _supervise(self, command: Command) -> tuple[int, str]:
        """Run a command to its end; its exit code and the last line of its standard error."""
        process = TrainingProcess(command, self._hear)
        try:
            self._record(lambda job: replace(job, process=process.mark))
            code = self._attend(process)
        except BaseException:
            process.kill()
            raise
        self._show_progress()
        return code, process.last_error_line

    def _attend(self, process: TrainingProcess) -> int:
        deadline = time.monotonic() + self.job.max_runtime
        next_checkpoint = time.monotonic() + _CHECKPOINT_SECONDS
        while (code := process.wait(_LOG_SECONDS)) is None:
            self._show_progress()
            if self.abandon.is_set():
                raise TrainingFailure(INTERRUPTED)
            if time.monotonic() > deadline and not (self.stop.is_set() or self._overdue):
                self._overdue = True
                self._record(lambda job: job.stopping("The time is up.", time.time()))
            if self.stop.is_set() or self._overdue:
                process.stop(self.around.stop_grace)
            if self._checkpoints and time.monotonic() > next_checkpoint:
                self._checkpoints.upload()
                next_checkpoint = time.monotonic() + _CHECKPOINT_SECONDS
        return code

    def _hear(self, line: str) -> None:
        self._metrics.read(line)
        self.log.add(line)

    def _show_progress(self) -> None:
        self.log.flush()
        metrics = self._metrics.latest
        if metrics != self.job.metrics:
            self._record(lambda job: replace(job, metrics=metrics))

    def _upload_output(self) -> None:
        if self._checkpoints:
            self._checkpoints.upload()
        if any(self.container.output_data.iterdir()):
            uri = f"{self.job.output_prefix}/output.tar.gz"
            folder = self.container.output_data
            transfer.upload_archive(self.around.s3, self.container, folder, uri)

    def _upload_model(self) -> str:
        """Upload what the script left as its model; returns where it is."""
        folder = self.container.model
        if self.job.request["OutputDataConfig"].get("CompressionType") == "NONE":
            uri = f"{self.job.output_prefix}/model/"
            transfer.upload_files(self.around.s3, folder, uri)
        else:
            uri = f"{self.job.output_prefix}/model.tar.gz"
            transfer.upload_archive(self.around.s3, self.container, folder, uri)
        return uri

    def _end(self, model_artifacts: str | None) -> End:
        overdue = self._overdue

        def end(job: TrainingJob) -> TrainingJob:
            job = replace(job, model_artifacts=model_artifacts)
            # The record decides: a stop acknowledged at the last moment is still a stop.
            if job.status != "Stopping":
                return job.completed(time.time())
            return job.stopped("MaxRuntimeExceeded" if overdue else "Stopped", time.time())

        return end


def failure_end(reason: str) -> End:
    return lambda job: job.failed(reason, time.time())


def _algorithm_error(container: Container, command: Command, code: int, last_line: str) -> str:
    """What the container left: the failure file if the script wrote one, else its last words."""
    if container.failure.is_file():
        told = container.failure.read_text(errors="replace").strip() or last_line
    elif command.toolkit_error:
        told = _toolkit_words(command, code, last_line)
    else:
        told = last_line
    suffix = f", exit code: {_container_code(command, code)}"
    return f"AlgorithmError: {told}"[: FAILURE_REASON_LIMIT - len(suffix)] + suffix


def _toolkit_words(command: Command, code: int, last_line: str) -> str:
    """The failure file of the images' toolkit, which has caught what the script said last."""
    return (
        f'{command.toolkit_error}:\nExitCode {code}\nErrorMessage "{last_line}"\n'
        f'Command "{" ".join(command.argv)}"'
    )


def _container_code(command: Command, code: int) -> int:
    """The toolkit ends with 1, however its script did; a shell tells a signal as 128 and more."""
    if command.toolkit_error:
        return 1
    return code if code >= 0 else 128 - code
