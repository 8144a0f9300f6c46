"""The checks of a trained archive: exactly its files, and an accuracy above the floor."""

from pathlib import Path

import boto3
import pytest
from by_hand import ByHand, archive

from graph_runs import Graph

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


def test_a_script_that_saves_nothing_is_caught(hand: ByHand, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print('all done')\n")
    graph = Graph.quick(hand.graph.name, training={"code": str(tmp_path)})
    ran = graph.materialise("trained_model")
    assert not ran.success
    assert "trained_model archive_contents" in ran.failed_checks


def test_a_job_beyond_the_budget_is_never_submitted(hand: ByHand) -> None:
    cost = {"prices": {"ml.m5.xlarge": 0.23}, "as_of": "2026-11", "budget_per_job": 0.2}
    graph = Graph.quick(hand.graph.name, training={"cost": cost, "max_runtime": 3600})
    ran = graph.materialise("trained_model")
    assert ran.failure(f"{graph.name}__trained_model").startswith(
        "No training job was started: 3600 s cost up to 0.23 USD"
    )
    jobs = boto3.client("sagemaker").list_training_jobs(NameContains=f"{graph.name}-")
    assert jobs["TrainingJobSummaries"] == []


def test_a_job_tells_what_it_cost(hand: ByHand, tmp_path: Path) -> None:
    save = "import os, pathlib\npathlib.Path(os.environ['SM_MODEL_DIR'], 'model').touch()\n"
    (tmp_path / "train.py").write_text(save)
    cost = {"prices": {"ml.m5.xlarge": 3600.0}, "as_of": "2026-11", "budget_per_job": 10000}
    training = {"code": str(tmp_path), "cost": cost, "spot": True, "max_runtime": 60}
    ran = Graph.quick(hand.graph.name, training=training).materialise("trained_model")
    billable = ran.metadata("trained_model", "billable_seconds")
    assert ran.metadata("trained_model", "estimated_cost") == pytest.approx(billable)
    assert ran.metadata("trained_model", "price") == (
        "3600.0 USD per hour of ml.m5.xlarge as of 2026-11"
    )
    assert ran.metadata("trained_model", "instance_type") == "ml.m5.xlarge"
    assert 0 <= ran.metadata("trained_model", "spot_saving") <= 1


def test_a_job_without_a_network_gets_its_code_all_the_same(hand: ByHand, tmp_path: Path) -> None:
    save = "import os, pathlib\npathlib.Path(os.environ['SM_MODEL_DIR'], 'model').touch()\n"
    (tmp_path / "train.py").write_text(save)
    training = {"code": str(tmp_path), "network_isolation": True}
    ran = Graph.quick(hand.graph.name, training=training).materialise("trained_model")
    assert ran.metadata("trained_model", "job") == "trained"
