"""The commands that carry a job out: the installer of its requirements, and its script."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from mc_assets.local_cloud.aws.classic_toolkit import script_command, script_environment
from mc_assets.local_cloud.aws.container import Container
from mc_assets.local_cloud.aws.training_job import TrainingJob
from mc_assets.local_cloud.aws.training_request import OPT_ML

INSTALL_REQUIREMENTS = "MC_LOCAL_INSTALL_REQUIREMENTS"
# Where packages come from on this machine, which the job cannot know.
_INSTALLER_VARIABLES = (
    "PIP_", "UV_", "SSL_CERT", "REQUESTS_CA", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    "http_proxy", "https_proxy", "all_proxy", "no_proxy",
)  # fmt: skip
# How threads share this machine, unless its user says otherwise. An instance is its job's alone,
# and train.py's threads wait by spinning there; beside other work on 2 cores that made a step take
# 60 ms instead of 21.
_THREADS = {"GOMP_SPINCOUNT": "1000"}
_THREAD_VARIABLES = ("OMP_", "GOMP_")


@dataclass(frozen=True, slots=True)
class Command:
    """A process to start; `toolkit_error` is how the images' toolkit calls its failure."""

    argv: list[str]
    environment: dict[str, str]
    folder: Path
    toolkit_error: str | None = None


def training_command(container: Container, job: TrainingJob, cloud: dict[str, str]) -> Command:
    """How the job's own process starts; `cloud` is what lets its AWS clients find this cloud."""
    environment = {
        **_machine_environment(container.home),
        **cloud,
        "AWS_REGION": job.region,
        "AWS_DEFAULT_REGION": job.region,
        "TRAINING_JOB_NAME": job.name,
        "TRAINING_JOB_ARN": job.arn,
    }
    requested = job.request.get("Environment", {})
    if job.has_entrypoint:
        argv = _entrypoint_argv(container, job)
        return Command(argv, {**environment, **requested}, container.base)
    toolkit = script_environment(container, job, requested.get("PYTHONPATH"))
    return Command(
        script_command(job),
        {**environment, **requested, **toolkit},
        container.code,
        "ExecuteUserScriptError",
    )


def requirements_command(container: Container, job: TrainingJob) -> Command | None:
    """What installs requirements.txt into the job's own folder, if the job asks for it.

    Only on request: the script runs in this environment, which has what the images have.
    """
    wanted = job.request.get("Environment", {}).get(INSTALL_REQUIREMENTS) == "true"
    if not wanted or not (container.code / "requirements.txt").is_file():
        return None
    installer = [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable]
    target = ["--target", str(container.packages), "-r", "requirements.txt"]
    indexes = {
        name: value for name, value in os.environ.items() if name.startswith(_INSTALLER_VARIABLES)
    }
    # At home, where the installer keeps what it has fetched before.
    environment = {**indexes, **_machine_environment(Path.home())}
    return Command([*installer, *target], environment, container.code, "InstallRequirementsError")


def _machine_environment(home: Path) -> dict[str, str]:
    """What a process may know of this machine; nothing else of our environment reaches it."""
    inherited = os.environ.get("PATH", os.defpath)
    chosen = {
        name: value for name, value in os.environ.items() if name.startswith(_THREAD_VARIABLES)
    }
    return {
        **_THREADS,
        **chosen,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), inherited]),
        "HOME": str(home),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        # Not in the job's folder: a Unix socket's path, as worker processes make, has 108 bytes.
        "TMPDIR": os.environ.get("TMPDIR", "/tmp"),  # noqa: S108 - only where none is set
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONIOENCODING": "UTF-8",
    }


def _entrypoint_argv(container: Container, job: TrainingJob) -> list[str]:
    algorithm = job.request["AlgorithmSpecification"]
    argv = algorithm["ContainerEntrypoint"] + algorithm.get("ContainerArguments", [])
    return [word.replace(OPT_ML, str(container.base)) for word in argv]
