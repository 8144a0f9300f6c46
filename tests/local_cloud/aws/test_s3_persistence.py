"""S3 through boto3: what was acknowledged is there after kill -9, and a full disk is told."""

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from local_aws import Server

from mc_assets.local_cloud.settings import BUCKET

ODD_KEYS = (
    "plain",
    "a//b",
    "/leading",
    "trailing/",
    "../up/../and/away",
    "./dot",
    "sp ace+plus%2Fpercent%25",
    "naïve/日本/\U0001f600",
    "q?x=1&y=2#z",
    "k" * 1000,
)
BODY = bytes(range(256)) * 8192
BIG_BODY = b"0123456789abcdef" * (12 << 16)
BUCKET_TAGS = [{"Key": "owner", "Value": "me"}]


def keys(s3: Any, bucket: str = BUCKET, prefix: str = "") -> list[str]:
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
    return [entry["Key"] for entry in listed.get("Contents", [])]


def read(s3: Any, key: str, bucket: str = BUCKET) -> bytes:
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


@dataclass(frozen=True)
class Restart:
    """What S3 said before it was killed, and a client of the S3 that came after."""

    s3: Any
    state: Path
    head: dict[str, Any]
    multipart: dict[str, Any]
    listed: list[str]
    contended: bytes
    created: dict[str, Any]


@pytest.fixture(scope="module")
def restart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restart]:
    server = Server(tmp_path_factory.mktemp("restart")).start()
    s3 = server.client("s3")
    write_rich_object(s3)
    write_and_delete(s3)
    write_in_parts(s3, server.state)
    for key in ODD_KEYS:
        s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    write_at_once(server)
    contended = read(s3, "contended")
    configure_buckets(server.client("s3", region="eu-west-1"))
    head = s3.head_object(Bucket=BUCKET, Key="rich", ChecksumMode="ENABLED")
    multipart = s3.head_object(Bucket=BUCKET, Key="in-parts")
    created = {entry["Name"]: entry["CreationDate"] for entry in s3.list_buckets()["Buckets"]}
    listed = keys(s3)
    server.kill()
    (server.state / "aws" / "s3" / BUCKET / "objects" / "deadbeef.0123").write_bytes(b"half")
    server.start()
    yield Restart(server.client("s3"), server.state, head, multipart, listed, contended, created)
    server.stop()


def write_rich_object(s3: Any) -> None:
    s3.put_object(
        Bucket=BUCKET,
        Key="rich",
        Body=BODY,
        ContentType="application/x-thing",
        Metadata={"colour": "green", "under_score": "kept"},
        Tagging="team=ml&stage=dev",
        ChecksumAlgorithm="SHA256",
        CacheControl="no-cache",
    )


def write_and_delete(s3: Any) -> None:
    for name in ("stays", "goes", "goes-with-others-1", "goes-with-others-2", "retagged"):
        s3.put_object(Bucket=BUCKET, Key=f"w/{name}", Body=name.encode())
    s3.put_object(Bucket=BUCKET, Key="w/stays", Body=b"overwritten")
    s3.copy_object(Bucket=BUCKET, Key="w/copied", CopySource={"Bucket": BUCKET, "Key": "w/stays"})
    s3.delete_object(Bucket=BUCKET, Key="w/goes")
    others = [{"Key": "w/goes-with-others-1"}, {"Key": "w/goes-with-others-2"}]
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": others})
    tags = {"TagSet": [{"Key": "a", "Value": "1"}]}
    s3.put_object_tagging(Bucket=BUCKET, Key="w/retagged", Tagging=tags)


def write_in_parts(s3: Any, folder: Path) -> None:
    path = folder / "in-parts.bin"
    path.write_bytes(BIG_BODY)
    parts = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    s3.upload_file(str(path), BUCKET, "in-parts", Config=parts)
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="unfinished")["UploadId"]
    s3.upload_part(Bucket=BUCKET, Key="unfinished", UploadId=upload, PartNumber=1, Body=b"x")


def write_at_once(server: Server) -> None:
    """Many writers, one key, and each a key of its own."""

    def write(writer: int) -> None:
        s3 = server.client("s3")
        for turn in range(5):
            s3.put_object(Bucket=BUCKET, Key="contended", Body=b"%d %d" % (writer, turn))
            s3.put_object(Bucket=BUCKET, Key=f"alone/{writer}", Body=b"%d" % turn)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))


def configure_buckets(s3: Any) -> None:
    place = {"LocationConstraint": "eu-west-1"}
    for bucket in ("mine", "gone"):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
    s3.delete_bucket(Bucket="gone")
    s3.put_bucket_tagging(Bucket="mine", Tagging={"TagSet": BUCKET_TAGS})
    s3.put_bucket_versioning(Bucket="mine", VersioningConfiguration={"Status": "Enabled"})
    rule = {"ID": "ttl", "Status": "Enabled", "Filter": {"Prefix": "x/"}, "Expiration": {"Days": 3}}
    s3.put_bucket_lifecycle_configuration(Bucket="mine", LifecycleConfiguration={"Rules": [rule]})
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    s3.put_bucket_policy(Bucket="mine", Policy=policy)
    s3.delete_bucket_policy(Bucket="mine")
    s3.put_object(Bucket="mine", Key="k", Body=b"one")
    s3.put_object(Bucket="mine", Key="k", Body=b"two")
    s3.put_object(Bucket="mine", Key="deleted", Body=b"")
    s3.delete_object(Bucket="mine", Key="deleted")


def test_object_is_the_same_after_kill(restart: Restart) -> None:
    before = restart.head
    after = restart.s3.get_object(Bucket=BUCKET, Key="rich", ChecksumMode="ENABLED")
    assert after["Body"].read() == BODY
    assert after["ETag"] == before["ETag"] == f'"{hashlib.md5(BODY).hexdigest()}"'
    assert before["Metadata"] == {"colour": "green", "under_score": "kept"}
    for field in (
        "LastModified",
        "ContentType",
        "ContentLength",
        "Metadata",
        "CacheControl",
        "ChecksumSHA256",
    ):
        assert after[field] == before[field], field
    tags = restart.s3.get_object_tagging(Bucket=BUCKET, Key="rich")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "ml", "stage": "dev"}


def test_every_kind_of_write_survives(restart: Restart) -> None:
    s3 = restart.s3
    assert keys(s3, prefix="w/") == ["w/copied", "w/retagged", "w/stays"]
    assert read(s3, "w/stays") == read(s3, "w/copied") == b"overwritten"
    tags = s3.get_object_tagging(Bucket=BUCKET, Key="w/retagged")["TagSet"]
    assert tags == [{"Key": "a", "Value": "1"}]


def test_writes_at_the_same_time_survive(restart: Restart) -> None:
    assert read(restart.s3, "contended") == restart.contended
    assert [read(restart.s3, f"alone/{writer}") for writer in range(4)] == [b"4"] * 4


def test_multipart_survives_and_unfinished_parts_do_not(restart: Restart) -> None:
    etag = restart.s3.head_object(Bucket=BUCKET, Key="in-parts")["ETag"]
    assert etag == restart.multipart["ETag"]
    assert etag.endswith('-3"')
    assert read(restart.s3, "in-parts") == BIG_BODY
    ranged = restart.s3.get_object(Bucket=BUCKET, Key="in-parts", Range="bytes=10-19")
    assert ranged["Body"].read() == b"abcdef0123"
    assert keys(restart.s3, prefix="unfinished") == []


def test_any_text_is_a_key(restart: Restart) -> None:
    assert keys(restart.s3) == restart.listed
    assert set(ODD_KEYS) < set(restart.listed)
    for key in ODD_KEYS:
        assert read(restart.s3, key) == key.encode()
    names = {path.name for path in restart.state.iterdir()}
    assert names == {"VERSION", "aws", "credentials.json", "in-parts.bin"}


def test_buckets_and_their_configurations_survive(restart: Restart) -> None:
    s3 = restart.s3
    listed = s3.list_buckets()["Buckets"]
    assert {entry["Name"]: entry["CreationDate"] for entry in listed} == restart.created
    assert set(restart.created) == {"mine", BUCKET}
    assert s3.get_bucket_location(Bucket="mine")["LocationConstraint"] == "eu-west-1"
    assert s3.get_bucket_tagging(Bucket="mine")["TagSet"] == BUCKET_TAGS
    assert s3.get_bucket_versioning(Bucket="mine")["Status"] == "Enabled"
    assert s3.get_bucket_lifecycle_configuration(Bucket="mine")["Rules"][0]["ID"] == "ttl"
    with pytest.raises(ClientError, match="NoSuchBucketPolicy"):
        s3.get_bucket_policy(Bucket="mine")
    assert keys(s3, "mine") == ["k"]
    assert read(s3, "k", "mine") == b"two"


def test_leftover_of_an_interrupted_write_is_removed(restart: Restart) -> None:
    folder = restart.state / "aws" / "s3" / BUCKET / "objects"
    assert len(list(folder.iterdir())) == 2 * len(restart.listed)


def test_full_disk_is_told_and_changes_nothing(own_aws: Callable[..., Server]) -> None:
    server = own_aws(file_limit=512)
    s3 = server.client("s3")
    s3.put_object(Bucket=BUCKET, Key="kept", Body=b"old", Metadata={"version": "1"})
    # 700 kB fits in memory and fails on its way to disk; 3 MB fails while it is received.
    for size in (700_000, 3_000_000):
        for key in ("kept", "new"):
            with pytest.raises(ClientError, match=r"could not write under .*disk space") as refused:
                s3.put_object(Bucket=BUCKET, Key=key, Body=b"x" * size)
            assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 507
    files_before = sorted(server.state.rglob("s3/**/*"))
    assert_only_kept(s3)
    server.kill()
    assert_only_kept(server.start().client("s3"))
    assert sorted(server.state.rglob("s3/**/*")) == files_before
    assert len([path for path in files_before if path.parent.name == "objects"]) == 2


def assert_only_kept(s3: Any) -> None:
    assert keys(s3) == ["kept"]
    answer = s3.get_object(Bucket=BUCKET, Key="kept")
    assert answer["Body"].read() == b"old"
    assert answer["Metadata"] == {"version": "1"}


def test_deleted_objects_leave_no_file(aws: Server) -> None:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="emptied")
    folder = aws.state / "aws" / "s3" / "emptied"
    for turn in range(3):
        s3.put_object(Bucket="emptied", Key="k", Body=b"x" * turn)
    assert len(list((folder / "objects").iterdir())) == 2
    s3.delete_object(Bucket="emptied", Key="k")
    assert list((folder / "objects").iterdir()) == []
    s3.delete_bucket(Bucket="emptied")
    assert not folder.exists()


def test_conditional_write_is_refused_when_the_key_is_there(aws: Server) -> None:
    s3 = aws.client("s3")
    s3.put_object(Bucket=BUCKET, Key="once", Body=b"1", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket=BUCKET, Key="once", Body=b"2", IfNoneMatch="*")
    assert s3.get_object(Bucket=BUCKET, Key="once")["Body"].read() == b"1"


@pytest.mark.parametrize("name", ["UPPER", "un_der", "..."])
def test_bucket_name_that_s3_refuses_is_refused(aws: Server, name: str) -> None:
    with pytest.raises(ClientError, match="InvalidBucketName"):
        aws.client("s3").create_bucket(Bucket=name)


def test_reads_amid_writes_are_whole(aws: Server) -> None:
    """What is read while it is overwritten is the old or the new, and lists never fail."""
    aws.client("s3").create_bucket(Bucket="amid")
    aws.client("s3").put_object(Bucket="amid", Key="shared", Body=bytes(100_000))

    def write(writer: int) -> None:
        s3 = aws.client("s3")
        for turn in range(30):
            s3.put_object(Bucket="amid", Key="shared", Body=bytes([writer]) * 100_000)
            s3.put_object(Bucket="amid", Key=f"own/{writer}/{turn}", Body=b"")

    def look(_: int) -> set[int]:
        s3 = aws.client("s3")
        lengths = set()
        for _ in range(40):
            body = read(s3, "shared", "amid")
            assert body == body[:1] * 100_000
            lengths.add(len(keys(s3, "amid")))
        return lengths

    with ThreadPoolExecutor(6) as pool:
        writing = [pool.submit(write, writer) for writer in range(1, 4)]
        looking = [pool.submit(look, reader) for reader in range(3)]
        assert all(future.result() is None for future in writing)
        assert len(set().union(*(future.result() for future in looking))) > 1
