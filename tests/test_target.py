"""Choosing the clouds: legal names, required variables, and one error for all that is missing."""

import pytest

from mc_assets.target import PUBLIC_RESOURCE_MANAGER, Connection, TargetError, read_target

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
