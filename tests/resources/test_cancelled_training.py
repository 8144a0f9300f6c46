"""What becomes of the training job when the run that trains it is interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
from dagster._core.events import EngineEventData
from sagemaker_lab import SAVE, WAIT, Lab

from mc_assets.ownership import RUN_TAG
from mc_assets.resources.artifact_store import ArtifactStore
from mc_assets.resources.training_jobs import TrainingJobs

TESTS = Path(__file__).parent.parent
RETRIES = dg.RetryPolicy(max_retries=2)
DENIED = ("AccessDeniedException", "User is not authorized to perform: sagemaker:ListTags")
THROTTLED = ("ThrottlingException", "Rate exceeded")
INVALID = ("ValidationException", "1 validation error detected")


@pytest.fixture
def lab(store: ArtifactStore, tmp_path: Path, request: pytest.FixtureRequest) -> Lab:
    """With a history in a folder, where a run's process id is one of this machine's."""
    lab = Lab.of(store, request.node.nodeid, tmp_path)
    (tmp_path / "home").mkdir()
    lab.instance = dg.DagsterInstance.local_temp(str(tmp_path / "home"))
    return lab


@dg.job
def trivial() -> None:
    """A job for runs that are only there to have a status."""


def interrupt_this() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def require_stopped(lab: Lab) -> None:
    """By a call: a job that goes on is stopped after a minute as well, for its time."""
    name = f"{lab.base_name}-1"
    wait_for_end(lab)
    assert lab.client.describe_training_job(TrainingJobName=name)["SecondaryStatus"] == "Stopped"
    assert lab.jobs == {"1": "Stopped"}


def wait_for_end(lab: Lab) -> None:
    lab.client.get_waiter("training_job_completed_or_stopped").wait(
        TrainingJobName=f"{lab.base_name}-1", WaiterConfig={"Delay": 1, "MaxAttempts": 90}
    )


@pytest.fixture
def interrupt(lab: Lab, tmp_path: Path) -> Callable[..., tuple[int, int]]:
    """Trains in a process, interrupts it while its script runs; its exit code, the script's pid."""

    def act(forward: bool = True, retries: int = 0) -> tuple[int, int]:
        words = [lab.store.prefix, lab.base_name, "forward" if forward else "leave", str(retries)]
        path = os.pathsep.join([str(TESTS.parent), str(TESTS), str(TESTS / "resources")])
        with (tmp_path / "output").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, str(TESTS / "resources" / "interrupted_training.py"), *words],
                env={
                    **os.environ,
                    "PYTHONPATH": path,
                    "JOB_ENVIRONMENT": json.dumps(dict(lab.environment)),
                },
                stdout=output,
                stderr=output,
            )
        try:
            pid = script_pid(process, Path(lab.environment["STARTED"]))
            process.send_signal(signal.SIGINT)
            return process.wait(60), pid
        finally:
            process.kill()
            process.wait()

    return act


def script_pid(process: subprocess.Popen[bytes], started: Path) -> int:
    """The training script's process, once it runs."""
    while not (started.exists() and started.read_text()):
        assert process.poll() is None, "it ended before its script ran"
        time.sleep(0.05)
    return int(started.read_text())


@pytest.mark.parametrize("retries", [0, 2])
def test_an_interrupted_run_stops_its_job(
    lab: Lab, interrupt: Callable[..., tuple[int, int]], retries: int
) -> None:
    code, pid = interrupt(retries=retries)
    assert code != 0
    require_stopped(lab)
    assert not psutil.pid_exists(pid)


def test_an_interrupted_run_may_leave_its_job_training(
    lab: Lab, interrupt: Callable[..., tuple[int, int]]
) -> None:
    code, pid = interrupt(forward=False)
    assert code != 0
    assert lab.jobs == {"1": "InProgress"}
    assert psutil.pid_exists(pid)
    lab.gate.touch()  # and the next run takes it over
    assert lab.run(WAIT).success
    assert lab.jobs == {"1": "Completed"}


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def owning_run(lab: Lab, owner: str) -> str:
    """A run's id: of one at work, of one that was killed and does not know it, of a failed one."""
    status = dg.DagsterRunStatus.FAILURE if owner == "failed" else dg.DagsterRunStatus.STARTED
    run = lab.instance.create_run_for_job(trivial, status=status)
    pid = os.getpid() if owner == "at work" else ended_process()
    lab.instance.report_engine_event("Executing", run, EngineEventData.in_process(pid))
    return run.run_id


@pytest.mark.parametrize("owner", ["killed", "failed"])
def test_what_was_attached_to_is_stopped_when_its_own_run_has_ended(lab: Lab, owner: str) -> None:
    lab.create(WAIT + SAVE, tags={RUN_TAG: owning_run(lab, owner)})
    lab.when_training(lambda _: interrupt_this())
    assert not lab.run(WAIT + SAVE).success
    require_stopped(lab)


@pytest.mark.parametrize(
    ("owner", "told"),
    [
        ("at work", "which goes on: left to it."),
        ("elsewhere", "(11111111-aaaa-4bbb-8ccc-222222222222) is not known here. Stop it by hand"),
        ("", "(untold) is not known here. Stop it by hand if nobody waits for it."),
    ],
)
def test_what_was_attached_to_is_left_when_its_own_run_may_go_on(
    lab: Lab, owner: str, told: str
) -> None:
    run = "11111111-aaaa-4bbb-8ccc-222222222222" if owner == "elsewhere" else ""
    run = owning_run(lab, owner) if owner == "at work" else run
    name = lab.create(WAIT + SAVE, tags={RUN_TAG: run} if run else {})
    lab.when_training(lambda _: interrupt_this())
    ran = lab.run(WAIT + SAVE)
    assert not ran.success
    assert [line for line in ran.messages if name in line and told in line]
    assert lab.jobs == {"1": "InProgress"}
    lab.gate.touch()


def test_an_interrupt_counts_though_the_creation_was_refused(lab: Lab) -> None:
    def throttled() -> tuple[str, str]:
        tries.append(lab.jobs)
        interrupt_this()
        return THROTTLED

    tries: list[dict[str, str]] = []
    lab.answer("CreateTrainingJob", throttled)
    assert not lab.run(SAVE, retry_policy=RETRIES).success
    assert tries == [{}]
    assert lab.jobs == {}


def test_an_interrupt_counts_though_another_run_was_faster(lab: Lab) -> None:
    def faster(**_: Any) -> None:
        lab.create(WAIT + SAVE, tags={RUN_TAG: owning_run(lab, "killed")})
        interrupt_this()

    lab.pipes.client.meta.events.register("before-call.sagemaker.CreateTrainingJob", faster)
    assert not lab.run(WAIT + SAVE, retry_policy=RETRIES).success
    require_stopped(lab)


def test_an_interrupt_while_descriptions_fail_stops_the_job(lab: Lab) -> None:
    def throttled() -> tuple[str, str] | None:
        if not begun:
            return None
        begun.append("throttled")
        if begun.count("throttled") == 2:
            interrupt_this()
        return THROTTLED

    begun: list[str] = []
    lab.when_training(begun.append)
    lab.answer("DescribeTrainingJob", throttled)
    assert not lab.run(WAIT + SAVE, retry_policy=RETRIES).success
    require_stopped(lab)


def test_an_interrupt_while_a_stopped_job_ends_starts_no_other(lab: Lab) -> None:
    def interrupt_once(job: dict[str, Any]) -> None:
        assert job["TrainingJobStatus"] == "Stopping"
        interrupt_this()

    name = lab.create(f"import signal; signal.signal(signal.SIGTERM, lambda *_: None){WAIT}{SAVE}")
    while not Path(lab.environment["STARTED"]).exists():
        assert lab.jobs == {"1": "InProgress"}
    lab.client.stop_training_job(TrainingJobName=name)
    lab.when_told(interrupt_once)
    assert not lab.run(WAIT + SAVE, retry_policy=RETRIES).success
    assert lab.jobs == {"1": "Stopping"}, "an interrupt need not wait for it"
    lab.gate.touch()
    require_stopped(lab)


def test_an_own_job_is_stopped_by_whom_its_tags_are_not_shown(lab: Lab) -> None:
    lab.answer("ListTags", lambda: DENIED)
    lab.when_training(lambda _: interrupt_this())
    ran = lab.run(WAIT + SAVE)
    assert not [line for line in ran.messages if "by hand" in line]
    require_stopped(lab)


def test_a_job_that_cannot_be_stopped_is_named(lab: Lab) -> None:
    lab.answer("StopTrainingJob", lambda: INVALID)
    lab.when_training(lambda _: interrupt_this())
    ran = lab.run(WAIT + SAVE)
    assert [line for line in ran.messages if f"Stop training job {lab.base_name}-1 by hand" in line]
    assert lab.jobs == {"1": "InProgress"}
    with pytest.raises(dg.Failure, match="1 validation error"):
        TrainingJobs(lab.pipes, lab.base_name).stop(f"{lab.base_name}-1")
    lab.gate.touch()


def test_a_job_that_ends_before_it_is_stopped_is_as_good(lab: Lab) -> None:
    def end(**_: Any) -> None:
        lab.gate.touch()
        wait_for_end(lab)

    lab.pipes.client.meta.events.register("before-call.sagemaker.StopTrainingJob", end)
    lab.when_training(lambda _: interrupt_this())
    ran = lab.run(WAIT + SAVE)
    assert not ran.success
    assert not [line for line in ran.messages if "by hand" in line]
    assert lab.jobs == {"1": "Completed"}
    TrainingJobs(lab.pipes, lab.base_name).stop(f"{lab.base_name}-1")
