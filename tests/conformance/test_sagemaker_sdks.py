"""The SageMaker Python SDK, versions 3 and 2, unmodified, against the local SageMaker."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from client_environments import Client
from outside_world import Gatekeeper, gatekeeper
from terminal import Open
from training_container import GROUP, SCRIPTS

# The SDK's defaults as somebody with a real account keeps them at home.
A_USERS_DEFAULTS = {
    "SchemaVersion": "1.0",
    "SageMaker": {
        "PythonSDK": {"Modules": {"Session": {"DefaultS3Bucket": "of-a-real-account"}}},
        "TrainingJob": {
            "RoleArn": "arn:aws:iam::999999999999:role/of-a-real-account",
            "OutputDataConfig": {"KmsKeyId": "of-a-real-account"},
        },
    },
}


@pytest.fixture(scope="module")
def outside() -> Iterator[Gatekeeper]:
    with gatekeeper() as keeper:
        yield keeper


@pytest.fixture(scope="module")
def v3(client: Client, open_terminal: Open, outside: Gatekeeper) -> dict[str, Any]:
    """What two ModelTrainers left, and all that was said meanwhile."""
    return carried_out("sagemaker-sdk", "with_sdk_v3.py", client, open_terminal, outside)


@pytest.fixture(scope="module")
def v2(client: Client, open_terminal: Open, outside: Gatekeeper) -> dict[str, Any]:
    """What a PyTorch estimator left, and all that was said meanwhile."""
    return carried_out("sagemaker-sdk-v2", "with_sdk_v2.py", client, open_terminal, outside)


def carried_out(
    sdk: str, script: str, client: Client, open_terminal: Open, outside: Gatekeeper
) -> dict[str, Any]:
    terminal = open_terminal(client(sdk).folder / "bin", **outside.variables)
    defaults = terminal.home / ".config" / "sagemaker" / "config.yaml"
    defaults.parent.mkdir(parents=True)
    defaults.write_text(json.dumps(A_USERS_DEFAULTS))
    ran = terminal.must("python", str(SCRIPTS / script), "answer.json")
    answer = json.loads((terminal.home / "answer.json").read_text())
    return {**answer, "said": ran.stdout + ran.stderr}


def test_v3_trains_with_logs_and_metrics(v3: dict[str, Any]) -> None:
    single = v3["single"]
    assert single["status"] == "Completed"
    assert single["channels"] == ["training", "code", "sm_drivers"]
    assert [name for name, _ in single["metrics"]] == ["loss"]
    model = single["files"]["model.json"]
    assert (model["epochs"], model["learning_rate"], model["optimizer"]) == (3, 0.02, "momentum")
    for epoch in (1, 2, 3):
        assert f"epoch={epoch} loss=" in v3["said"], "logs=True shows what the script prints"
    assert "Final Resource Status: Completed" in v3["said"]


def test_v3_torchrun_runs_two_processes_on_one_instance(v3: dict[str, Any]) -> None:
    ranks = [v3["distributed"][f"rank-{rank}.json"] for rank in (0, 1)]
    assert [rank["rank"] for rank in ranks] == [0, 1]
    for rank in ranks:
        assert rank["world_size"] == 2
        assert rank["sum"] == 3.0, "1 of the first and 2 of the second, over gloo"
        assert (rank["hosts"], rank["host_count"], rank["host_rank"]) == (["algo-1"], 1, 0)
        assert rank["resources"]["instance_groups"] == [GROUP]


def test_v2_fits_a_pytorch_estimator(v2: dict[str, Any]) -> None:
    model = v2["model"]
    assert (model["epochs"], model["learning_rate"], model["optimizer"]) == (2, 0.03, "sgd")
    assert model["channels"] == ["testing", "training"]
    assert v2["model_data"].endswith(f"/{v2['name']}/output/model.tar.gz")
    assert [name for name, _ in v2["metrics"]] == ["loss"]


def test_v2_shows_the_log_and_attaches(v2: dict[str, Any]) -> None:
    assert v2["said"].count("epoch=2 loss=") == 2, "once by fit, once by logs"
    assert f"Billable seconds: {v2['billable']}\n" in v2["said"]
    assert v2["attached"] == [v2["model_data"], "2"]


def test_a_users_own_defaults_do_not_reach_the_job(v3: dict[str, Any], v2: dict[str, Any]) -> None:
    assert (v3["single"]["key"], v2["key"]) == ("", "")
    assert "of-a-real-account" not in v3["said"] + v2["said"]


@pytest.mark.parametrize("sdk", ["v3", "v2"])
def test_nothing_was_asked_of_the_world(
    sdk: str, outside: Gatekeeper, request: pytest.FixtureRequest
) -> None:
    # Without the defaults of `mc-local env` both versions report the account, and ask AWS for it.
    request.getfixturevalue(sdk)
    assert outside.asked == []


def test_a_question_to_the_world_would_be_noticed(client: Client, open_terminal: Open) -> None:
    with gatekeeper() as keeper:
        terminal = open_terminal(client("boto3").folder / "bin", **keeper.variables)
        ask = "import boto3; boto3.client('sts', endpoint_url='https://sts.example').{}()"
        terminal.run("python", "-c", ask.format("get_caller_identity"), AWS_MAX_ATTEMPTS="1")
        assert keeper.asked == ["sts.example:443"]
