"""A Dagster Pipes client for Amazon SageMaker training jobs."""

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from types import MappingProxyType
from typing import Any

import dagster as dg
from dagster._core.definitions.resource_annotation import TreatAsResourceParam
from dagster._core.errors import DagsterExecutionInterruptedError, raise_execution_interrupts
from dagster._core.pipes.client import PipesClientCompletedInvocation
from dagster._core.pipes.context import PipesMessageHandler
from dagster._utils.interrupts import capture_interrupts
from dagster_pipes import (
    PIPES_PROTOCOL_VERSION,
    PIPES_PROTOCOL_VERSION_FIELD,
    PipesExtras,
    PipesParams,
)

from mc_assets.interrupts import uninterrupted
from mc_assets.outcomes import (
    COMPLETED,
    ENDING,
    GOING_ON,
    PHASES,
    UNKNOWN,
    VANISHED,
    is_known,
    last_word,
    training_outcome,
)
from mc_assets.ownership import RUN_TAG
from mc_assets.polling import growing_pause
from mc_assets.resources.aws_failures import aws_failures_named, whole
from mc_assets.run_state import run_state

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
ATTEMPTS = 20
# How many descriptions in a row may fail, or find no job, before it is believed.
FAILURES, MISSES = 5, 3
LOG_SETTLE_SECONDS = 2

Pages = Mapping[str, str]
NO_PAGES: Pages = MappingProxyType({})


class TrainingInvocation(PipesClientCompletedInvocation):
    """A completed training job: DescribeTrainingJob's last answer, and how this run came by it.

    `how` is `trained`, `attached` (it was under way) or `adopted` (it had completed already).
    """

    def __init__(
        self, session: dg.PipesSession, job: Mapping[str, Any], how: str, pages: Pages
    ) -> None:
        super().__init__(session, metadata=_job_metadata(job, how, pages))
        self.job = job
        self.how = how


class TrainingFailure(dg.Failure):
    """A training job that did not complete: DescribeTrainingJob's last answer about it."""

    def __init__(self, job: Mapping[str, Any], told: Mapping[str, Any]) -> None:
        outcome = training_outcome(job)
        super().__init__(
            f"Training job {job['TrainingJobName']} ended {job['TrainingJobStatus']}: "
            f"{last_word(job).rstrip('.')}. {outcome.advice}",
            metadata=told,
            allow_retries=outcome.is_retryable,
        )
        self.job = job


class PipesSageMakerClient(dg.PipesClient, TreatAsResourceParam):
    """Runs SageMaker training jobs, and never pays for the same one twice.

    Args:
        context_injector: how the script may read its Dagster context. It must keep the context
            outside the environment (PipesS3ContextInjector does): SageMaker caps a value of the
            environment at 512 characters.
        client: boto3's `sagemaker` client; made on first use from the environment if not given.
        logs_client: boto3's `logs` client, likewise.
        forward_termination: whether an interrupted run stops its training job.
        max_poll_seconds: the longest pause between two DescribeTrainingJob calls; pauses grow with
            the age of the job.
        pages: what shows a job to a person, by the name its link gets in the metadata: addresses
            with `{job}` where its name goes.

    The script may speak Dagster Pipes on its standard output; one that does not is judged by the
    job's status alone.
    """

    def __init__(
        self,
        context_injector: dg.PipesContextInjector,
        client: Any = None,
        logs_client: Any = None,
        forward_termination: bool = True,
        max_poll_seconds: float = 15.0,
        pages: Pages = NO_PAGES,
    ) -> None:
        self.context_injector = context_injector
        self._given_client = client
        self._given_logs_client = logs_client
        self.forward_termination = forward_termination
        self.max_poll_seconds = max_poll_seconds
        self.pages = pages

    @classmethod
    def _is_dagster_maintained(cls) -> bool:
        return False

    @cached_property
    def client(self) -> Any:
        return self._given_client or _boto_client("sagemaker", retries=8)

    @cached_property
    def logs_client(self) -> Any:
        # Every poll reads the log again: waiting long for one answer would only hold up the others.
        return self._given_logs_client or _boto_client("logs", retries=3)

    def run(  # pyright: ignore[reportIncompatibleMethodOverride] narrower, as its siblings are
        self,
        *,
        context: dg.AssetExecutionContext,
        base_name: str,
        make_request: Callable[[], dict[str, Any]],
        is_usable: Callable[[Mapping[str, Any]], bool] = bool,
        extras: PipesExtras | None = None,
    ) -> TrainingInvocation:
        """Have the training job of this name done: adopt it, attach to it, or start it.

        Args:
            base_name: the job's name less its attempt number. The first attempt that completed and
                `is_usable`, or that still runs, is taken; otherwise the next number is started,
                once the last attempt is not being stopped any more.
            make_request: CreateTrainingJob's parameters less the name; called only if one starts.

        Raises:
            dagster.Failure: the job failed, was stopped or could not be created; its text is
                SageMaker's own, and retries are allowed only where another try can help.
        """
        reader = TrainingLogReader(self)
        with dg.open_pipes_session(context, self.context_injector, reader, extras) as session:
            name, how = None, "missing"
            try:
                with uninterrupted():
                    name, job = self._find(context, base_name, is_usable)
                    how = _how_found(job)
                if job is None:
                    request = make_request()
                    with uninterrupted():
                        how = self._start(context, session, name, request)
                if job is None or how == "attached":
                    job = self._wait(context, reader, name)
            except DagsterExecutionInterruptedError as interruption:
                if name and how != "adopted" and self.forward_termination:
                    with capture_interrupts():  # a second Ctrl-C does not leave the job running
                        self._stop(context, name, is_own=how == "trained")
                _forbid_restart(context, interruption)
                raise
            if job["TrainingJobStatus"] != COMPLETED:
                raise TrainingFailure(job, _job_metadata(job, "failed", self.pages))
        return TrainingInvocation(session, job, how, self.pages)

    def describe(self, name: str) -> Mapping[str, Any] | None:
        """DescribeTrainingJob's answer, or None when there is no job of that name."""
        from botocore.exceptions import ClientError

        what = f"the description of training job {name}"
        with aws_failures_named(what):
            try:
                answer = self.client.describe_training_job(TrainingJobName=name)
                status = whole(answer, "TrainingJobStatus", what)["TrainingJobStatus"]
            except ClientError as error:
                if _is_missing(error.response["Error"]):
                    return None
                raise
        if not is_known(status):
            raise dg.Failure(
                f"Training job {name} is {status}. {UNKNOWN.advice}", allow_retries=False
            )
        return answer

    def _find(
        self,
        context: dg.AssetExecutionContext,
        base_name: str,
        is_usable: Callable[[Mapping[str, Any]], bool],
    ) -> tuple[str, Mapping[str, Any] | None]:
        """The name to use; and its job, to be attached to or adopted, unless one is to start."""
        for attempt in range(1, ATTEMPTS + 1):
            name = f"{base_name}-{attempt}"
            job = self._unless_ending(context, name)
            if job is None:
                return name, None
            status = job["TrainingJobStatus"]
            if status in GOING_ON:
                context.log.info(f"Training job {name} is under way already: attached to it.")
                return name, job
            if status == COMPLETED and is_usable(job):
                context.log.info(f"Training job {name} has completed already: adopted its model.")
                return name, job
            context.log.info(f"Training job {name} is {status}: looking at the next attempt.")
        raise dg.Failure(
            f"{ATTEMPTS} training jobs named {base_name}-N have failed or were stopped. Find out "
            "why in their logs; a change of code or hyperparameters, or `retrain`, starts a new "
            "series.",
            allow_retries=False,
        )

    def _unless_ending(
        self, context: dg.AssetExecutionContext, name: str
    ) -> Mapping[str, Any] | None:
        """The job's description, once it is not being stopped any more.

        Until then it holds its instance's place in the account's quota and writes checkpoints that
        the next attempt resumes from: one started beside it would be refused, or get half of them.
        """
        started = None
        while True:
            job = self.describe(name)
            if job is None or job["TrainingJobStatus"] not in ENDING:
                return job
            if started is None:
                context.log.info(f"Training job {name} is being stopped: waiting for its end.")
                started = time.monotonic()
            with raise_execution_interrupts():  # there is nothing to stop here
                time.sleep(self._pause(growing_pause(started, self.max_poll_seconds)))

    def _start(
        self,
        context: dg.AssetExecutionContext,
        session: dg.PipesSession,
        name: str,
        request: Mapping[str, Any],
    ) -> str:
        environment = {**request.get("Environment", {}), **session.get_bootstrap_env_vars()}
        try:
            with aws_failures_named(f"training job {name}"):
                self.client.create_training_job(
                    **{**request, "TrainingJobName": name, "Environment": environment}
                )
        except dg.Failure as failure:
            if failure.metadata.get("error_code") == dg.MetadataValue.text("ResourceInUse"):
                return "attached"  # another run was faster by a moment
            if failure.allow_retries:
                with _said_to_go_on(name):  # AWS may have made it, and its answer was lost
                    if self.describe(name):
                        return "attached"
            raise
        context.log.info(f"Training job {name} started on {_instances(request)}.")
        return "trained"

    def _wait(
        self, context: dg.AssetExecutionContext, reader: "TrainingLogReader", name: str
    ) -> Mapping[str, Any]:
        started, seen = time.monotonic(), 0
        while True:
            with _said_to_go_on(name):
                job = self._look(context, name)
                transitions = job.get("SecondaryStatusTransitions", []) if job else []
                for transition in transitions[seen:]:
                    context.log.info(_transition_line(name, transition))
                seen = len(transitions)
                reader.forward(context, name)
            if job is None:
                raise dg.Failure(
                    f"Training job {name} has vanished. {VANISHED.advice}",
                    allow_retries=VANISHED.is_retryable,
                )
            if job["TrainingJobStatus"] not in GOING_ON:
                # CloudWatch takes in the last lines after the job has its final status.
                time.sleep(growing_pause(started, LOG_SETTLE_SECONDS))
                reader.forward(context, name)
                return job
            time.sleep(self._pause(growing_pause(started, self.max_poll_seconds)))

    def _look(self, context: dg.AssetExecutionContext, name: str) -> Mapping[str, Any] | None:
        """The description of a job that goes on, or None if it really is gone.

        What passes by itself is waited for here: a retry of the step would pause where an
        interrupt leaves the job going on. And a description that finds no job may be a stale one.
        """
        failures = misses = 0
        while True:
            try:
                job = self.describe(name)
                misses += job is None
                if job is not None or misses == MISSES:
                    return job
            except dg.Failure as failure:
                failures += 1
                if not failure.allow_retries or failures == FAILURES:
                    raise
                context.log.warning(f"{failure.description} Asking again: the job goes on.")
            time.sleep(self._pause(2 ** (failures + misses)))

    def _pause(self, seconds: float) -> float:
        # The jitter keeps many runs from asking at the same moment.
        return min(self.max_poll_seconds, seconds) * random.uniform(0.8, 1.2)  # noqa: S311

    def _stop(self, context: dg.AssetExecutionContext, name: str, is_own: bool) -> None:
        try:
            if is_own or self._is_to_be_stopped(context, name):
                context.log.info(f"The run was interrupted: stopping training job {name}.")
                self.end(name)
        except dg.Failure as failure:
            context.log.error(  # noqa: TRY400 - what counts is the job that goes on
                f"{failure.description} Stop training job {name} by hand: it is paid for."
            )

    def _is_to_be_stopped(self, context: dg.AssetExecutionContext, name: str) -> bool:
        """Whether the job goes on, and the run that started it, as its tags say, does not."""
        job = self.describe(name)
        if job is None or job["TrainingJobStatus"] != "InProgress":
            return False
        with aws_failures_named(f"the tags of training job {name}"):
            answer = self.client.list_tags(ResourceArn=job["TrainingJobArn"])
        owner = {tag["Key"]: tag["Value"] for tag in answer["Tags"]}.get(RUN_TAG)
        state = run_state(context.instance, owner)
        if owner == context.run.run_id or state == "ended":
            return True
        if state == "under way":
            context.log.info(f"Training job {name} is run {owner}'s, which goes on: left to it.")
        else:  # a colleague's, or another machine's
            context.log.error(
                f"Training job {name} goes on and is paid for: the run that started it "
                f"({owner or 'untold'}) is not known here. Stop it by hand if nobody waits for it."
            )
        return False

    def end(self, name: str) -> None:
        """Stop a job; one that has just ended by itself, or is gone, is as good."""
        try:
            with aws_failures_named(f"the end of training job {name}"):
                self.client.stop_training_job(TrainingJobName=name)
        except dg.Failure:
            job = self.describe(name)
            if job is not None and job["TrainingJobStatus"] == "InProgress":
                raise


class TrainingLogReader(dg.PipesMessageReader):
    """Reads a job's CloudWatch streams: Pipes messages to their handler, the rest to the log.

    GetLogEvents is limited to some ten calls a second per account, so each stream is read once a
    poll, by name and from where the last read ended.
    """

    def __init__(self, clients: PipesSageMakerClient) -> None:
        self._clients = clients
        self._tokens: dict[str, str] = {}
        self._handler: PipesMessageHandler | None = None

    @contextmanager
    def read_messages(self, handler: PipesMessageHandler) -> Iterator[PipesParams]:
        """Stand in for a script that does not speak Pipes: its start and end are the job's own."""
        self._handler = handler
        handler.handle_message(_pipes_message("opened", {"extras": {}}))
        try:
            yield {"stdio": "stdout"}
        finally:
            if not handler.received_closed_message:
                handler.handle_message(_pipes_message("closed", None))

    def no_messages_debug_text(self) -> str:
        return f"Reads the training job's streams in CloudWatch's {LOG_GROUP}."

    def forward(self, context: dg.AssetExecutionContext, job_name: str) -> None:
        """Hand on every line that has arrived since the last call.

        A log that cannot be read is a warning: the job goes on, and is paid for.
        """
        what = f"the log of training job {job_name}"
        try:
            with aws_failures_named(what):
                lines = list(self._new_lines(job_name, what))
        except dg.Failure as failure:
            context.log.warning(
                f"The log of training job {job_name} cannot be read: {failure.description}"
            )
            return
        for line in lines:
            message = _as_pipes_message(line)
            if message is not None and self._handler is not None:
                self._handler.handle_message(message)
            elif line.strip():
                context.log.info(f"[training] {line}")

    def _new_lines(self, job_name: str, what: str) -> Iterator[str]:
        for stream in self._streams(job_name, what):
            while True:
                start = {"nextToken": self._tokens[stream]} if stream in self._tokens else {}
                answer = self._clients.logs_client.get_log_events(
                    logGroupName=LOG_GROUP, logStreamName=stream, startFromHead=True, **start
                )
                self._tokens[stream] = whole(answer, "nextForwardToken", what)["nextForwardToken"]
                if not answer["events"]:
                    break
                yield from (event["message"] for event in answer["events"])

    def _streams(self, job_name: str, what: str) -> list[str]:
        from botocore.exceptions import ClientError

        try:
            answer = self._clients.logs_client.describe_log_streams(
                logGroupName=LOG_GROUP, logStreamNamePrefix=f"{job_name}/"
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return []  # the group is made by an account's first job
            raise
        streams = whole(answer, "logStreams", what)["logStreams"]
        return [stream["logStreamName"] for stream in streams]


def _as_pipes_message(line: str) -> Any:
    if PIPES_PROTOCOL_VERSION_FIELD not in line:
        return None
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) and "method" in message else None


def _pipes_message(method: str, params: Any) -> Any:
    return {
        PIPES_PROTOCOL_VERSION_FIELD: PIPES_PROTOCOL_VERSION,
        "method": method,
        "params": params,
    }


def _forbid_restart(context: dg.AssetExecutionContext, interruption: BaseException) -> None:
    """Under a retry policy Dagster restarts an interrupted step: that would pay for a new job."""
    if context.get_step_execution_context().op_retry_policy:
        raise dg.Failure(
            "The run was interrupted while it trained.", allow_retries=False
        ) from interruption


def _how_found(job: Mapping[str, Any] | None) -> str:
    if job is None:
        return "missing"
    return "adopted" if job["TrainingJobStatus"] == COMPLETED else "attached"


def _is_missing(error: Mapping[str, Any]) -> bool:
    """Whether SageMaker says that there is no such job; a proxy's own "Not Found" says nothing."""
    # The model names ResourceNotFound; the service answers ValidationException.
    if error["Code"] == "ValidationException":
        return "not found" in error.get("Message", "").lower()
    return error["Code"] == "ResourceNotFound"


@contextmanager
def _said_to_go_on(name: str) -> Iterator[None]:
    """Have a failure say what becomes of the job, and keep the step from being tried again.

    Between two tries an interrupt would leave the job going on, without a word.
    """
    try:
        yield
    except Exception as error:
        what = error.description if isinstance(error, dg.Failure) else repr(error)
        raise dg.Failure(
            f"{what} Training job {name} may go on, and is paid for while it does: the next run "
            "attaches to it.",
            metadata=error.metadata if isinstance(error, dg.Failure) else None,
            allow_retries=False,
        ) from error


def _job_metadata(job: Mapping[str, Any], how: str, pages: Pages) -> dict[str, Any]:
    name = job["TrainingJobName"]
    return {
        "job_name": name,
        "job_arn": job["TrainingJobArn"],
        "job": how,
        "instances": _instances(job),
        "training_seconds": job.get("TrainingTimeInSeconds", 0),
        "billable_seconds": job.get("BillableTimeInSeconds", 0),
        **{what: dg.MetadataValue.url(page.format(job=name)) for what, page in pages.items()},
    }


def _instances(job: Mapping[str, Any]) -> str:
    config = job["ResourceConfig"]
    return f"{config['InstanceCount']} x {config['InstanceType']}"


def _transition_line(name: str, transition: Mapping[str, Any]) -> str:
    status = transition["Status"]
    told = [status, transition.get("StatusMessage"), PHASES.get(status)]
    return f"Training job {name}: {' - '.join(filter(None, told))}"


def _boto_client(service: str, retries: int) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        service, config=Config(retries={"mode": "adaptive", "max_attempts": retries})
    )  # pyright: ignore[reportCallIssue, reportArgumentType] the service is one of the two named above
