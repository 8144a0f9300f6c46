"""A training container's files: a job's folder stands where a container has /opt/ml.

source: the SageMaker developer guide on how training information is provided.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mc_assets.local_cloud.aws.training_job import TrainingJob
from mc_assets.local_cloud.aws.training_request import OPT_ML

HOST = "algo-1"
GROUP = "homogeneousCluster"
_NETWORK_INTERFACE = "lo"
_DRIVERS_CHANNEL = "sm_drivers"


@dataclass(frozen=True, slots=True)
class Container:
    """The folders of one job: `base` is its /opt/ml, what lies beside that is the executor's."""

    folder: Path

    @property
    def base(self) -> Path:
        return self.folder / "ml"

    @property
    def code(self) -> Path:
        return self.base / "code"

    @property
    def packages(self) -> Path:
        return self.folder / "packages"

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
        return self.folder / "tmp"

    @property
    def home(self) -> Path:
        """A home with nothing in it: in the user's own lie settings of real accounts."""
        return self.folder / "home"

    def channel(self, name: str) -> Path:
        return self.base / "input" / "data" / name

    def checkpoints(self, job: TrainingJob) -> Path:
        local = job.request["CheckpointConfig"].get("LocalPath", f"{OPT_ML}/checkpoints")
        return self.local(local)

    def local(self, path: str) -> Path:
        """Where a path below /opt/ml is on this machine."""
        return Path(path.replace(OPT_ML, str(self.base), 1))

    def make(self, job: TrainingJob) -> None:
        """Make the folders and the three configuration files."""
        code = () if job.has_entrypoint else (self.code,)
        for folder in (*code, self.model, self.output_data, self.config, self.temporary, self.home):
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
    group = {"instance_group_name": GROUP, "instance_type": instance_type, "hosts": [HOST]}
    return {
        "current_host": HOST,
        "current_instance_type": instance_type,
        "current_group_name": GROUP,
        "hosts": [HOST],
        "instance_groups": [group],
        "network_interface_name": _NETWORK_INTERFACE,
    }
