"""Choosing the clouds: legal names, required variables, and one error for all that is missing."""

import dagster as dg
import pytest

from mc_assets.consoles import Consoles
from mc_assets.local_cloud.settings import LocalSettings
from mc_assets.target import (
    PUBLIC_RESOURCE_MANAGER,
    CloudTarget,
    Connection,
    TargetError,
    read_target,
)
from ports import free_ports

COMPLETE = {
    "MC_BUCKET": "bucket",
    "MC_SAGEMAKER_ROLE_ARN": "arn:aws:iam::123456789012:role/trainer",
    "AWS_REGION": "eu-west-2",
    "AZURE_SUBSCRIPTION_ID": "00000000-0000-0000-0000-000000000001",
}


def test_the_target_is_local_unless_said_otherwise() -> None:
    assert read_target({}) == "local"
    assert read_target({"MC_TARGET": "cloud"}) == "cloud"


@pytest.mark.parametrize("value", ["", "aws", "Local", "local "])
def test_an_unknown_target_is_refused_with_the_legal_ones(value: str) -> None:
    with pytest.raises(TargetError, match="local or cloud"):
        read_target({"MC_TARGET": value})


def test_every_missing_variable_is_named_in_one_error() -> None:
    with pytest.raises(TargetError) as caught:
        Connection.from_environ({"MC_BUCKET": "bucket"})
    for name in ("MC_SAGEMAKER_ROLE_ARN", "AWS_DEFAULT_REGION", "AZURE_SUBSCRIPTION_ID"):
        assert name in str(caught.value)
    assert "MC_BUCKET" not in str(caught.value)


def test_either_region_variable_does_and_the_public_cloud_is_the_default() -> None:
    connection = Connection.from_environ(COMPLETE)
    assert connection.region == "eu-west-2"
    assert connection.resource_manager_url == PUBLIC_RESOURCE_MANAGER
    assert connection.consoles == Consoles.of_clouds("eu-west-2", PUBLIC_RESOURCE_MANAGER)


def test_the_local_target_shows_the_local_clouds_own_pages(local_clouds: LocalSettings) -> None:
    expected = Consoles.of_local_clouds(local_clouds.aws_url, local_clouds.azure_url)
    assert CloudTarget(name="local").connection.consoles == expected


@pytest.mark.parametrize(
    ("variable", "scheme", "cloud"),
    [("AWS_ENDPOINT_URL", "http", "AWS"), ("AZURE_AUTHORITY_HOST", "https", "Azure")],
)
def test_a_cloud_that_is_not_reached_is_tried_again(
    local_clouds: LocalSettings,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    scheme: str,
    cloud: str,
) -> None:
    monkeypatch.setenv("MC_BUCKET", f"not-signed-in-yet-{cloud.lower()}")
    monkeypatch.setenv(variable, f"{scheme}://127.0.0.1:{free_ports(1)[0]}")
    with pytest.raises(dg.Failure, match=rf"could not be reached\. {cloud}: ") as failed:
        _ = CloudTarget(name="cloud").connection
    assert failed.value.allow_retries


def test_a_cloud_that_refuses_the_credentials_is_not(
    local_clouds: LocalSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MC_BUCKET", "not-signed-in-yet")
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "not the secret")
    with pytest.raises(dg.Failure, match=r"do not let us in\. Azure: .+ renew them") as refused:
        _ = CloudTarget(name="cloud").connection
    assert not refused.value.allow_retries
    assert "not the secret" not in str(refused.value)
