"""The whole graph on the local clouds: once, again, from one stage, and after a teardown."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from graph_runs import Graph, Ran
from mc_assets import idx
from mc_assets.lifecycle import STAGES
from mc_assets.local_cloud.settings import LocalSettings
from mc_assets.stages.dataset import read_test_set

ASSETS = tuple(stage.key_of(Graph.of("any").lifecycle.settings()).path[-1] for stage in STAGES)
GATES = {"min_training_accuracy": 0.8, "min_test_accuracy": 0.8, "min_endpoint_accuracy": 0.8}
LINEAR_GATES = dict.fromkeys(GATES, 0.6)


@pytest.fixture(scope="module")
def graph(local_clouds: LocalSettings, mnist_subset: Path) -> Graph:
    """The repository's own training code and function, on the subset."""
    return Graph.of(
        "whole",
        dataset_folder=str(mnist_subset),
        training={"hyperparameters": {"epochs": 1, "batch-size": 32}},
        gates=GATES,
    )


@pytest.fixture(scope="module")
def first(graph: Graph) -> Ran:
    return graph.materialise()


@pytest.fixture
def linear(
    local_clouds: LocalSettings,
    mnist_subset: Path,
    linear_code: str,
    request: pytest.FixtureRequest,
) -> Graph:
    """A model of this test's own that trains in a moment."""
    name = f"l{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:8]}"
    return Graph.of(
        name,
        dataset_folder=str(mnist_subset),
        training={"code": linear_code},
        gates=LINEAR_GATES,
    )


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def objects(graph: Graph) -> dict[str, Any]:
    """When each of the model's objects was written, by key."""
    pages = graph.store.client.get_paginator("list_objects_v2").paginate(
        Bucket=graph.store.bucket, Prefix=f"{graph.store.prefix}/{graph.name}/"
    )
    return {each["Key"]: each["LastModified"] for page in pages for each in page["Contents"]}


def jobs(graph: Graph) -> set[str]:
    answer = boto3.client("sagemaker").list_training_jobs(
        NameContains=f"{graph.name}-", MaxResults=100
    )
    return {job["TrainingJobName"] for job in answer["TrainingJobSummaries"]}


def deployments(graph: Graph) -> dict[str, list[str]]:
    """The ids of every deployment that the staging and the live app ever had."""
    found = {}
    for asset in ("staged_endpoint", "live_endpoint"):
        site = graph.azure.web.web_apps.get(
            graph.record(asset).resource_group, graph.record(asset).app
        )
        hosts = {state.host_type: state.name for state in site.properties.host_name_ssl_states}
        answer = requests.get(
            f"https://{hosts['Repository']}/api/deployments",
            headers={"Authorization": f"Bearer {graph.azure.scm_token()}"},
            timeout=30,
        )
        found[asset] = [deployment["id"] for deployment in answer.json()]
    return found


def test_everything_is_materialised_and_every_check_passes(graph: Graph, first: Ran) -> None:
    assert first.success, first.messages[-30:]
    assert tuple(first.materialised) == ASSETS
    defined = {
        f"{key.asset_key.path[-1]} {key.name}"
        for key in graph.defs.resolve_asset_graph().asset_check_keys
    }
    assert set(first.checks) == defined
    assert first.failed_checks == set()


def test_data_versions_are_the_sha256_of_what_was_made(graph: Graph, first: Ran) -> None:
    dataset, package = graph.record("dataset"), graph.record("function_package")
    contents = {
        "trained_model": graph.record("trained_model").archive,
        "onnx_model": graph.record("onnx_model").model,
        "function_package": package.package,
        "staged_endpoint": package.package,
        "live_endpoint": package.package,
    }
    for asset, stored in contents.items():
        body = graph.store.client.get_object(Bucket=graph.store.bucket, Key=stored.key)["Body"]
        assert first.data_version(asset) == sha256(body.read()), asset
    lines = [f"{name} {sha256(graph.store.read(file))}\n" for name, file in dataset.files.items()]
    assert first.data_version("dataset") == sha256("".join(sorted(lines)).encode())


def test_the_live_endpoint_names_every_version_it_is_made_of(graph: Graph, first: Ran) -> None:
    lineage = {f"{graph.name}/{asset}": first.data_version(asset) for asset in ASSETS}
    assert graph.record("live_endpoint").lineage == lineage
    rows = first.metadata("live_endpoint", "lineage").records
    assert {row.data["asset"]: row.data["version"] for row in rows} == lineage
    places = {row.data["asset"].partition("/")[2]: row.data["where"] for row in rows}
    assert places["trained_model"] == graph.record("trained_model").job_arn
    assert places["live_endpoint"] == graph.record("live_endpoint").url
    for asset in ("onnx_model", "function_package"):
        head = graph.store.head(places[asset])
        assert head is not None
        assert head["Metadata"]["sha256"] == lineage[f"{graph.name}/{asset}"]


@pytest.mark.parametrize(
    ("asset", "link", "told"),
    [
        ("dataset", "s3_console", "training/train-images-idx3-ubyte"),
        ("trained_model", "sagemaker_console", "Completed"),
        ("trained_model", "cloudwatch_logs", "test_accuracy="),
        ("trained_model", "s3_console", "model.tar.gz"),
        ("onnx_model", "s3_console", ".onnx"),
        ("function_package", "s3_console", ".zip"),
        ("staged_endpoint", "azure_portal", "/api/classify"),
        ("live_endpoint", "azure_portal", "/api/classify"),
    ],
)
def test_every_link_opens_a_page_about_it(
    graph: Graph, first: Ran, asset: str, link: str, told: str
) -> None:
    page = requests.get(first.metadata(asset, link), timeout=30)
    assert page.status_code == 200
    assert told in page.text
    assert [secret for secret in graph.secrets() if secret in page.text] == []


def test_users_get_this_models_answers(graph: Graph, first: Ran) -> None:
    live = graph.record("live_endpoint")
    client = graph.releases.client(live)
    images, labels = read_test_set(graph.store, graph.record("dataset"))
    answer = client.classify(images)
    assert answer.model_sha256 == graph.record("onnx_model").version
    assert (labels == answer.digits).mean() >= GATES["min_endpoint_accuracy"]
    wrong_key = replace(client, key="wrong").post(images[:1].tobytes(), "application/octet-stream")
    assert wrong_key.status_code == 401


def test_training_speaks_in_the_runs_log(first: Ran) -> None:
    spoken = [line for line in first.messages if line.startswith("[training] ")]
    assert any("test_accuracy=" in line for line in spoken)
    assert any(line.startswith("[build ") for line in first.messages)


def test_no_secret_is_in_the_log_or_the_metadata(graph: Graph, first: Ran) -> None:
    secrets = graph.secrets()
    assert len(secrets) == 4
    assert all(len(secret) > 12 for secret in secrets)
    assert [line for line in first.log for secret in secrets if secret in line] == []


def test_again_nothing_is_uploaded_trained_or_deployed(graph: Graph, first: Ran) -> None:
    before = objects(graph), jobs(graph), deployments(graph)
    again = graph.materialise()
    assert again.success
    assert again.failed_checks == set()
    assert {asset: again.data_version(asset) for asset in ASSETS} == {
        asset: first.data_version(asset) for asset in ASSETS
    }
    assert (objects(graph), jobs(graph), deployments(graph)) == before
    assert len(jobs(graph)) == 1
    assert again.metadata("dataset", "uploaded") is False
    assert again.metadata("trained_model", "job") == "adopted"
    assert again.metadata("live_endpoint", "release") == "already serving"


def test_the_checks_job_checks_everything_and_makes_nothing(graph: Graph, first: Ran) -> None:
    ran = graph.run_job("checks")
    assert ran.success
    assert ran.materialised == {}
    assert set(ran.checks) == set(first.checks)
    assert ran.failed_checks == set()


def test_a_live_app_that_serves_something_else_fails_the_checks_job(
    graph: Graph, first: Ran
) -> None:
    live = graph.record("live_endpoint")
    other = live.model_copy(update={"content_version": "0" * 64})
    graph.store.write_latest(graph.key("live_endpoint"), other)
    try:
        ran = graph.run_job("checks")
    finally:
        graph.store.write_latest(graph.key("live_endpoint"), live)
    assert not ran.success
    assert ran.failed_checks == {
        "live_endpoint prediction_accuracy",
        "live_endpoint latency",
        "live_endpoint serves_promoted_version",
    }


def test_teardown_removes_what_azure_has_and_the_release_can_be_made_again(
    graph: Graph, first: Ran
) -> None:
    url = graph.record("live_endpoint").url
    removed = graph.run_job("teardown")
    assert removed.success
    gone = [line for line in removed.messages if line.startswith("Removed ")]
    for app in (graph.record("live_endpoint").app, graph.record("staged_endpoint").app):
        assert f"Removed Microsoft.Web/sites {app}" in gone
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/api/health", timeout=5)

    nothing = graph.run_job("teardown")
    assert nothing.success
    assert any("nothing to remove" in line for line in nothing.messages)

    alone = graph.materialise("live_endpoint")
    assert not alone.success, "released a package that runs nowhere in staging"
    refusal = alone.failure(f"{graph.name}__live_endpoint")
    assert "materialise staged_endpoint again" in refusal, refusal

    again = graph.materialise("staged_endpoint", "live_endpoint")
    assert again.success, again.messages[-30:]
    assert again.metadata("staged_endpoint", "release") == "deployed"
    assert again.data_version("live_endpoint") == first.data_version("live_endpoint")
    assert again.failed_checks == set()


def test_retrain_starts_a_job_though_nothing_changed(linear: Graph) -> None:
    assert linear.materialise("dataset", "trained_model").success
    before = jobs(linear)
    assert len(before) == 1
    ran = linear.materialise("trained_model", config={"trained_model": {"retrain": True}})
    assert ran.success
    started = jobs(linear) - before
    assert started == {ran.metadata("trained_model", "job_name")}
    assert ran.metadata("trained_model", "job") == "trained"


def test_a_training_script_that_raises_is_quoted(linear: Graph, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("raise RuntimeError('the pixels have run out')\n")
    broken = Graph.of(
        linear.name,
        dataset_folder=str(linear.lifecycle.dataset_folder),
        training={"code": str(tmp_path)},
    )
    ran = broken.materialise()
    assert not ran.success
    assert "RuntimeError: the pixels have run out" in ran.failure(f"{linear.name}__trained_model")
    assert tuple(ran.materialised) == ("dataset",)


def test_a_model_below_the_floor_stops_at_its_check_and_cannot_be_staged(linear: Graph) -> None:
    strict = Graph.of(
        linear.name,
        dataset_folder=str(linear.lifecycle.dataset_folder),
        training={"code": linear.lifecycle.training.code},
        gates={**LINEAR_GATES, "min_test_accuracy": 1.0},
    )
    ran = strict.materialise()
    assert not ran.success
    assert ran.failed_checks == {"onnx_model test_accuracy"}
    assert tuple(ran.materialised) == ASSETS[:3]

    assert strict.materialise("function_package").success
    staged = strict.materialise("staged_endpoint")
    assert not staged.success
    version = ran.data_version("onnx_model")[:12]
    failure = staged.failure(f"{linear.name}__staged_endpoint")
    assert f"{linear.name}/onnx_model {version} test_accuracy: failed in run" in failure
    assert failure.count(": failed in run") == 1
    assert "never ran" not in failure
    groups = strict.azure.resources.resource_groups
    assert not groups.check_existence(f"rg-mc-{linear.name}")


def test_other_data_make_another_version(linear: Graph, tmp_path: Path) -> None:
    ran = linear.materialise("dataset")
    for name in idx.MNIST_FILES:
        data = (Path(str(linear.lifecycle.dataset_folder)) / name).read_bytes()
        read = idx.read_images if "images" in name else idx.read_labels
        (tmp_path / name).write_bytes(idx.write(read(data)[:100]))
    other = Graph.of(linear.name, dataset_folder=str(tmp_path)).materialise("dataset")
    assert other.success
    assert other.metadata("dataset", "source") == str(tmp_path)
    assert other.found("dataset files_and_shapes", "training_images") == 100
    assert other.data_version("dataset") != ran.data_version("dataset")


def test_a_folder_without_labels_is_refused_by_name(linear: Graph, tmp_path: Path) -> None:
    complete = Path(str(linear.lifecycle.dataset_folder))
    shutil.copy(complete / idx.TRAIN_IMAGES, tmp_path)
    ran = Graph.of(linear.name, dataset_folder=str(tmp_path)).materialise("dataset")
    assert not ran.success
    failure = ran.failure(f"{linear.name}__dataset")
    assert str(tmp_path) in failure
    assert idx.TRAIN_LABELS in failure
