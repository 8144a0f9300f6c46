"""What the classic images' training toolkit makes of a job: its code, command and variables."""

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from mc_assets.local_cloud.aws.container import (
    GROUP,
    HOST,
    Container,
    input_data_config,
    resource_config,
)
from mc_assets.local_cloud.aws.training_job import TrainingJob
from mc_assets.local_cloud.aws.training_request import decoded

_PLATFORM = "sagemaker_"
# The toolkit's own settings; what else begins with `sagemaker_` it hands on to the framework.
_SETTINGS = frozenset(
    f"{_PLATFORM}{name}"
    for name in (
        "program", "submit_directory", "enable_cloudwatch_metrics", "region",
        "container_log_level", "job_name", "s3_output",
    )
)  # fmt: skip
_NO_SCRIPT_ARGUMENTS = frozenset({"default_user_module_name", "_tuning_objective_metric"})
_DEFAULT_LOG_LEVEL = 20
# What SM_TRAINING_ENV says of ways to run that the local SageMaker does not have.
_RUNNERS = {
    "is_master": True,
    "master_hostname": HOST,
    "distribution_hosts": [],
    "is_modelparallel_enabled": None,
    "is_smddprun_installed": False,
    "is_smddpmprun_installed": False,
    "topology": [],
}


def program(job: TrainingJob) -> str:
    return str(decoded(job.request["HyperParameters"]["sagemaker_program"]))


def submit_directory(job: TrainingJob) -> str:
    """Where the code is: an S3 URI, or a path below /opt/ml."""
    return str(decoded(job.request["HyperParameters"]["sagemaker_submit_directory"]))


def script_command(job: TrainingJob) -> list[str]:
    """How the toolkit starts the script, in the code folder."""
    script, arguments = program(job), _user_arguments(job)
    if is_command(script):
        return ["/bin/sh", "-c", shlex.join([f"./{script}", *arguments])]
    return [sys.executable, "--", script, *arguments]


def is_command(script: str) -> bool:
    """Whether a script is started by itself and not by Python."""
    return not script.endswith(".py")


def script_environment(
    container: Container, job: TrainingJob, python_path: str | None
) -> dict[str, str]:
    """The variables that the toolkit sets, over the request's own; PYTHONPATH it adds to."""
    imported_from = [str(container.code), str(container.packages), python_path]
    hyperparameters = _user_hyperparameters(job)
    frameworks = _framework_parameters(job)
    channels = {name: str(container.channel(name)) for name in input_data_config(job)}
    settings = _settings(container, job)
    everything = {
        **settings,
        **_RUNNERS,
        "hyperparameters": hyperparameters,
        "additional_framework_parameters": frameworks,
        "channel_input_dirs": channels,
        "job_name": job.name,
    }
    named = {
        **settings,
        "hps": hyperparameters,
        "framework_params": frameworks,
        "channels": sorted(channels),
        "user_args": _user_arguments(job),
        "training_env": everything,
        **{f"channel_{name}": path for name, path in channels.items()},
        **{f"hp_{key}": value for key, value in hyperparameters.items()},
    }
    return {f"SM_{key.upper()}": _text(value) for key, value in named.items()} | {
        "PYTHONPATH": os.pathsep.join(filter(None, imported_from)),
        "CURRENT_HOST": HOST,
        "SAGEMAKER_JOB_NAME": str(_platform_setting(job, "job_name", "")),
        "SAGEMAKER_REGION": str(_platform_setting(job, "region", job.region)),
    }


def _user_hyperparameters(job: TrainingJob) -> dict[str, Any]:
    """The script's own hyperparameters, without those addressed to the platform."""
    return {
        key: decoded(value)
        for key, value in job.request.get("HyperParameters", {}).items()
        if not key.startswith(_PLATFORM) and key not in _NO_SCRIPT_ARGUMENTS
    }


def _user_arguments(job: TrainingJob) -> list[str]:
    """`--key value` in the order of keys; a one-letter key takes one dash."""
    arguments = []
    for key, value in sorted(_user_hyperparameters(job).items()):
        arguments += [f"--{key}" if len(key) > 1 else f"-{key}", _argument(value)]
    return arguments


def _settings(container: Container, job: TrainingJob) -> dict[str, Any]:
    """What both the variables and SM_TRAINING_ENV, which tells all in one object, call the same."""
    resources = resource_config(job)
    return {
        "model_dir": str(container.model),
        "output_data_dir": str(container.output_data),
        "output_dir": str(container.output),
        "output_intermediate_dir": str(container.output / "intermediate"),
        "input_dir": str(container.base / "input"),
        "input_config_dir": str(container.config),
        "hosts": [HOST],
        "current_host": HOST,
        "current_instance_type": resources["current_instance_type"],
        "current_instance_group": GROUP,
        "current_instance_group_hosts": [HOST],
        "instance_groups": [GROUP],
        "instance_groups_dict": {
            group["instance_group_name"]: group for group in resources["instance_groups"]
        },
        "distribution_instance_groups": [],
        "is_hetero": False,
        "num_cpus": os.cpu_count() or 1,
        "num_gpus": len(list(Path("/dev").glob("nvidia[0-9]*"))),
        "num_neurons": 0,
        "network_interface_name": resources["network_interface_name"],
        "log_level": _platform_setting(job, "container_log_level", _DEFAULT_LOG_LEVEL),
        "resource_config": resources,
        "input_data_config": input_data_config(job),
        "user_entry_point": program(job),
        "module_dir": submit_directory(job),
        "module_name": program(job).removesuffix(".py"),
        "framework_module": None,
    }


def _framework_parameters(job: TrainingJob) -> dict[str, Any]:
    return {
        key: decoded(value)
        for key, value in job.request["HyperParameters"].items()
        if key.startswith(_PLATFORM) and key not in _SETTINGS
    }


def _platform_setting(job: TrainingJob, name: str, otherwise: Any) -> Any:
    value = job.request["HyperParameters"].get(f"{_PLATFORM}{name}")
    return otherwise if value is None else decoded(value)


def _argument(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{key}={member}" for key, member in sorted(value.items()))
    return "" if value is None else str(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
