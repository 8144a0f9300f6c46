"""S3 as the graph uses it: bytes under content keys, records as JSON, verdicts by version."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import dagster as dg

from mc_assets.artifacts import ARTIFACTS, Record, StoredObject, Verdict
from mc_assets.ownership import current_run, ownership_tags
from mc_assets.resources.aws_failures import aws_failures_named, garbled
from mc_assets.target import CloudTarget

RecordT = TypeVar("RecordT", bound=Record)

CHUNK = 1024 * 1024
UPLOADS = 4  # parts of a file at a time
# First parts of keys that are shared by all models, so that no model may have such a name: what
# says what is needed, with the model's name after it, and Dagster's contexts for Pipes.
RECORDS, VERDICTS, CONTEXTS = "records", "verdicts", "pipes"
NOT_MODELS = frozenset({RECORDS, VERDICTS, CONTEXTS})
# What a process may change between two uses of a client, as the tests do.
CLIENT_CHOICES = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID")


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as S3 lists it; its key is below the store's prefix."""

    key: str
    size: int
    modified: datetime


class ArtifactStore(dg.ConfigurableResource):
    """Content-addressed objects, records and verdicts below one prefix of one bucket."""

    target: dg.ResourceDependency[CloudTarget]
    prefix: str = "mc-assets"

    @cached_property
    def bucket(self) -> str:
        return self.target.connection.bucket

    @cached_property
    def client(self) -> Any:
        """boto3's S3 client, made once the target is connected, which sets its endpoint."""
        _ = self.bucket
        return _shared_client(*(os.environ.get(name) for name in CLIENT_CHOICES))

    def put_bytes(self, key: str, data: bytes, retention_days: int | None = None) -> StoredObject:
        """Store bytes under `key` unless an object of that key and size is there already.

        Args:
            retention_days: how long it stays once nothing refers to it; for good if not given.
        """
        stored = StoredObject(
            uri=self.uri(key), sha256=hashlib.sha256(data).hexdigest(), size=len(data)
        )
        if not self.has(stored):
            with aws_failures_named(f"writing {stored.uri}"):
                self.client.put_object(
                    Bucket=self.bucket,
                    Key=stored.key,
                    Body=data,
                    ChecksumAlgorithm="SHA256",
                    Metadata={"sha256": stored.sha256},
                    Tagging=self._tagging(key, retention_days),
                )
        return stored

    def put_file(
        self,
        key: str,
        file: Path,
        sha256: str,
        retention_days: int | None = None,
        sent: Callable[[int], None] | None = None,
    ) -> StoredObject:
        """Store a file that is not there already, read from the disk as it goes.

        Args:
            sha256: of the file, found out by whoever read it before.
            retention_days: how long it stays once nothing refers to it; for good if not given.
            sent: is told of every so many bytes more that are on their way, from several threads.
        """
        from boto3.s3.transfer import (
            ProgressCallbackInvoker,
            TransferConfig,
            create_transfer_manager,
        )

        stored = StoredObject(uri=self.uri(key), sha256=sha256, size=file.stat().st_size)
        choices = {
            "ChecksumAlgorithm": "SHA256",
            "Metadata": {"sha256": sha256},
            "Tagging": self._tagging(key, retention_days),
        }
        with (
            aws_failures_named(f"writing {stored.uri}"),
            create_transfer_manager(self.client, TransferConfig(max_concurrency=UPLOADS)) as parts,
        ):
            told = [ProgressCallbackInvoker(sent)] if sent else []
            parts.upload(str(file), self.bucket, stored.key, choices, told).result()
        return stored

    def has(self, stored: StoredObject) -> bool:
        """Whether the object is there with the record's size and, if it carries one, sha256."""
        head = self.head(stored.uri)
        return (
            head is not None
            and head["ContentLength"] == stored.size
            and head["Metadata"].get("sha256", stored.sha256) == stored.sha256
        )

    def head(self, uri: str) -> dict[str, Any] | None:
        """S3's HeadObject answer, or None when there is no such object."""
        from botocore.exceptions import ClientError

        bucket, key = split_uri(uri)
        with aws_failures_named(f"looking for {uri}"):
            try:
                return self.client.head_object(Bucket=bucket, Key=key)
            except ClientError as error:
                if error.response["Error"]["Code"] in {"404", "NoSuchKey", "NotFound"}:
                    return None
                raise

    def read(self, stored: StoredObject) -> bytes:
        """The object's bytes, proven to be those of the record.

        Raises:
            dagster.Failure: the bytes have another sha256 than the record names.
        """
        data = self._get(stored.uri)
        if hashlib.sha256(data).hexdigest() != stored.sha256:
            # Read again: an answer can be garbled on its way, an object stays as it is.
            data = self._get(stored.uri)
        found = hashlib.sha256(data).hexdigest()
        if found != stored.sha256:
            raise _changed(stored, found)
        return data

    def stream(self, stored: StoredObject) -> Iterator[bytes]:
        """The object's bytes in chunks, none of which is kept.

        Raises:
            dagster.Failure: the bytes have another sha256 than the record names; said at the end.
        """
        digest = hashlib.sha256()
        for chunk in self._chunks(stored.uri):
            digest.update(chunk)
            yield chunk
        if digest.hexdigest() == stored.sha256:
            return
        # Measured again: an answer can be garbled on its way, an object stays as it is.
        found = self.measure(stored.uri).sha256
        if found == stored.sha256:
            raise garbled(f"reading {stored.uri}", "its sha256 was another")
        raise _changed(stored, found)

    def _chunks(self, uri: str) -> Iterator[bytes]:
        bucket, key = split_uri(uri)
        with aws_failures_named(f"reading {uri}"):
            answer = self.client.get_object(Bucket=bucket, Key=key)
            yield from answer["Body"].iter_chunks(CHUNK)

    def _get(self, uri: str) -> bytes:
        bucket, key = split_uri(uri)
        with aws_failures_named(f"reading {uri}"):
            return self.client.get_object(Bucket=bucket, Key=key)["Body"].read()

    def measure(self, uri: str) -> StoredObject:
        """Record of an object that somebody else wrote, hashed by streaming it once."""
        digest, size = hashlib.sha256(), 0
        for chunk in self._chunks(uri):
            digest.update(chunk)
            size += len(chunk)
        return StoredObject(uri=uri, sha256=digest.hexdigest(), size=size)

    def write_record(self, key: str, record: Record) -> None:
        with aws_failures_named(f"writing {self.uri(key)}"):
            self.client.put_object(
                Bucket=self.bucket,
                Key=f"{self.prefix}/{key}",
                Body=record.model_dump_json(indent=1).encode(),
                ContentType="application/json",
                Tagging=self._tagging(key, retention_days=None),
            )

    def read_record(self, key: str, kind: type[RecordT]) -> RecordT | None:
        """The record under `key`, or None when none was written."""
        from botocore.exceptions import ClientError

        with aws_failures_named(f"reading {self.uri(key)}"):
            try:
                answer = self.client.get_object(Bucket=self.bucket, Key=f"{self.prefix}/{key}")
            except ClientError as error:
                if error.response["Error"]["Code"] in {"404", "NoSuchKey"}:
                    return None
                raise
            text = answer["Body"].read()
        try:
            return kind.model_validate_json(text)
        except ValueError as error:
            why = " ".join(str(error).split())[:200]
            raise dg.Failure(
                f"{self.uri(key)} is no {kind.__name__} record: {why}. If it stays so, materialise "
                "the asset that writes it again."
            ) from error

    def latest(self, asset_key: dg.AssetKey, kind: type[RecordT]) -> RecordT | None:
        """What the asset's last materialisation handed on."""
        return self.read_record(_record_key(asset_key), kind)

    def write_latest(self, asset_key: dg.AssetKey, record: Record) -> None:
        self.write_record(_record_key(asset_key), record)

    def write_verdict(self, verdict: Verdict) -> None:
        self.write_record(_verdict_key(verdict.asset_key, verdict.version, verdict.check), verdict)

    def read_verdicts(
        self, asset_key: str, version: str, checks: Iterable[str]
    ) -> dict[str, Verdict | None]:
        """The verdict of each named check on exactly this version; None where it never ran."""
        return {
            check: self.read_record(_verdict_key(asset_key, version, check), Verdict)
            for check in checks
        }

    def objects(self, beginning: str) -> Iterator[Listed]:
        """Every object whose key begins like this."""
        with aws_failures_named(f"the list of {self.uri(beginning)}"):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=f"{self.prefix}/{beginning}"
            )
            found = [each for page in pages for each in page.get("Contents", [])]
        for each in found:
            key = each["Key"].removeprefix(f"{self.prefix}/")
            yield Listed(key, each["Size"], each["LastModified"])

    def tags(self, key: str) -> dict[str, str]:
        with aws_failures_named(f"the tags of {self.uri(key)}"):
            answer = self.client.get_object_tagging(Bucket=self.bucket, Key=f"{self.prefix}/{key}")
        return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}

    def text(self, key: str) -> str:
        with aws_failures_named(f"reading {self.uri(key)}"):
            answer = self.client.get_object(Bucket=self.bucket, Key=f"{self.prefix}/{key}")
            return answer["Body"].read().decode(errors="replace")

    def delete(self, key: str) -> None:
        """Delete an object; one that is gone already is as good."""
        with aws_failures_named(f"the deletion of {self.uri(key)}"):
            self.client.delete_object(Bucket=self.bucket, Key=f"{self.prefix}/{key}")

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}/{key}"

    def _tagging(self, key: str, retention_days: int | None) -> str:
        tags = ownership_tags(model_of(key), current_run(self), retention_days)
        return urlencode(tags)


@lru_cache(maxsize=4)
def _shared_client(*_choices: str | None) -> Any:
    """One client a process and setting: Dagster makes the resources anew for every step, and a
    client takes a third of a second to build."""
    import boto3
    from botocore.config import Config

    retries = Config(retries={"mode": "standard", "max_attempts": 5})
    return boto3.Session().client("s3", config=retries)


class RecordIOManager(dg.ConfigurableIOManager):
    """Hands records from stage to stage as JSON in S3, so any process can start from any stage."""

    store: dg.ResourceDependency[ArtifactStore]

    def handle_output(self, context: dg.OutputContext, obj: Record) -> None:
        self.store.write_latest(context.asset_key, obj)

    def load_input(self, context: dg.InputContext) -> Record:
        record = self.store.latest(context.asset_key, ARTIFACTS[context.asset_key.path[-1]])
        if record is None:
            key = context.asset_key.to_user_string()
            raise dg.Failure(
                f"{key} has no record in s3://{self.store.bucket}/{self.store.prefix}: it was "
                f"never materialised there. Run `dg launch --assets 'key:\"{key}\"'` first.",
                allow_retries=False,
            )
        return record


def _changed(stored: StoredObject, found: str) -> dg.Failure:
    return dg.Failure(
        f"{stored.uri} has sha256 {found}, its record says {stored.sha256}: the object was changed "
        "after it was recorded. Materialise the asset that makes it again.",
        allow_retries=False,
    )


def split_uri(uri: str) -> tuple[str, str]:
    """`s3://bucket/key` as (bucket, key).

    Raises:
        ValueError: the text is not an S3 URI with a key.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket or not key:
        raise ValueError(f"{uri!r} is not an S3 URI of the form s3://bucket/key.")
    return bucket, key


def model_of(key: str) -> str:
    """The model that a key belongs to."""
    first, *others = key.split("/")
    return others[0] if first in {RECORDS, VERDICTS} and others else first


def places_of(model: str) -> tuple[str, str, str]:
    """What all keys of a model begin with: its bytes', its records' and its verdicts'."""
    return f"{model}/", f"{RECORDS}/{model}/", f"{VERDICTS}/{model}/"


def _record_key(asset_key: dg.AssetKey) -> str:
    return f"{RECORDS}/{asset_key.to_user_string()}.json"


def _verdict_key(asset_key: str, version: str, check: str) -> str:
    return f"{VERDICTS}/{asset_key}/{version}/{check}.json"
