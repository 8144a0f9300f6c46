"""Which clouds the graph works on: read and validated once, reached before first use."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

import dagster as dg
from pydantic import PrivateAttr

from mc_assets.consoles import Consoles
from mc_assets.outcomes import UNKNOWN, UNREACHED, Outcome, azure_outcome, refusal_outcome

TargetName = Literal["local", "cloud"]
TARGETS: tuple[TargetName, ...] = get_args(TargetName)

REQUIRED = {
    "MC_BUCKET": "the S3 bucket that keeps the artifacts",
    "MC_SAGEMAKER_ROLE_ARN": "the role that SageMaker takes on to train",
    "AWS_DEFAULT_REGION": "the AWS region (AWS_REGION does as well)",
    "AZURE_SUBSCRIPTION_ID": "the Azure subscription to deploy into",
}
PUBLIC_RESOURCE_MANAGER = "https://management.azure.com"
AZURE_IDENTITY = (
    "AZURE_AUTHORITY_HOST",
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
)
# Hosts whose issuers azure-identity knows; any other is asked for directly.
PUBLIC_AUTHORITIES = frozenset(
    {"login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn"}
)


class TargetError(Exception):
    """The target is unknown, incomplete or refuses us; its text is the whole message."""


class UnreachableError(TargetError):
    """The clouds cannot be reached now; a minute later they may."""


@dataclass(frozen=True, slots=True)
class Connection:
    """What the resources need to know beyond what AWS's and Azure's own libraries read."""

    bucket: str
    sagemaker_role_arn: str
    region: str
    subscription_id: str
    resource_manager_url: str
    consoles: Consoles

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
                f"MC_TARGET=cloud needs {', '.join(missing)} to be set. "
                "docs/cloud-setup.md explains each variable."
            )
        url = environ.get("AZURE_RESOURCE_MANAGER_URL") or PUBLIC_RESOURCE_MANAGER
        region = found["AWS_DEFAULT_REGION"]
        return cls(
            bucket=found["MC_BUCKET"],
            sagemaker_role_arn=found["MC_SAGEMAKER_ROLE_ARN"],
            region=region,
            subscription_id=found["AZURE_SUBSCRIPTION_ID"],
            resource_manager_url=url.rstrip("/"),
            consoles=Consoles.of_clouds(region, url),
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
    consoles = _connect_local_clouds() if name == "local" else None
    connection = Connection.from_environ()
    if consoles:
        connection = replace(connection, consoles=consoles)
    # boto3 reads AWS_DEFAULT_REGION alone, though AWS's other tools read AWS_REGION as well.
    os.environ.setdefault("AWS_DEFAULT_REGION", connection.region)
    _require_credentials(connection)
    return connection


def azure_credential() -> Any:
    """azure-identity's default chain: environment, workload or managed identity, Azure CLI."""
    # One a process and identity: each keeps its own tokens, and Dagster makes the resources anew
    # for every step.
    return _credential(*(os.environ.get(name) for name in AZURE_IDENTITY))


@lru_cache(maxsize=4)
def _credential(*_identity: str | None) -> Any:
    from azure.identity import DefaultAzureCredential

    authority = urlsplit(os.environ.get("AZURE_AUTHORITY_HOST", "")).hostname
    unknown = authority is not None and authority not in PUBLIC_AUTHORITIES
    return DefaultAzureCredential(disable_instance_discovery=unknown)


@lru_cache(maxsize=4)
def _require_credentials(connection: Connection) -> None:
    """Sign in to both clouds before anything is uploaded or paid for.

    Raises:
        UnreachableError: one of them could not be reached, or could not tell.
        TargetError: either has no credentials, or does not accept them.
    """
    problems = [
        problem for problem in (_problem_with_aws(), _problem_with_azure(connection)) if problem
    ]
    if not problems:
        return
    told = " ".join(text for text, _ in problems)
    if all(outcome.is_retryable for _, outcome in problems):
        raise UnreachableError(f"The clouds could not be reached. {told}")
    raise TargetError(
        f"The clouds do not let us in. {told} docs/cloud-setup.md says which credentials are read."
    )


def _problem_with_aws() -> tuple[str, Outcome] | None:
    """What AWS, or the way to it, has against us, and what that means."""
    import boto3
    from botocore import exceptions

    try:
        boto3.client("sts").get_caller_identity()
    except exceptions.ClientError as error:
        outcome = refusal_outcome(error.response["Error"]["Code"])
        return f"AWS: {str(error).rstrip('.')}. {outcome.advice}", outcome
    except (exceptions.ConnectionError, exceptions.HTTPClientError) as error:
        return f"AWS: {error}.", UNREACHED
    except exceptions.BotoCoreError as error:
        return f"AWS: {str(error).rstrip('.')}.", UNKNOWN
    return None


def _problem_with_azure(connection: Connection) -> tuple[str, Outcome] | None:
    from azure.core.exceptions import AzureError

    try:
        azure_credential().get_token(f"{connection.resource_manager_url}/.default")
    except AzureError as error:
        outcome = azure_outcome(401, str(error))
        # Its other lines repeat what the credential was asked with.
        return f"Azure: {str(error).splitlines()[0]} {outcome.advice}", outcome
    return None


def _connect_local_clouds() -> Consoles:
    """Point this process at the local clouds through the variables AWS's and Azure's tools read.

    Returns:
        their pages about what they keep.
    """
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
    return Consoles.of_local_clouds(settings.aws_url, settings.azure_url)


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
                passing = isinstance(error, UnreachableError)
                raise dg.Failure(str(error), allow_retries=passing) from error
        return self._connection
