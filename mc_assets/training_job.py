"""What a SageMaker training job is asked to do: the code archive, its identity, and the request."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# What EnvironmentVariables, hyperparameters and names may be; source: botocore's sagemaker model.
JOB_NAME_LIMIT = 63
CODE_CHANNEL = "code"
CODE_SUFFIXES = frozenset({".py", ".txt", ".sh", ".json", ".yaml"})
METRIC_DEFINITIONS = [
    {"Name": name, "Regex": rf"{name}=([0-9.eE+-]+)"}
    for name in ("train_loss", "test_loss", "test_accuracy")
]


@dataclass(frozen=True)
class TrainingSettings:
    """The user's choices for the training job; sizes in GB, times in seconds."""

    instance_type: str = "ml.m5.xlarge"
    volume_size_gb: int = 30
    max_runtime: int = 3600
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    spot: bool = False
    max_wait: int | None = None
    subnets: tuple[str, ...] = ()
    security_group_ids: tuple[str, ...] = ()
    network_isolation: bool = False
    encrypt_inter_container_traffic: bool = False
    volume_kms_key_id: str | None = None
    output_kms_key_id: str | None = None


@dataclass(frozen=True, slots=True)
class SourceArchive:
    """The training code as SageMaker's classic script mode takes it: one tar.gz, reproducible."""

    data: bytes
    sha256: str


def pack_source(folder: Path) -> SourceArchive:
    """Pack a code folder; equal code gives equal bytes: sorted names, no times, no owners."""
    tar_bytes = io.BytesIO()
    with tarfile.open(fileobj=tar_bytes, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in source_files(folder):
            info = tarfile.TarInfo(path.relative_to(folder).as_posix())
            info.size, info.mode = path.stat().st_size, 0o644
            with path.open("rb") as stream:
                tar.addfile(info, stream)
    data = gzip.compress(tar_bytes.getvalue(), mtime=0)
    # Hashed before compression: another zlib may compress the same code to other bytes.
    return SourceArchive(data, hashlib.sha256(tar_bytes.getvalue()).hexdigest())


def source_files(folder: Path) -> list[Path]:
    """The files that travel: code and its settings, nothing hidden, nothing compiled."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and path.suffix in CODE_SUFFIXES
        and not any(part.startswith((".", "__")) for part in path.relative_to(folder).parts[:-1])
    )


def fingerprint(
    settings: TrainingSettings, code_sha256: str, dataset_version: str, image: str | None
) -> str:
    """Identity of what a job would compute: same code, data, hyperparameters and image, same model.

    The instance type and the network are left out: they change the cost, not the purpose.
    """
    identity = {
        "code": code_sha256,
        "dataset": dataset_version,
        "hyperparameters": encode_hyperparameters(settings.hyperparameters),
        "environment": dict(settings.environment),
        "image": image,
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def job_base_name(model: str, identity: str, run_id: str | None = None) -> str:
    """The name of a job before its attempt number.

    Made from the identity, so that a retry, a second run or a run after a crash finds the job that
    was paid for already. `run_id` makes it the run's own: for a training that was asked for again.
    """
    parts = [model.replace("_", "-")[:20].strip("-"), identity[:16]]
    parts += [run_id.replace("-", "")[:12]] if run_id else []
    return "-".join(parts)


def encode_hyperparameters(hyperparameters: Mapping[str, Any]) -> dict[str, str]:
    """Values JSON-encoded, as the SageMaker training toolkit decodes them."""
    return {name: json.dumps(value) for name, value in sorted(hyperparameters.items())}


def training_job_request(
    settings: TrainingSettings,
    *,
    image: str,
    role_arn: str,
    region: str,
    source_uri: str,
    channels: Mapping[str, str],
    output_uri: str,
    checkpoint_uri: str,
    tags: Mapping[str, str],
) -> dict[str, Any]:
    """CreateTrainingJob's parameters, less TrainingJobName: classic script mode.

    `checkpoint_uri`, used with spot, must be this training's own: what lies there is resumed.
    The `sagemaker_*` hyperparameters are how the images' own `train` command finds the code.
    """
    if settings.network_isolation:
        # Nothing in the container reaches S3 then, so SageMaker itself brings the code.
        channels = {**channels, CODE_CHANNEL: source_uri}
        source_uri = f"/opt/ml/input/data/{CODE_CHANNEL}/{source_uri.rpartition('/')[2]}"
    toolkit = {
        "sagemaker_program": "train.py",
        "sagemaker_submit_directory": source_uri,
        "sagemaker_region": region,
        "sagemaker_container_log_level": 20,
    }
    request: dict[str, Any] = {
        "AlgorithmSpecification": {
            "TrainingImage": image,
            "TrainingInputMode": "File",
            "EnableSageMakerMetricsTimeSeries": True,
            "MetricDefinitions": METRIC_DEFINITIONS,
        },
        "RoleArn": role_arn,
        "InputDataConfig": [_channel(name, uri) for name, uri in channels.items()],
        "OutputDataConfig": {"S3OutputPath": output_uri},
        "ResourceConfig": {
            "InstanceType": settings.instance_type,
            "InstanceCount": 1,  # train.py is not distributed: more would each train the whole
            "VolumeSizeInGB": settings.volume_size_gb,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": settings.max_runtime},
        "HyperParameters": encode_hyperparameters({**settings.hyperparameters, **toolkit}),
        "EnableNetworkIsolation": settings.network_isolation,
        "EnableInterContainerTrafficEncryption": settings.encrypt_inter_container_traffic,
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }
    if settings.environment:
        request["Environment"] = dict(settings.environment)
    _add_optional(request, settings, checkpoint_uri)
    return request


def _add_optional(request: dict[str, Any], settings: TrainingSettings, checkpoint_uri: str) -> None:
    if settings.volume_kms_key_id:
        request["ResourceConfig"]["VolumeKmsKeyId"] = settings.volume_kms_key_id
    if settings.output_kms_key_id:
        request["OutputDataConfig"]["KmsKeyId"] = settings.output_kms_key_id
    if settings.subnets:
        request["VpcConfig"] = {
            "Subnets": list(settings.subnets),
            "SecurityGroupIds": list(settings.security_group_ids),
        }
    if settings.spot:
        # Spot without checkpoints can start over for ever, so the two always go together.
        request["EnableManagedSpotTraining"] = True
        request["CheckpointConfig"] = {"S3Uri": checkpoint_uri}
        request["StoppingCondition"]["MaxWaitTimeInSeconds"] = (
            settings.max_wait or 2 * settings.max_runtime
        )


def _channel(name: str, uri: str) -> dict[str, Any]:
    return {
        "ChannelName": name,
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": uri,
                "S3DataDistributionType": "FullyReplicated",
            }
        },
        "InputMode": "File",
    }
