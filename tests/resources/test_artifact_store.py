"""S3 as the graph uses it, on the local S3: content keys, records, verdicts, and changed bytes."""

import hashlib
from pathlib import Path

import dagster as dg
import pytest

from mc_assets.artifacts import Dataset, Verdict
from mc_assets.resources.artifact_store import CHUNK, ArtifactStore, split_uri


def verdict(check: str, passed: bool = True) -> Verdict:
    return Verdict(
        asset_key="m/dataset", version="v1", check=check, blocking=True, passed=passed,
        run_id="run", at="2026-01-01T00:00:00+00:00",
    )  # fmt: skip


def test_bytes_come_back_and_are_stored_once(store: ArtifactStore) -> None:
    first = store.put_bytes("things/a", b"hello")
    before = store.head(first.uri)
    assert store.put_bytes("things/a", b"hello") == first
    after = store.head(first.uri)
    assert before is not None
    assert after is not None
    assert before["LastModified"] == after["LastModified"]
    assert store.read(first) == b"hello"
    assert store.measure(first.uri) == first


def test_bytes_changed_behind_our_back_are_refused(store: ArtifactStore) -> None:
    stored = store.put_bytes("things/a", b"hello")
    store.client.put_object(Bucket=store.bucket, Key=stored.key, Body=b"hellO")
    with pytest.raises(dg.Failure, match="was changed after it was recorded"):
        store.read(stored)


def test_a_file_goes_up_and_comes_down_in_pieces(store: ArtifactStore, tmp_path: Path) -> None:
    content = bytes(range(256)) * 80_000  # of three parts
    (tmp_path / "file").write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    sent: list[int] = []
    stored = store.put_file("things/file", tmp_path / "file", sha256, sent=sent.append)
    assert sum(sent) == len(content)
    assert len(sent) > 3, "not said on the way"
    assert store.has(stored)
    assert store.measure(stored.uri) == stored
    pieces = list(store.stream(stored))
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= CHUNK


def test_a_stream_of_changed_bytes_ends_in_a_refusal(store: ArtifactStore) -> None:
    stored = store.put_bytes("things/a", b"hello")
    store.client.put_object(Bucket=store.bucket, Key=stored.key, Body=b"hellO")
    stream = store.stream(stored)
    assert next(stream) == b"hellO"
    with pytest.raises(dg.Failure, match="was changed after it was recorded"):
        next(stream)


def test_what_is_not_there_is_none(store: ArtifactStore) -> None:
    assert store.head(store.uri("nothing")) is None
    assert store.latest(dg.AssetKey(["m", "dataset"]), Dataset) is None


def test_verdicts_are_kept_by_version(store: ArtifactStore) -> None:
    store.write_verdict(verdict("a"))
    store.write_verdict(verdict("b", passed=False))
    found = store.read_verdicts("m/dataset", "v1", ["a", "b", "c"])
    assert found["a"] is not None
    assert found["a"].passed
    assert found["b"] is not None
    assert not found["b"].passed
    assert found["c"] is None
    assert store.read_verdicts("m/dataset", "v2", ["a"]) == {"a": None}


@pytest.mark.parametrize("uri", ["https://bucket/key", "s3://bucket", "s3:///key", ""])
def test_what_is_no_object_uri_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="s3://bucket/key"):
        split_uri(uri)
