"""The dataset asset and its checks, on small datasets with one thing wrong each."""

from pathlib import Path

import numpy as np
import pytest
from by_hand import TESTING, TRAINING, folder_of

from graph_runs import Graph, Ran
from mc_assets import idx
from tiny_onnx import tiny_images

pytestmark = pytest.mark.usefixtures("local_clouds")


def materialised(name: str, folder: Path) -> Ran:
    return Graph.of(name, dataset_folder=str(folder)).materialise("dataset")


def test_a_sound_dataset_passes_every_check(name: str, tmp_path: Path) -> None:
    ran = materialised(name, folder_of(tmp_path))
    assert ran.success
    assert len(ran.checks) == 3
    assert ran.failed_checks == set()
    assert ran.metadata("dataset", "uploaded") is True
    assert ran.metadata("dataset", "training_images") == TRAINING
    assert ran.metadata("dataset", "test_images") == TESTING
    uploads = [line for line in ran.messages if line.startswith("Uploaded ")]
    assert len(uploads) == 4
    assert f"Uploaded {idx.TRAIN_LABELS}: 0.0 of 0.0 MB." in uploads


def test_what_is_in_it_is_shown(name: str, tmp_path: Path) -> None:
    graph = Graph.of(name, dataset_folder=str(folder_of(tmp_path)))
    ran = graph.materialise("dataset")
    for picture in ("class_balance", "sample_images"):
        small = ran.found("dataset class_balance", picture)
        assert "](data:image/png;base64," in small
        assert len(small) < 100_000
        full_size = ran.found("dataset class_balance", f"{picture}_full_size")
        assert graph.record("dataset").version in full_size
        assert graph.store.head(full_size) is not None
    before = list(graph.store.objects(f"{name}/"))
    assert graph.check("dataset").success
    assert list(graph.store.objects(f"{name}/")) == before, "the same pictures are kept once"


def test_a_label_short_is_a_blocking_mismatch(name: str, tmp_path: Path) -> None:
    labels = np.arange(TRAINING - 1, dtype=np.uint8) % 10
    ran = materialised(name, folder_of(tmp_path, training=(tiny_images(TRAINING), labels)))
    assert not ran.success
    assert ran.failed_checks == {"dataset files_and_shapes"}
    problems = ran.found("dataset files_and_shapes", "problems")
    assert problems == ["60 training images but 59 labels"]
    assert ran.checks["dataset files_and_shapes"].description == problems[0]


def test_no_test_images_are_a_blocking_mismatch(name: str, tmp_path: Path) -> None:
    nothing = np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.uint8)
    ran = materialised(name, folder_of(tmp_path, testing=nothing))
    assert not ran.success
    assert "dataset files_and_shapes" in ran.failed_checks


def test_a_leaked_image_is_told(name: str, tmp_path: Path) -> None:
    training = tiny_images(TRAINING)
    labels = np.arange(TRAINING, dtype=np.uint8) % 10
    testing = np.concatenate([training[7:9], tiny_images(10, seed=5)]), np.zeros(12, np.uint8)
    ran = materialised(name, folder_of(tmp_path, (training, labels), testing))
    assert ran.failed_checks == {"dataset no_leakage"}
    assert ran.found("dataset no_leakage", "leaked_images") == 2
    said = ran.checks["dataset no_leakage"].description
    assert said == "2 of 12 test images are among the training images."


def test_a_rare_class_is_told_and_blocks_nothing(name: str, tmp_path: Path) -> None:
    labels = np.arange(TRAINING, dtype=np.uint8) % 10
    labels[labels == 3] = 4
    ran = materialised(name, folder_of(tmp_path, training=(tiny_images(TRAINING), labels)))
    assert ran.success
    assert ran.failed_checks == {"dataset class_balance"}
    assert "12.00 times as often" in str(ran.checks["dataset class_balance"].description)


def test_what_is_no_idx_file_is_refused(name: str, tmp_path: Path) -> None:
    (folder_of(tmp_path) / idx.TEST_LABELS).write_bytes(b"seven, two, one")
    ran = materialised(name, tmp_path)
    assert not ran.success
    assert idx.TEST_LABELS in ran.failure(f"{name}__dataset")
    assert ran.materialised == {}


def test_an_object_changed_in_the_bucket_is_found(name: str, tmp_path: Path) -> None:
    graph = Graph.of(name, dataset_folder=str(folder_of(tmp_path)))
    assert graph.materialise("dataset").success
    store, file = graph.store, graph.record("dataset").files[idx.TRAIN_IMAGES]
    store.client.put_object(Bucket=store.bucket, Key=file.key, Body=b"x" * file.size)
    checked = graph.check("dataset")
    assert not checked.success
    failure = checked.failure(f"{name}__dataset_contents")
    assert "was changed after it was recorded" in failure
