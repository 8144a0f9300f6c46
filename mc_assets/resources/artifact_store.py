"""S3 as the graph uses it: bytes under content keys, records as JSON, verdicts by version."""

import hashlib
import os
from collections.abc import Iterable
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
from dagster_aws.s3 import S3Resource

from mc_assets.artifacts import ARTIFACTS, Record, StoredObject, Verdict
from mc_assets.target import CloudTarget

RecordT = TypeVar("RecordT", bound=Record)

CHUNK = 1024 * 1024


class ArtifactStore(dg.ConfigurableResource):
    """Content-addressed objects, records and verdicts below one prefix of one bucket."""

    target: dg.ResourceDependency[CloudTarget]
    s3: dg.ResourceDependency[S3Resource]
    prefix: str = "mc-assets"

    @cached_property
    def bucket(self) -> str:
        return self.target.connection.bucket

    @cached_property
    def client(self) -> Any:
        """boto3's S3 client, made once the target is connected, which sets its endpoint."""
        _ = self.bucket
        return _shared_client(
            self.s3.model_dump_json(),
            os.environ.get("AWS_ENDPOINT_URL"),
            os.environ.get("AWS_ACCESS_KEY_ID"),
        )

    def put_bytes(self, key: str, data: bytes) -> StoredObject:
        """Store bytes under `key` unless an object of that key and size is there already."""
        stored = StoredObject(
            uri=self.uri(key), sha256=hashlib.sha256(data).hexdigest(), size=len(data)
        )
        if not self.has(stored):
            self.client.put_object(
                Bucket=self.bucket,
                Key=stored.key,
                Body=data,
                ChecksumAlgorithm="SHA256",
                Metadata={"sha256": stored.sha256},
            )
        return stored

    def put_file(self, key: str, path: Path) -> StoredObject:
        """Stream a file to `key` unless an object of that key and size is there already."""
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
        stored = StoredObject(
            uri=self.uri(key), sha256=digest.hexdigest(), size=path.stat().st_size
        )
        if not self.has(stored):
            self.client.upload_file(
                str(path),
                self.bucket,
                stored.key,
                ExtraArgs={"ChecksumAlgorithm": "SHA256", "Metadata": {"sha256": stored.sha256}},
            )
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
        bucket, key = split_uri(stored.uri)
        data = self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        found = hashlib.sha256(data).hexdigest()
        if found != stored.sha256:
            raise dg.Failure(
                f"{stored.uri} has sha256 {found}, its record says {stored.sha256}: the object was "
                "changed after it was recorded. Materialise the asset that makes it again.",
                allow_retries=False,
            )
        return data

    def measure(self, uri: str) -> StoredObject:
        """Record of an object that somebody else wrote, hashed by streaming it once."""
        bucket, key = split_uri(uri)
        digest, size = hashlib.sha256(), 0
        for chunk in self.client.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(CHUNK):
            digest.update(chunk)
            size += len(chunk)
        return StoredObject(uri=uri, sha256=digest.hexdigest(), size=size)

    def write_record(self, key: str, record: Record) -> None:
        self.client.put_object(
            Bucket=self.bucket,
            Key=f"{self.prefix}/{key}",
            Body=record.model_dump_json(indent=1).encode(),
            ContentType="application/json",
        )

    def read_record(self, key: str, kind: type[RecordT]) -> RecordT | None:
        """The record under `key`, or None when none was written."""
        from botocore.exceptions import ClientError

        try:
            answer = self.client.get_object(Bucket=self.bucket, Key=f"{self.prefix}/{key}")
        except ClientError as error:
            if error.response["Error"]["Code"] in {"404", "NoSuchKey"}:
                return None
            raise
        return kind.model_validate_json(answer["Body"].read())

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

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}/{key}"


@lru_cache(maxsize=4)
def _shared_client(s3: str, *_environment: str | None) -> Any:
    """One client a process and setting: Dagster makes the resources anew for every step, and a
    client takes a third of a second to build."""
    return S3Resource.model_validate_json(s3).get_client()


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


def split_uri(uri: str) -> tuple[str, str]:
    """`s3://bucket/key` as (bucket, key).

    Raises:
        ValueError: the text is not an S3 URI with a key.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket or not key:
        raise ValueError(f"{uri!r} is not an S3 URI of the form s3://bucket/key.")
    return bucket, key


def _record_key(asset_key: dg.AssetKey) -> str:
    return f"records/{asset_key.to_user_string()}.json"


def _verdict_key(asset_key: str, version: str, check: str) -> str:
    return f"verdicts/{asset_key}/{version}/{check}.json"
