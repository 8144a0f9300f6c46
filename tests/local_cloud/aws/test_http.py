"""How the server speaks HTTP: connections, bodies in every form, and what bodies leave behind."""

import http.client
import socket
from collections.abc import Iterator

import psutil
import pytest
from local_aws import Server

from mc_assets.local_cloud.settings import BUCKET

MB = 1 << 20
CREDENTIAL = "AWS4-HMAC-SHA256 Credential=KEY/20260101/us-east-1/s3/aws4_request"


@pytest.fixture
def connection(aws: Server) -> Iterator[http.client.HTTPConnection]:
    made = http.client.HTTPConnection("127.0.0.1", aws.port, timeout=30)
    yield made
    made.close()


def signed(**headers: str) -> dict[str, str]:
    return {"Authorization": CREDENTIAL, **headers}


def test_one_connection_carries_every_request(
    aws: Server, connection: http.client.HTTPConnection
) -> None:
    connection.connect()
    kept = connection.sock
    body = b"x" * MB
    for method, path, sent, expected in (
        ("PUT", "/one/connection", body, 200),
        ("HEAD", "/one/connection", None, 200),
        ("GET", "/one/connection", None, 200),
        ("GET", "/one/nothing", None, 404),
        ("PUT", "/one/connection", b"", 200),
        ("DELETE", "/one/connection", None, 204),
    ):
        connection.request(method, f"/{BUCKET}{path}", sent, signed())
        answer = connection.getresponse()
        received = answer.read()
        assert answer.status == expected, received
        assert connection.sock is kept, f"{method} {path} ended the connection"
        if method == "GET" and expected == 200:
            assert received == body
    assert aws.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="one/")["KeyCount"] == 0


def test_body_is_asked_for_when_the_client_waits(aws: Server) -> None:
    with socket.create_connection(("127.0.0.1", aws.port), 30) as client:
        stream = client.makefile("rb")
        head = f"PUT /{BUCKET}/expected HTTP/1.1\r\nHost: s3\r\nAuthorization: {CREDENTIAL}\r\n"
        head += "Content-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        client.sendall(head.encode())
        assert stream.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert stream.readline() == b"\r\n"
        client.sendall(b"body")
        assert stream.readline().startswith(b"HTTP/1.1 200 ")
    assert aws.client("s3").get_object(Bucket=BUCKET, Key="expected")["Body"].read() == b"body"


def test_body_of_unknown_length(aws: Server, connection: http.client.HTTPConnection) -> None:
    pieces = [b"a" * 70_000, b"b" * 3, b"c" * MB]
    path = f"/{BUCKET}/chunked"
    connection.request("PUT", path, iter(pieces), signed(), encode_chunked=True)
    assert connection.getresponse().read() == b""
    found = aws.client("s3").get_object(Bucket=BUCKET, Key="chunked")
    assert found["Body"].read() == b"".join(pieces)


def test_body_with_its_checksum_behind_it(
    aws: Server, connection: http.client.HTTPConnection
) -> None:
    data = b"0123456789" * 10_000
    framed = b"%x\r\n%b\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n" % (len(data), data)
    headers = signed(
        **{
            "Content-Encoding": "aws-chunked",
            "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "x-amz-decoded-content-length": str(len(data)),
            "x-amz-trailer": "x-amz-checksum-crc32",
        }
    )
    connection.request("PUT", f"/{BUCKET}/trailer", iter([framed]), headers, encode_chunked=True)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    assert aws.client("s3").get_object(Bucket=BUCKET, Key="trailer")["Body"].read() == data


def test_header_with_an_underscore_passes_for_no_other(
    aws: Server, connection: http.client.HTTPConnection
) -> None:
    headers = signed(
        **{"x_amz_storage_class": "GLACIER", "x-amz-meta-a_b": "1", "x-amz-meta-c": "2"}
    )
    connection.request("PUT", f"/{BUCKET}/underscore", b"", headers)
    connection.getresponse().read()
    found = aws.client("s3").head_object(Bucket=BUCKET, Key="underscore")
    assert found["Metadata"] == {"a_b": "1", "c": "2"}
    assert "StorageClass" not in found


@pytest.mark.parametrize(
    ("method", "path"), [("OPTIONS", "/"), ("POST", "/"), ("GET", f"/{BUCKET}")]
)
def test_web_pages_are_refused(
    connection: http.client.HTTPConnection, method: str, path: str
) -> None:
    """A page that is open in a browser on this machine may reach the port."""
    headers = signed(Origin="https://example.org", **{"X-Amz-Target": "SageMaker.ListTrainingJobs"})
    connection.request(method, path, b"{}", headers)
    answer = connection.getresponse()
    assert answer.status == 403
    assert b"not for web pages" in answer.read()
    assert answer.getheader("Access-Control-Allow-Origin") is None


def test_client_that_leaves_changes_nothing(aws: Server) -> None:
    with socket.create_connection(("127.0.0.1", aws.port), 30) as client:
        head = f"PUT /{BUCKET}/left HTTP/1.1\r\nHost: s3\r\nAuthorization: {CREDENTIAL}\r\n"
        client.sendall(f"{head}Content-Length: 1000\r\n\r\nhalf".encode())
    s3 = aws.client("s3")
    s3.put_object(Bucket=BUCKET, Key="left-behind", Body=b"")
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="left")["Contents"]
    assert [entry["Key"] for entry in listed] == ["left-behind"]


def test_uploads_leave_nothing_in_memory(aws: Server) -> None:
    health = aws.health()
    assert health is not None
    process = psutil.Process(health["pid"])
    s3 = aws.client("s3")
    used = []
    for _ in range(5):
        s3.put_object(Bucket=BUCKET, Key="large", Body=bytes(40 * MB))
        s3.get_object(Bucket=BUCKET, Key="large")["Body"].read()
        used.append(process.memory_full_info().uss // MB)
    assert used[-1] - used[0] < 40, f"MB after each upload: {used}"
