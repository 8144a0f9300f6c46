"""The training container's contract: its files, its environment, its command line.

A job's folder stands where a container has /opt/ml. source: the SageMaker developer guide on how
training information is provided, and what the training toolkit of the classic images sets.
"""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mc_assets.local_cloud.aws.training_job import TrainingJob
from mc_assets.local_cloud.aws.training_request import OPT_ML

HOST = "algo-1"
INSTALL_REQUIREMENTS = "MC_LOCAL_INSTALL_REQUIREMENTS"
_GROUP = "homogeneousCluster"
_NETWORK_INTERFACE = "lo"
_DRIVERS_CHANNEL = "sm_drivers"
# Where packages come from on this machine, which the job cannot know.
_INSTALLER_VARIABLES = (
    "PIP_", "UV_", "SSL_CERT", "REQUESTS_CA", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    "http_proxy", "https_proxy", "all_proxy", "no_proxy",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Command:
    argv: list[str]
    environment: dict[str, str]
    folder: Path


@dataclass(frozen=True, slots=True)
class Container:
    """The folders of one job."""

    base: Path

    @property
    def code(self) -> Path:
        return self.base / "code"

    @property
    def packages(self) -> Path:
        return self.base / "packages"

    @property
    def model(self) -> Path:
        return self.base / "model"

    @property
    def output(self) -> Path:
        return self.base / "output"

    @property
    def output_data(self) -> Path:
        return self.output / "data"

    @property
    def failure(self) -> Path:
        return self.output / "failure"

    @property
    def config(self) -> Path:
        return self.base / "input" / "config"

    @property
    def temporary(self) -> Path:
        return self.base / "tmp"

    def channel(self, name: str) -> Path:
        return self.base / "input" / "data" / name

    def checkpoints(self, job: TrainingJob) -> Path:
        local = job.request["CheckpointConfig"].get("LocalPath", f"{OPT_ML}/checkpoints")
        return Path(local.replace(OPT_ML, str(self.base), 1))

    def make(self, job: TrainingJob) -> None:
        """Make the folders and the three configuration files."""
        folders = (
            self.code, self.model, self.output_data, self.config, self.temporary,
            self.base / "checkpoints",
        )  # fmt: skip
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        self._write_config("hyperparameters", job.request.get("HyperParameters", {}))
        self._write_config("inputdataconfig", input_data_config(job))
        self._write_config("resourceconfig", resource_config(job))

    def rewrite_drivers(self) -> None:
        """Point the SDK's own driver scripts, which know only /opt/ml, at this job's folder."""
        for path in self.channel(_DRIVERS_CHANNEL).rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                path.write_bytes(content.replace(OPT_ML.encode(), str(self.base).encode()))

    def _write_config(self, name: str, content: Any) -> None:
        (self.config / f"{name}.json").write_text(json.dumps(content))


def input_data_config(job: TrainingJob) -> dict[str, dict[str, str]]:
    return {
        channel["ChannelName"]: {
            "TrainingInputMode": "File",
            "S3DistributionType": channel["DataSource"]["S3DataSource"].get(
                "S3DataDistributionType", "FullyReplicated"
            ),
            "RecordWrapperType": channel.get("RecordWrapperType", "None"),
            **({"ContentType": channel["ContentType"]} if "ContentType" in channel else {}),
        }
        for channel in job.request.get("InputDataConfig", [])
    }


def resource_config(job: TrainingJob) -> dict[str, Any]:
    instance_type = job.request["ResourceConfig"]["InstanceType"]
    group = {"instance_group_name": _GROUP, "instance_type": instance_type, "hosts": [HOST]}
    return {
        "current_host": HOST,
        "current_instance_type": instance_type,
        "current_group_name": _GROUP,
        "hosts": [HOST],
        "instance_groups": [group],
        "network_interface_name": _NETWORK_INTERFACE,
    }


def training_command(container: Container, job: TrainingJob, cloud: dict[str, str]) -> Command:
    """How the job's own process starts; `cloud` is what lets its AWS clients find this cloud."""
    environment = {
        **_machine_environment(container),
        **cloud,
        "AWS_REGION": job.region,
        "AWS_DEFAULT_REGION": job.region,
        "TRAINING_JOB_NAME": job.name,
        "TRAINING_JOB_ARN": job.arn,
    }
    requested = job.request.get("Environment", {})
    entrypoint = job.request["AlgorithmSpecification"].get("ContainerEntrypoint")
    if entrypoint:
        return Command(
            _entrypoint_argv(container, job), {**environment, **requested}, container.base
        )
    classic = classic_environment(container, job)
    return Command(_classic_argv(job), {**environment, **classic, **requested}, container.code)


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
    environment = {**indexes, **_machine_environment(container)}
    return Command([*installer, *target], environment, container.code)


def program(job: TrainingJob) -> str:
    return str(decoded(job.request["HyperParameters"]["sagemaker_program"]))


def decoded(value: str) -> Any:
    """A classic hyperparameter's value: JSON, or else the plain text."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def user_hyperparameters(job: TrainingJob) -> dict[str, Any]:
    """The script's own hyperparameters, without those addressed to the platform."""
    return {
        key: decoded(value)
        for key, value in sorted(job.request.get("HyperParameters", {}).items())
        if not key.startswith("sagemaker_")
    }


def user_arguments(hyperparameters: dict[str, Any]) -> list[str]:
    """`--key value` in the order of keys; a one-letter key takes one dash."""
    arguments = []
    for key, value in sorted(hyperparameters.items()):
        arguments += [f"--{key}" if len(key) > 1 else f"-{key}", _argument(value)]
    return arguments


def classic_environment(container: Container, job: TrainingJob) -> dict[str, str]:
    """The SM_* variables, as the classic images' toolkit sets them."""
    settings = _toolkit_settings(container, job)
    hyperparameters = user_hyperparameters(job)
    channels = [channel["ChannelName"] for channel in job.request.get("InputDataConfig", [])]
    environment = {f"SM_{key.upper()}": _text(value) for key, value in settings.items()}
    environment |= {f"SM_HP_{key.upper()}": _text(value) for key, value in hyperparameters.items()}
    environment |= {f"SM_CHANNEL_{name.upper()}": str(container.channel(name)) for name in channels}
    return environment | {
        "SM_TRAINING_ENV": json.dumps(_training_env(container, job)),
        "PYTHONPATH": os.pathsep.join([str(container.code), str(container.packages)]),
        "SAGEMAKER_JOB_NAME": job.name,
        "SAGEMAKER_REGION": job.region,
    }


def _toolkit_settings(container: Container, job: TrainingJob) -> dict[str, Any]:
    resources = resource_config(job)
    hyperparameters = user_hyperparameters(job)
    return {
        "model_dir": str(container.model),
        "output_data_dir": str(container.output_data),
        "output_dir": str(container.output),
        "output_intermediate_dir": str(container.output / "intermediate"),
        "input_dir": str(container.base / "input"),
        "input_config_dir": str(container.config),
        "channels": sorted(input_data_config(job)),
        "hps": hyperparameters,
        "hosts": [HOST],
        "current_host": HOST,
        "current_instance_type": resources["current_instance_type"],
        "current_instance_group": _GROUP,
        "current_instance_group_hosts": [HOST],
        "instance_groups": [_GROUP],
        "num_cpus": os.cpu_count() or 1,
        "num_gpus": len(list(Path("/dev").glob("nvidia[0-9]*"))),
        "num_neurons": 0,
        "network_interface_name": _NETWORK_INTERFACE,
        "log_level": _log_level(job),
        "resource_config": resources,
        "input_data_config": input_data_config(job),
        "user_args": user_arguments(hyperparameters),
        "user_entry_point": program(job),
        "module_dir": str(decoded(job.request["HyperParameters"]["sagemaker_submit_directory"])),
        "module_name": Path(program(job)).stem,
        "framework_module": "",
        "framework_params": {},
    }


def _training_env(container: Container, job: TrainingJob) -> dict[str, Any]:
    """SM_TRAINING_ENV tells the same in one object, some of it under other names."""
    settings = _toolkit_settings(container, job)
    renamed = {
        "hyperparameters": settings.pop("hps"),
        "additional_framework_parameters": settings.pop("framework_params"),
        "channel_input_dirs": {
            name: str(container.channel(name)) for name in settings.pop("channels")
        },
    }
    return {**settings, **renamed, "job_name": job.name, "is_master": True}


def _log_level(job: TrainingJob) -> int:
    return int(decoded(job.request["HyperParameters"].get("sagemaker_container_log_level", "20")))


def _machine_environment(container: Container) -> dict[str, str]:
    """What a script may know of this machine; nothing else of our environment reaches it."""
    inherited = os.environ.get("PATH", os.defpath)
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), inherited]),
        "HOME": os.environ.get("HOME", str(container.base)),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        # Not in the job's folder: a Unix socket's path, as worker processes make, has 108 bytes.
        "TMPDIR": os.environ.get("TMPDIR", "/tmp"),  # noqa: S108 - only where none is set
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONIOENCODING": "UTF-8",
    }


def _classic_argv(job: TrainingJob) -> list[str]:
    script = program(job)
    interpreter = ["/bin/sh"] if script.endswith(".sh") else [sys.executable]
    return [*interpreter, script, *user_arguments(user_hyperparameters(job))]


def _entrypoint_argv(container: Container, job: TrainingJob) -> list[str]:
    algorithm = job.request["AlgorithmSpecification"]
    argv = algorithm["ContainerEntrypoint"] + algorithm.get("ContainerArguments", [])
    return [word.replace(OPT_ML, str(container.base)) for word in argv]


def _argument(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{key}={member}" for key, member in sorted(value.items()))
    return "" if value is None else str(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
