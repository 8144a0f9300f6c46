"""S3 objects and buckets as files: what is on disk, and how it gets there whole or not at all.

One folder per bucket holds `bucket.json` and `objects/`. An object is a JSON document named by the
SHA-256 of its key (a key may be any text) that names its body file. The document's rename is the
moment of truth: a body no document names is left over from an interrupted write, and is removed.
"""

import hashlib
import json
import logging
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from mc_assets.local_cloud.aws.s3_streams import FileSpan
from mc_assets.local_cloud.settings import write_atomically

Document = dict[str, Any]

logger = logging.getLogger(__name__)


class FileBody:
    """An object's bytes, opened afresh for each read, so that many objects hold no descriptors."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._position = 0
        self.lazy = False

    def seek(self, position: int) -> int:
        self._position = position
        return position

    def read(self, size: int = -1) -> Any:
        """The bytes; while `lazy`, something that will read them when they are sent."""
        if self.lazy:
            return FileSpan.whole(self.path)
        with self.path.open("rb") as stream:
            stream.seek(self._position)
            data = stream.read(size)
        self._position += len(data)
        return data

    def close(self) -> None:
        """Nothing is held open between reads."""


class S3Files:
    """The folder that holds every bucket."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)

    @property
    def root(self) -> Path:
        return self._root

    def buckets(self) -> list[str]:
        return sorted(path.parent.name for path in self._root.glob("*/bucket.json"))

    def read_bucket(self, bucket: str) -> Document | None:
        return _read(self._root / bucket / "bucket.json")

    def write_bucket(self, bucket: str, document: Document) -> None:
        (self._root / bucket / "objects").mkdir(parents=True, exist_ok=True)
        write_atomically(self._root / bucket / "bucket.json", json.dumps(document).encode())

    def delete_bucket(self, bucket: str) -> None:
        (self._root / bucket / "bucket.json").unlink(missing_ok=True)
        if (self._root / bucket).exists():
            shutil.rmtree(self._root / bucket)

    def keys(self, bucket: str) -> set[str]:
        return {document["key"] for document in self._documents(bucket)}

    def objects(self, bucket: str) -> list[tuple[Document, FileBody]]:
        """Every whole object of a bucket; what an interrupted write left behind is removed."""
        found = [(document, self.body(bucket, document)) for document in self._documents(bucket)]
        whole = [pair for pair in found if _is_whole(*pair)]
        kept = {body.path for _, body in whole}
        for path in self._folder(bucket).iterdir():
            if path.suffix != ".json" and path not in kept:
                path.unlink()
        return whole

    def body(self, bucket: str, document: Document) -> FileBody:
        return FileBody(self._folder(bucket) / document["body"])

    def write_object(
        self, bucket: str, document: Document, write: Callable[[BinaryIO], None]
    ) -> Document:
        """Write body, then document; returns the document as written, with its body's name.

        Raises:
            OSError: the disk refused. Nothing of the new object is left, the old one still stands.
        """
        name = f"{_digest(document['key'])}.{secrets.token_hex(4)}"
        written = {**document, "body": name}
        path = self._folder(bucket) / name
        try:
            with path.open("wb") as stream:
                write(stream)
            self.write_document(bucket, written)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return written

    def write_document(self, bucket: str, document: Document) -> None:
        """Replace an object's document, and drop the body that only the old one named."""
        path = self._document_path(bucket, document["key"])
        replaced = _read(path)
        write_atomically(path, json.dumps(document).encode())
        if replaced and replaced["body"] != document["body"]:
            self.body(bucket, replaced).path.unlink(missing_ok=True)

    def delete_object(self, bucket: str, key: str) -> None:
        path = self._document_path(bucket, key)
        document = _read(path)
        if document:
            path.unlink()
            self.body(bucket, document).path.unlink(missing_ok=True)

    def _documents(self, bucket: str) -> Iterator[Document]:
        for path in sorted(self._folder(bucket).glob("[!.]*.json")):
            yield json.loads(path.read_text())

    def _document_path(self, bucket: str, key: str) -> Path:
        return self._folder(bucket) / f"{_digest(key)}.json"

    def _folder(self, bucket: str) -> Path:
        return self._root / bucket / "objects"


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _read(path: Path) -> Document | None:
    return json.loads(path.read_text()) if path.exists() else None


def _is_whole(document: Document, body: FileBody) -> bool:
    whole = body.path.exists() and body.path.stat().st_size == document["size"]
    if not whole:
        # Only a power cut can do this: the document's rename waits for the body's last byte.
        logger.warning("Dropped the S3 object %r: its body is not whole.", document["key"])
    return whole
