"""Everything that a run makes on AWS says whose it is, which run made it, how long it may stay."""

from pathlib import Path

import boto3
import pytest

from graph_runs import Graph, Ran
from mc_assets.local_cloud.settings import LocalSettings
from mc_assets.ownership import OWNER_TAG, RUN_TAG, TTL_TAG, ownership_tags

TESTS = Path(__file__).parent.parent
GATES = {"min_training_accuracy": 0.6, "min_test_accuracy": 0.6, "min_endpoint_accuracy": 0.6}


@pytest.fixture
def trained(local_clouds: LocalSettings, mnist_subset: Path, tmp_path: Path) -> tuple[Graph, Ran]:
    """A model from its dataset to its package."""
    (tmp_path / "train.py").write_text((TESTS / "linear_training.py").read_text())
    (tmp_path / "tiny_onnx.py").write_text((TESTS / "tiny_onnx.py").read_text())
    graph = Graph.of(
        "tagged",
        dataset_folder=str(mnist_subset),
        training={"code": str(tmp_path)},
        gates=GATES,
        retention_days=12,
    )
    return graph, graph.materialise("dataset", "trained_model", "onnx_model", "function_package")


def test_jobs_bytes_records_and_verdicts_are_tagged(trained: tuple[Graph, Ran]) -> None:
    graph, ran = trained
    assert ran.success, ran.messages[-20:]
    run_id, store = ran.result.run_id, graph.store
    may_go, stays = (ownership_tags("tagged", run_id, days) for days in (12, None))
    job = boto3.client("sagemaker").list_tags(ResourceArn=graph.record("trained_model").job_arn)
    of_job = {tag["Key"]: tag["Value"] for tag in job["Tags"]}
    assert {tag: of_job[tag] for tag in (OWNER_TAG, RUN_TAG, TTL_TAG)} == may_go
    found = {each.key: store.tags(each.key) for each in store.objects("tagged/")}
    # SageMaker itself writes what a job leaves: its tags are the job's.
    outputs = {key for key in found if key.startswith("tagged/jobs/")}
    assert outputs
    assert [tags for key, tags in found.items() if key not in outputs] == [may_go] * 13
    says = [
        each.key for place in ("records", "verdicts") for each in store.objects(f"{place}/tagged/")
    ]
    assert len(says) > 10
    assert [store.tags(key) for key in says] == [stays] * len(says)


def test_a_sweep_finds_nothing_to_delete_of_what_is_in_use(trained: tuple[Graph, Ran]) -> None:
    graph, ran = trained
    assert ran.success
    before = {each.key for each in graph.store.objects("tagged/")}
    assert graph.run_job("sweep", sweep_orphans={"delete": True}).success
    assert {each.key for each in graph.store.objects("tagged/")} == before
