"""The document store: written through, ordered, all or nothing, and safe across threads."""

import threading
from pathlib import Path

import pytest

from mc_assets.local_cloud.store import DocumentStore


@pytest.fixture
def store(tmp_path: Path) -> DocumentStore:
    return DocumentStore(tmp_path / "deep" / "store.sqlite")


def test_what_was_put_is_there_for_the_next_process(store: DocumentStore, tmp_path: Path) -> None:
    store.put("site", "b", {"n": 1})
    # Not closed: a process that was killed did not close it either.
    again = DocumentStore(tmp_path / "deep" / "store.sqlite")
    assert again.get("site", "b") == {"n": 1}
    assert again.get("plan", "b") is None


def test_items_are_in_order_and_a_prefix_is_taken_literally(store: DocumentStore) -> None:
    for key in ("b", "a%", "a_", "ab"):
        store.put("site", key, {"key": key})
    assert [key for key, _ in store.items("site")] == ["a%", "a_", "ab", "b"]
    assert [key for key, _ in store.items("site", "a%")] == ["a%"]


def test_a_transaction_that_fails_leaves_nothing(store: DocumentStore) -> None:
    store.put("site", "a", {"n": 1})

    def fail_halfway() -> None:
        with store.transaction():
            store.put("site", "a", {"n": 2})
            store.put("site", "b", {"n": 2})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert store.items("site") == [("a", {"n": 1})]


def test_deleting_says_whether_there_was_anything(store: DocumentStore) -> None:
    store.put("site", "a", {})
    assert store.delete("site", "a")
    assert not store.delete("site", "a")


def test_threads_lose_no_update(store: DocumentStore) -> None:
    store.put("count", "n", {"value": 0})

    def add() -> None:
        for _ in range(50):
            with store.transaction():
                document = store.get("count", "n") or {}
                store.put("count", "n", {"value": document["value"] + 1})

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get("count", "n") == {"value": 200}
