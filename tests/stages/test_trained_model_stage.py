"""The checks of a trained archive: exactly its files, and an accuracy above the floor."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from by_hand import ByHand

from archives import archive
from graph_runs import Graph, Ran
from mc_assets.ownership import OUTLIVES_RUN_TAG
from mc_assets.resources.training import SageMakerTraining

SAVE = "import os, pathlib\npathlib.Path(os.environ['SM_MODEL_DIR'], 'model').touch()\n"
SAVE_ALL = """
import os, pathlib
for name, data in {files}.items():
    pathlib.Path(os.environ["SM_MODEL_DIR"], name).write_bytes(data)
"""
FILES = {"model.onnx": b"o", "model.pt": b"p", "metrics.json": b"{}", "reference.npz": b"r"}


def test_the_four_files_and_a_good_accuracy_pass(hand: ByHand) -> None:
    hand.trained(archive(FILES), accuracy=0.5)
    ran = hand.graph.check("trained_model")
    assert ran.success
    assert len(ran.checks) == 2
    assert ran.failed_checks == set()


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (archive({**FILES, "extra.py": b"import os"}), "extra.py"),
        (archive({**FILES, "../model.pt": b"p"}), "../model.pt"),
        (archive({name: FILES[name] for name in list(FILES)[:3]}), "reference.npz"),
        (archive(FILES)[:-20], "truncated"),
        (b"no archive", "gzip"),
    ],
    ids=["a file too many", "a path", "a file short", "truncated", "no gzip"],
)
def test_any_other_archive_blocks(hand: ByHand, data: bytes, fault: str) -> None:
    hand.trained(data)
    ran = hand.graph.check("trained_model")
    assert not ran.success
    assert ran.failed_checks == {"trained_model archive_contents"}
    assert fault in str(ran.checks["trained_model archive_contents"].description)


def test_an_accuracy_below_the_floor_blocks(hand: ByHand) -> None:
    hand.trained(archive(FILES), accuracy=0.49)
    ran = hand.graph.check("trained_model")
    assert not ran.success
    assert ran.failed_checks == {"trained_model training_metrics"}
    assert ran.checks["trained_model training_metrics"].description == (
        "The training job measured an accuracy of 0.4900, below min_training_accuracy 0.5."
    )


def test_a_script_that_saves_nothing_is_caught(hand: ByHand, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print('all done')\n")
    graph = Graph.of(hand.graph.name, training={"code": str(tmp_path)})
    ran = graph.materialise("trained_model")
    assert not ran.success
    assert "trained_model archive_contents" in ran.failed_checks


def test_a_job_beyond_the_budget_is_never_submitted(hand: ByHand) -> None:
    cost = {"prices": {"ml.m5.xlarge": 0.23}, "as_of": "2026-11", "budget_per_job": 0.2}
    graph = Graph.of(hand.graph.name, training={"cost": cost, "max_runtime": 3600})
    ran = graph.materialise("trained_model")
    assert ran.failure(f"{graph.name}__trained_model").startswith(
        "No training job was started: 3600 s cost up to 0.23 USD"
    )
    jobs = boto3.client("sagemaker").list_training_jobs(NameContains=f"{graph.name}-")
    assert jobs["TrainingJobSummaries"] == []


def priced(hand: ByHand, folder: Path, script: str) -> Graph:
    """A model trained by this script, at a unit of money a second."""
    (folder / "train.py").write_text(script)
    cost = {"prices": {"ml.m5.xlarge": 3600.0}, "as_of": "2026-11", "budget_per_job": 10000}
    training = {"code": str(folder), "cost": cost, "spot": True, "max_runtime": 60}
    return Graph.of(hand.graph.name, training=training)


def test_a_job_tells_what_it_cost_and_its_adoption_that_it_cost_nothing_more(
    hand: ByHand, tmp_path: Path
) -> None:
    graph = priced(hand, tmp_path, SAVE)
    ran = graph.materialise("trained_model")

    def told(name: str) -> Any:
        return ran.metadata("trained_model", name)

    billable = told("billable_seconds")
    assert billable > 0
    assert told("job_cost") == told("estimated_cost") == billable
    assert told("price") == "3600.0 USD per hour of ml.m5.xlarge as of 2026-11"
    assert told("instance_type") == "ml.m5.xlarge"
    assert told("spot_saving") == round(1 - billable / told("training_seconds"), 4)
    ran = graph.materialise("trained_model")
    assert told("job") == "adopted"
    assert (told("estimated_cost"), told("job_cost")) == (0, billable)


def test_a_job_that_failed_tells_what_it_cost(hand: ByHand, tmp_path: Path) -> None:
    graph = priced(hand, tmp_path, "import time\ntime.sleep(1)\nraise SystemExit('no more')\n")
    ran = graph.materialise("trained_model")
    failed = ran.result.failure_data_for_node(f"{graph.name}__trained_model")
    assert failed is not None
    assert failed.user_failure_data is not None
    told: dict[str, Any] = {
        name: value.value for name, value in failed.user_failure_data.metadata.items()
    }
    assert told["billable_seconds"] > 0
    assert told["job_cost"] == told["estimated_cost"] == told["billable_seconds"]
    assert told["price"] == "3600.0 USD per hour of ml.m5.xlarge as of 2026-11"
    assert "ended Failed" in str(failed.user_failure_data.description)


@pytest.mark.parametrize(
    ("metrics", "kept", "said"),
    [
        ('{"loss": NaN, "test_accuracy": 0.3}', {"test_accuracy": 0.3}, "accuracy of 0.3000"),
        ('{"test_accuracy": NaN}', {}, "no number test_accuracy"),
        ("[0.99]", {}, "no number test_accuracy"),
    ],
)
def test_metrics_that_are_no_numbers_are_not_recorded(
    hand: ByHand, tmp_path: Path, metrics: str, kept: dict[str, float], said: str
) -> None:
    files = {**FILES, "metrics.json": metrics.encode()}
    (tmp_path / "train.py").write_text(SAVE_ALL.format(files=files))
    graph = Graph.of(hand.graph.name, training={"code": str(tmp_path)})
    ran = graph.materialise("trained_model")
    assert ran.failed_checks == {"trained_model training_metrics"}
    assert said in str(ran.checks["trained_model training_metrics"].description)
    assert graph.record("trained_model").metrics == kept


def told_by(hand: ByHand, folder: Path, metrics: dict[str, Any]) -> Ran:
    """A training whose metrics.json says this."""
    files = {**FILES, "metrics.json": json.dumps({"test_accuracy": 0.99, **metrics}).encode()}
    (folder / "train.py").write_text(SAVE_ALL.format(files=files))
    return Graph.of(hand.graph.name, training={"code": str(folder)}).materialise("trained_model")


def test_how_the_training_went_is_shown(hand: ByHand, tmp_path: Path) -> None:
    epoch = {"epoch": 1, "step": 60, "train_loss": 0.5, "test_loss": 0.4, "test_accuracy": 0.9}
    metrics = {"losses": [[20, 1.5], [40, 0.7]], "epochs": [epoch], "train_loss": 0.5}
    ran = told_by(hand, tmp_path, metrics)
    assert ran.success
    assert "](data:image/png;base64," in ran.metadata("trained_model", "training_curves")
    full_size = ran.metadata("trained_model", "training_curves_full_size")
    assert ran.data_version("trained_model") in full_size
    assert hand.graph.store.head(full_size) is not None
    assert ran.metadata("trained_model", "train_loss") == 0.5


@pytest.mark.parametrize("metrics", [{}, {"epochs": [{"accuracy": 0.9}]}], ids=["none", "another"])
def test_a_training_that_tells_no_history_of_ours_is_not_drawn(
    hand: ByHand, tmp_path: Path, metrics: dict[str, Any]
) -> None:
    ran = told_by(hand, tmp_path, metrics)
    assert ran.success
    assert "training_curves" not in ran.materialised["trained_model"].metadata
    said = [line for line in ran.messages if "The training cannot be drawn" in line]
    assert len(said) == bool(metrics)
    assert all("train_loss" in line for line in said)


@pytest.mark.parametrize(("forwards", "tagged"), [(True, False), (False, True)])
def test_a_job_that_may_outlive_its_run_says_so(
    hand: ByHand, tmp_path: Path, *, forwards: bool, tagged: bool
) -> None:
    (tmp_path / "train.py").write_text(SAVE)
    graph = Graph.of(hand.graph.name, training={"code": str(tmp_path)})
    training = SageMakerTraining(store=graph.store, forward_termination=forwards)
    graph = replace(graph, overrides={**graph.overrides, "sagemaker": training})
    graph.materialise("trained_model")
    arn = graph.record("trained_model").job_arn
    tags = boto3.client("sagemaker").list_tags(ResourceArn=arn)["Tags"]
    assert ({"Key": OUTLIVES_RUN_TAG, "Value": "true"} in tags) is tagged


def test_a_job_without_a_network_gets_its_code_all_the_same(hand: ByHand, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SAVE)
    training = {"code": str(tmp_path), "network_isolation": True}
    ran = Graph.of(hand.graph.name, training=training).materialise("trained_model")
    assert ran.metadata("trained_model", "job") == "trained"


@contextmanager
def every_description(act: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """Have this done with what DescribeTrainingJob tells the clients that are made meanwhile."""
    events, call = boto3.DEFAULT_SESSION.events, "after-call.sagemaker.DescribeTrainingJob"

    def told(parsed: dict[str, Any], **_: Any) -> None:
        act(parsed)

    events.register(call, told)
    try:
        yield
    finally:
        events.unregister(call, told)


def test_what_spot_capacity_saved_is_what_was_not_billed(hand: ByHand, tmp_path: Path) -> None:
    # The local cloud bills every second.
    billed = {"TrainingTimeInSeconds": 40, "BillableTimeInSeconds": 10}
    with every_description(lambda job: job.update(billed)):
        ran = priced(hand, tmp_path, SAVE).materialise("trained_model")
    assert ran.metadata("trained_model", "spot_saving") == 0.75
    assert ran.metadata("trained_model", "job_cost") == 10


def test_a_completed_job_without_its_archive_says_so(hand: ByHand, tmp_path: Path) -> None:
    def delete_archive(job: dict[str, Any]) -> None:
        if job.get("TrainingJobStatus") == "Completed":
            archives.append(job["ModelArtifacts"]["S3ModelArtifacts"])
            bucket, _, key = archives[-1].removeprefix("s3://").partition("/")
            boto3.client("s3").delete_object(Bucket=bucket, Key=key)

    archives: list[str] = []
    (tmp_path / "train.py").write_text(SAVE)
    graph = Graph.of(hand.graph.name, training={"code": str(tmp_path)})
    with every_description(delete_archive):
        ran = graph.materialise("trained_model")
    job = archives[0].split("/")[-3]
    assert ran.failure(f"{graph.name}__trained_model") == (
        f"Training job {job} completed but {archives[0]} is missing or empty. The script saved "
        "nothing to SM_MODEL_DIR: mend it, then run again."
    )
