"""What CreateTrainingJob refuses beyond its API model: contradictions, and what cannot run here."""

import json
import posixpath
import re
from collections.abc import Iterator
from typing import Any

from mc_assets.local_cloud.aws.errors import validation_error
from mc_assets.local_cloud.store import Document

OPT_ML = "/opt/ml"
# MPI, parameter servers, the data-parallel libraries: how the classic images are told of each.
_LAUNCHER = re.compile("sagemaker_.+_enabled")


def decoded(value: str) -> Any:
    """A classic hyperparameter's value: JSON, or else the plain text."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def check_training_request(request: Document) -> None:
    """Raise ValidationException for the first thing wrong with a well-formed request."""
    for refusal in _refusals(request):
        raise validation_error(refusal)


def _refusals(request: Document) -> Iterator[str]:
    yield from _algorithm_refusals(request)
    yield from _resource_refusals(request)
    yield from _stopping_refusals(request)
    yield from _channel_refusals(request)
    yield from _address_refusals(request)
    checkpoints = request.get("CheckpointConfig", {}).get("LocalPath", OPT_ML)
    if not _is_in_container(checkpoints):
        yield f"CheckpointConfig.LocalPath is {checkpoints}; the local SageMaker only has /opt/ml."


def _algorithm_refusals(request: Document) -> Iterator[str]:
    algorithm = request.get("AlgorithmSpecification", {})
    if bool(algorithm.get("TrainingImage")) == bool(algorithm.get("AlgorithmName")):
        yield "AlgorithmSpecification needs either a TrainingImage or an AlgorithmName, not both."
    if algorithm.get("TrainingInputMode") == "Pipe":
        yield "The local SageMaker has no Pipe mode; use File or FastFile."
    for metric in algorithm.get("MetricDefinitions", []):
        yield from _regex_refusals(metric["Name"], metric["Regex"])
    hyperparameters = request.get("HyperParameters", {})
    yield from _toolkit_refusals(hyperparameters)
    program = {"sagemaker_program", "sagemaker_submit_directory"} <= set(hyperparameters)
    if not program and not algorithm.get("ContainerEntrypoint"):
        yield (
            "The local SageMaker runs scripts, not images: give the hyperparameters "
            "sagemaker_program and sagemaker_submit_directory, or a ContainerEntrypoint."
        )


def _toolkit_refusals(hyperparameters: Document) -> Iterator[str]:
    code = decoded(hyperparameters.get("sagemaker_submit_directory", OPT_ML))
    if str(code).startswith("/") and not _is_in_container(str(code)):
        yield f"sagemaker_submit_directory is {code}; the local SageMaker only has /opt/ml."
    for name, value in hyperparameters.items():
        if _LAUNCHER.fullmatch(name) and decoded(value) is True:
            yield f"{name}: the local SageMaker has no such launcher; it starts one process."


def _is_in_container(path: str) -> bool:
    normal = posixpath.normpath(path)
    return normal == OPT_ML or normal.startswith(f"{OPT_ML}/")


def _regex_refusals(name: str, regex: str) -> Iterator[str]:
    try:
        groups = re.compile(regex).groups
    except re.error as error:
        yield f"The Regex of metric definition {name} does not compile: {error}."
        return
    if groups < 1:
        yield f"The Regex of metric definition {name} has no capture group for the value."


def _resource_refusals(request: Document) -> Iterator[str]:
    resources = request.get("ResourceConfig")
    if not resources or "InstanceType" not in resources:
        yield "ResourceConfig needs an InstanceType; the local SageMaker has no other way to run."
    elif resources.get("InstanceCount", 1) != 1:
        yield "The local SageMaker runs one instance per job: InstanceCount must be 1."


def _stopping_refusals(request: Document) -> Iterator[str]:
    stopping = request.get("StoppingCondition", {})
    wait = stopping.get("MaxWaitTimeInSeconds")
    if request.get("EnableManagedSpotTraining"):
        if wait is None or wait < stopping.get("MaxRuntimeInSeconds", 0):
            yield "Managed spot training needs MaxWaitTimeInSeconds, not below MaxRuntimeInSeconds."
    elif wait is not None:
        yield "MaxWaitTimeInSeconds is only for managed spot training."


def _channel_refusals(request: Document) -> Iterator[str]:
    channels = request.get("InputDataConfig", [])
    names = [channel["ChannelName"] for channel in channels]
    if len(set(names)) != len(names):
        yield "InputDataConfig names a channel more than once."
    for channel in channels:
        source = channel["DataSource"].get("S3DataSource")
        if source is None or source["S3DataType"] != "S3Prefix":
            yield f"Channel {channel['ChannelName']}: the local SageMaker only reads an S3Prefix."
        if channel.get("CompressionType", "None") != "None" or channel.get("InputMode") == "Pipe":
            yield f"Channel {channel['ChannelName']}: the local SageMaker only copies files as is."


def _address_refusals(request: Document) -> Iterator[str]:
    """The API model allows `https://` too, which only AWS's own addresses make sense of."""
    channels = request.get("InputDataConfig", [])
    addresses = {
        "OutputDataConfig.S3OutputPath": request["OutputDataConfig"]["S3OutputPath"],
        "CheckpointConfig.S3Uri": request.get("CheckpointConfig", {}).get("S3Uri"),
    } | {
        f"Channel {channel['ChannelName']}": channel["DataSource"]["S3DataSource"]["S3Uri"]
        for channel in channels
    }
    for where, address in addresses.items():
        if address is not None and not address.startswith("s3://"):
            yield f"{where}: {address!r} is not an S3 URI of the form s3://bucket/key."
