"""Which clouds the graph works on: read and validated once, reached before first use."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import dagster as dg
from pydantic import PrivateAttr

TargetName = Literal["local", "cloud"]
TARGETS: tuple[TargetName, ...] = get_args(TargetName)

REQUIRED = {
    "MC_BUCKET": "the S3 bucket that keeps the artifacts",
    "MC_SAGEMAKER_ROLE_ARN": "the role that SageMaker takes on to train",
    "AWS_DEFAULT_REGION": "the AWS region (AWS_REGION does as well)",
    "AZURE_SUBSCRIPTION_ID": "the Azure subscription to deploy into",
}
PUBLIC_RESOURCE_MANAGER = "https://management.azure.com"


class TargetError(Exception):
    """The target is unknown, incomplete or cannot be reached; its text is the whole message."""


@dataclass(frozen=True, slots=True)
class Connection:
    """What the resources need to know beyond what AWS's and Azure's own libraries read."""

    bucket: str
    sagemaker_role_arn: str
    region: str
    subscription_id: str
    resource_manager_url: str

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> "Connection":
        """Read the variables of `REQUIRED`.

        Raises:
            TargetError: names every variable that is missing, in one message.
        """
        found = {name: environ.get(name, "") for name in REQUIRED}
        found["AWS_DEFAULT_REGION"] = found["AWS_DEFAULT_REGION"] or environ.get("AWS_REGION", "")
        missing = [f"{name} ({REQUIRED[name]})" for name, value in found.items() if not value]
        if missing:
            raise TargetError(
                f"MC_TARGET=cloud needs {', '.join(missing)} to be set; nothing was created. "
                "docs/cloud-setup.md explains each variable."
            )
        url = environ.get("AZURE_RESOURCE_MANAGER_URL") or PUBLIC_RESOURCE_MANAGER
        return cls(
            bucket=found["MC_BUCKET"],
            sagemaker_role_arn=found["MC_SAGEMAKER_ROLE_ARN"],
            region=found["AWS_DEFAULT_REGION"],
            subscription_id=found["AZURE_SUBSCRIPTION_ID"],
            resource_manager_url=url.rstrip("/"),
        )


def read_target(environ: Mapping[str, str] = os.environ) -> TargetName:
    """MC_TARGET, `local` when unset.

    Raises:
        TargetError: the value is neither `local` nor `cloud`.
    """
    value = environ.get("MC_TARGET", "local")
    for name in TARGETS:
        if value == name:
            return name
    raise TargetError(f"MC_TARGET is {value!r}; it can be {' or '.join(TARGETS)}.")


def connect(name: TargetName) -> Connection:
    """Have the target's clouds within reach of this process, starting the local ones if need be."""
    if name == "local":
        _connect_local_clouds()
    return Connection.from_environ()


def _connect_local_clouds() -> None:
    """Point this process at the local clouds through the variables AWS's and Azure's tools read."""
    from mc_assets.local_cloud import supervisor
    from mc_assets.local_cloud.settings import LocalCloudError, LocalSettings

    try:
        settings, started = supervisor.up(LocalSettings.from_environ())
    except LocalCloudError as error:
        raise TargetError(str(error)) from error
    if started:
        dg.get_dagster_logger().info(
            f"Started the local clouds ({', '.join(started)}); logs and state in {settings.state}"
        )
    for name, value in supervisor.environment(settings).items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


class CloudTarget(dg.ConfigurableResource):
    """The clouds a run works on; every other resource depends on it."""

    name: str = "local"
    _connection: Connection | None = PrivateAttr(default=None)

    @property
    def connection(self) -> Connection:
        """Connected on first use, once per process and run.

        Raises:
            dagster.Failure: the target cannot be reached or a setting is missing; says which.
        """
        if self._connection is None:
            try:
                self._connection = connect(read_target({"MC_TARGET": self.name}))
            except TargetError as error:
                raise dg.Failure(str(error), allow_retries=False) from error
        return self._connection
