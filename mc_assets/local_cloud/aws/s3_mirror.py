"""S3 that survives: moto's answer to a change is held back until the change is on disk.

Kept: buckets with their configurations (tags, lifecycle, policy, versioning, ...), and the latest
version of each object with its metadata, tags, checksum, ETag and LastModified. Not kept: earlier
versions, ACLs, and the parts of an upload that was not completed.
"""

import hashlib
import logging
import re
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import unquote, urlsplit
from uuid import uuid4
from xml.sax.saxutils import escape

from moto.core.utils import utcnow
from moto.s3.models import FakeBucket, FakeKey, S3Backend, s3_backends
from werkzeug.test import Client
from werkzeug.wrappers import Request, Response

from mc_assets.local_cloud.aws.s3_files import Document, FileBody, S3Files
from mc_assets.local_cloud.aws.s3_streams import PIECE_BYTES, joined_parts
from mc_assets.local_cloud.settings import ACCOUNT_ID, REGION

logger = logging.getLogger(__name__)

# source: the bucket naming rules of the S3 user guide; they also make every name a safe folder.
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

_KEY_ATTRIBUTES = (
    "_etag", "_storage_class", "_version_id", "_is_versioned", "website_redirect_location",
    "encryption", "kms_key_id", "bucket_key_enabled",
    "lock_mode", "lock_legal_status", "lock_until",
    "checksum_algorithm", "checksum_value", "checksum_type", "checksum_parts",
)  # fmt: skip


class S3Mirror:
    """moto's S3 application with a disk behind it; a WSGI application itself."""

    def __init__(self, moto_s3: Any, files: S3Files) -> None:
        self._moto = moto_s3
        self._files = files
        self._lock = threading.RLock()
        for bucket in files.buckets():
            self._load_bucket(bucket)

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        request = Request(environ, populate_request=False)
        if request.method in {"GET", "HEAD", "OPTIONS"}:
            return self._read(request)(environ, start_response)
        try:
            response = self._change(request)
        except OSError as error:
            response = self._disk_refused(error)
        return response(environ, start_response)

    def ensure_bucket(self, bucket: str) -> None:
        with self._lock:
            if not self.has_bucket(bucket):
                _backend().create_bucket(bucket, REGION)
                self._save_bucket(bucket)

    def has_bucket(self, bucket: str) -> bool:
        return bucket in _backend().buckets

    def keys(self, bucket: str, prefix: str) -> list[str]:
        """The keys under a prefix, sorted; none if there is no such bucket."""
        held = _backend().buckets.get(bucket)
        names = [] if held is None else list(held.keys)
        return sorted(
            name
            for name in names
            if name.startswith(prefix) and _current_key(bucket, name) is not None
        )

    def download(self, bucket: str, key: str, path: Path) -> None:
        """Copy an object into a file, never all of it in memory.

        Raises:
            FileNotFoundError: there is no such object.
        """
        with self._lock:
            held = _current_key(bucket, key)
            if held is None:
                raise FileNotFoundError(f"There is no object s3://{bucket}/{key}.")
            shutil.copyfile(_body(held).path, path)

    def upload(self, path: Path, bucket: str, key: str) -> None:
        """Make an object of a file, never all of it in memory."""
        with path.open("rb") as stream:
            etag = hashlib.file_digest(
                stream, lambda: hashlib.md5(usedforsecurity=False)
            ).hexdigest()
        with self._lock:
            held = _backend().get_bucket(bucket)
            document = _plain_document(held, key, path.stat().st_size, etag)
            written = self._files.write_object(bucket, document, partial(_copy_file, path))
            _install(held, written, self._files.body(bucket, written))

    def _read(self, request: Request) -> Response:
        # Alone: moto walks its dictionaries, and a change may take a body's file away.
        with self._lock, _read_when_sent(request):
            return Response.from_app(self._moto, request.environ)

    def _change(self, request: Request) -> Response:
        bucket, key = _address(request)
        if "partNumber" in request.args:
            return Response.from_app(self._moto, request.environ)
        if not key and request.method == "PUT" and not _BUCKET_NAME.fullmatch(bucket):
            return _s3_error(400, "InvalidBucketName", f"{bucket!r} is not a valid bucket name.")
        with self._lock:
            response = Response.from_app(self._moto, request.environ, buffered=True)
            if response.status_code >= 300:
                return response
            try:
                self._save(request, bucket, key)
            except OSError:
                self._load_bucket(bucket)
                raise
        return response

    def _save(self, request: Request, bucket: str, key: str) -> None:
        if key:
            self._save_object(bucket, key)
        elif request.method == "POST":
            self._save_whole_bucket(bucket)
        elif not self.has_bucket(bucket):
            self._files.delete_bucket(bucket)
        else:
            self._save_bucket(bucket, request)

    def _save_object(self, bucket: str, name: str) -> None:
        key = _current_key(bucket, name)
        if key is None:
            self._files.delete_object(bucket, name)
            return
        parts = joined_parts(key)
        if parts:
            key.contentsize = parts.size
        document = _document_of(key)
        buffer: Any = key._value_buffer  # noqa: SLF001 - moto offers no other way to the bytes
        if isinstance(buffer, FileBody):
            self._files.write_document(bucket, {**document, "body": buffer.path.name})
            return
        buffer.seek(0)
        copy = parts.copy if parts else partial(shutil.copyfileobj, buffer)
        written = self._files.write_object(bucket, document, copy)
        _attach_body(key, written, self._files.body(bucket, written))
        if parts:
            parts.close()

    def _save_whole_bucket(self, bucket: str) -> None:
        """After requests that name their keys in the body: DeleteObjects, browser uploads."""
        held = list(_backend().buckets[bucket].keys)
        fresh = (name for name in held if not _is_on_disk(_current_key(bucket, name)))
        for name in {*fresh, *(self._files.keys(bucket) - set(held))}:
            self._save_object(bucket, name)

    def _save_bucket(self, bucket: str, request: Request | None = None) -> None:
        document = self._files.read_bucket(bucket) or _bucket_document(_backend().buckets[bucket])
        query = request.query_string.decode() if request else ""
        if request and query and not query.startswith("acl"):
            if request.method == "PUT":
                document["configurations"][query] = _content(request)
            else:
                document["configurations"].pop(query, None)
        self._files.write_bucket(bucket, document)

    def _load_bucket(self, name: str) -> None:
        """Make memory say what the disk says; uploads in progress go on."""
        backend = _backend()
        replaced = backend.buckets.pop(name, None)
        s3_backends.bucket_accounts.pop(name, None)
        document = self._files.read_bucket(name)
        if document is None:
            return
        bucket = cast(
            "FakeBucket",
            FakeBucket(name=name, account_id=ACCOUNT_ID, region_name=document["region"]),
        )
        bucket.creation_date = datetime.fromisoformat(document["created"])
        bucket.object_lock_enabled = document["object_lock"]
        if replaced:
            bucket.multiparts = replaced.multiparts
        backend.buckets[name] = bucket
        for entry, body in self._files.objects(name):
            _install(bucket, entry, body)
        client = Client(self._moto)
        for query, configuration in document["configurations"].items():
            response = client.put(f"/{name}?{query}", data=configuration)
            if response.status_code >= 300:
                logger.warning("Bucket %s came back without its %s.", name, query)

    def _disk_refused(self, error: OSError) -> Response:
        message = f"The local S3 could not write under {self._files.root} ({error.strerror})."
        logger.error("%s", message)
        return _s3_error(
            507, "InsufficientStorage", f"{message} Free some disk space and try again."
        )


@contextmanager
def _read_when_sent(request: Request) -> Iterator[None]:
    """Keep moto from reading the body of the object that a request gets."""
    key = _current_key(*_address(request)) if request.method == "GET" else None
    body = _body(key) if key else None
    if body:
        body.lazy = True
    try:
        yield
    finally:
        if body:
            body.lazy = False


def _copy_file(path: Path, sink: BinaryIO) -> None:
    with path.open("rb") as source:
        shutil.copyfileobj(source, sink, PIECE_BYTES)


def _backend() -> S3Backend:
    return s3_backends[ACCOUNT_ID]["aws"]


def _address(request: Request) -> tuple[str, str]:
    # The raw path: WSGI's own has lost what tells "a//b" from "a/b".
    path = unquote(urlsplit("http://s3" + request.environ["RAW_URI"]).path)
    bucket, _, key = path.removeprefix("/").partition("/")
    return bucket, key


def _content(request: Request) -> str:
    """The body, which moto has read once already; the front door has it whole in memory."""
    body = request.environ["wsgi.input"]
    body.seek(0)
    return body.read().decode()


def _current_key(bucket: str, name: str) -> FakeKey | None:
    """The latest version, unless that is a delete marker."""
    held = _backend().buckets.get(bucket)
    key = held.keys.get(name) if held else None
    return key if isinstance(key, FakeKey) else None


def _body(key: FakeKey) -> FileBody:
    return cast("FileBody", key._value_buffer)  # noqa: SLF001 - moto offers no other way to the bytes


def _is_on_disk(key: FakeKey | None) -> bool:
    return key is not None and isinstance(_body(key), FileBody)


def _document_of(key: FakeKey) -> Document:
    key.etag  # noqa: B018 - moto computes it on first sight, and it must be known before it is kept
    return {
        "key": key.name,
        "size": key.size,
        "last_modified": key.last_modified.isoformat(),
        "metadata": dict(key.metadata),
        "tags": _backend().tagger.get_tag_dict_for_resource(key.arn),
        "attributes": {name: getattr(key, name, None) for name in _KEY_ATTRIBUTES},
    }


def _plain_document(bucket: FakeBucket, key: str, size: int, etag: str) -> Document:
    """The document of an object that has nothing but bytes."""
    return {
        "key": key,
        "size": size,
        "last_modified": utcnow().isoformat(),
        "metadata": {},
        "tags": {},
        "attributes": {
            "_etag": etag,
            "_is_versioned": bucket.is_versioned,
            "_version_id": str(uuid4()) if bucket.is_versioned else "null",
        },
    }


def _install(bucket: FakeBucket, document: Document, body: FileBody) -> None:
    key = cast(
        "FakeKey",
        FakeKey(document["key"], b"", ACCOUNT_ID, bucket.region_name, bucket_name=bucket.name),
    )
    for name, value in document["attributes"].items():
        setattr(key, name, value)
    key.last_modified = datetime.fromisoformat(document["last_modified"])
    key.set_metadata(dict(document["metadata"]))
    _attach_body(key, document, body)
    earlier = bucket.keys.getlist(key.name, []) if bucket.is_versioned else []
    bucket.keys.setlist(key.name, [*earlier, key])
    tagger = _backend().tagger
    tagger.delete_all_tags_for_resource(key.arn)
    tagger.tag_resource(key.arn, tagger.convert_dict_to_tags_input(document["tags"]))


def _attach_body(key: FakeKey, document: Document, body: FileBody) -> None:
    """From now on the key's bytes are those on disk, and its buffer's memory is free."""
    with key.lock:
        spooled: Any = key._value_buffer  # noqa: SLF001 - see above
        key._value_buffer = body  # pyright: ignore[reportAttributeAccessIssue]  # noqa: SLF001
        key.contentsize = document["size"]
        spooled.close()


def _bucket_document(bucket: FakeBucket) -> Document:
    return {
        "region": bucket.region_name,
        "created": bucket.creation_date.isoformat(),
        "object_lock": bucket.object_lock_enabled,
        "configurations": {},
    }


def _s3_error(status: int, code: str, message: str) -> Response:
    text = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    return Response(text, status=status, mimetype="application/xml")
