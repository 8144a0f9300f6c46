"""Objects of any size pass through the local S3 with a piece in its memory at a time."""

import hashlib
import io
import random
import re
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from local_aws import BUCKET, Server

MB = 1 << 20
SIZE = 160 * MB
PART = 8 * MB


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    server = Server(tmp_path_factory.mktemp("streams")).start()
    yield server
    server.stop()


def most_memory(server: Server) -> int:
    """The most bytes the server has held so far."""
    assert server._process
    status = Path(f"/proc/{server._process.pid}/status").read_text()
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kilobytes) << 10


def test_memory_is_flat(server: Server, tmp_path: Path) -> None:
    s3, path = server.client("s3"), tmp_path / "large"
    piece = random.Random(1).randbytes(MB)
    with path.open("wb") as sink:
        for _ in range(SIZE // MB):
            sink.write(piece)
    one_by_one = TransferConfig(multipart_chunksize=PART, use_threads=False)
    s3.put_object(Bucket=BUCKET, Key="small", Body=piece)
    before = most_memory(server)
    s3.upload_file(str(path), BUCKET, "large", Config=one_by_one)
    body, digest = s3.get_object(Bucket=BUCKET, Key="large")["Body"], hashlib.sha256()
    for chunk in body.iter_chunks(MB):
        digest.update(chunk)
    s3.download_file(BUCKET, "large", str(tmp_path / "back"), Config=one_by_one)
    assert most_memory(server) - before < SIZE // 2
    with path.open("rb") as source, (tmp_path / "back").open("rb") as back:
        expected = hashlib.file_digest(source, "sha256").hexdigest()
        assert digest.hexdigest() == expected
        assert hashlib.file_digest(back, "sha256").hexdigest() == expected


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=1048570-1048590", 1048570, 1048591),
        ("bytes=3000000-", 3_000_000, 3 * MB),
        ("bytes=-5", 3 * MB - 5, 3 * MB),
        ("bytes=0-99999999", 0, 3 * MB),
    ],
)
def test_ranges(server: Server, asked: str, start: int, end: int) -> None:
    s3, body = server.client("s3"), random.Random(2).randbytes(3 * MB)
    s3.put_object(Bucket=BUCKET, Key="ranged", Body=body)
    answer = s3.get_object(Bucket=BUCKET, Key="ranged", Range=asked)
    assert answer["ContentRange"] == f"bytes {start}-{end - 1}/{len(body)}"
    assert answer["Body"].read() == body[start:end]


def test_what_is_being_read_may_be_replaced_and_deleted(server: Server) -> None:
    s3, body = server.client("s3"), random.Random(3).randbytes(20 * MB)
    s3.put_object(Bucket=BUCKET, Key="read", Body=body)
    stream = s3.get_object(Bucket=BUCKET, Key="read")["Body"]
    first = stream.read(10)
    s3.put_object(Bucket=BUCKET, Key="read", Body=b"another")
    s3.delete_object(Bucket=BUCKET, Key="read")
    assert first + stream.read() == body


@pytest.mark.parametrize("kind", ["COMPOSITE", "FULL_OBJECT"])
def test_checksum_of_an_upload_in_parts(server: Server, kind: str) -> None:
    """The whole object's is the one that the same object has when it is put at once."""
    s3, place = server.client("s3"), {"Bucket": BUCKET, "Key": f"summed-{kind}"}
    body = random.Random(4).randbytes(6 * MB)
    upload = s3.create_multipart_upload(**place, ChecksumAlgorithm="CRC32", ChecksumType=kind)
    part = {**place, "UploadId": upload["UploadId"]}
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(**part, PartNumber=number, Body=io.BytesIO(piece))["ETag"],
        }
        for number, piece in enumerate([body[: 5 * MB], body[5 * MB :]], start=1)
    ]
    wrong = [{**parts[0], "ETag": '"00"'}]
    with pytest.raises(ClientError, match="InvalidPart"):
        s3.complete_multipart_upload(**part, MultipartUpload={"Parts": wrong})
    s3.complete_multipart_upload(**part, MultipartUpload={"Parts": parts})
    head = s3.head_object(**place, ChecksumMode="ENABLED")
    at_once = s3.put_object(Bucket=BUCKET, Key="summed", Body=body, ChecksumAlgorithm="CRC32")
    assert (head["ChecksumCRC32"] == at_once["ChecksumCRC32"]) == (kind == "FULL_OBJECT")
    assert s3.get_object(**place)["Body"].read() == body
