"""The local AWS console: what its pages tell, to whom, and what they never show."""

from http.client import HTTPConnection, HTTPResponse
from urllib.parse import quote

import pytest
from local_aws import Jobs, Server

from mc_assets.local_cloud.settings import BUCKET, load_credentials

SCRIPT = """
print("<script>alert(1)</script>", flush=True)
print("accuracy=0.75", flush=True)
import os, pathlib
pathlib.Path(os.environ["SM_MODEL_DIR"], "model").write_text("m")
"""
PNG = bytes.fromhex("89504e470d0a1a0a")


def get(server: Server, path: str, host: str = "", method: str = "GET") -> tuple[HTTPResponse, str]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request(method, path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    text = answer.read().decode(errors="replace")
    connection.close()
    return answer, text


@pytest.fixture(scope="module")
def job(jobs: Jobs) -> str:
    jobs.run(
        "shown-1",
        SCRIPT,
        hyperparameters={"epochs": "<b>3</b>"},
        Environment={"TOKEN": "keep this one to yourself"},
        AlgorithmSpecification={
            "TrainingImage": "image",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "accuracy", "Regex": "accuracy=([0-9.]+)"}],
        },
    )
    return "shown-1"


def test_a_job_tells_its_status_metrics_and_log(aws: Server, job: str) -> None:
    answer, text = get(aws, f"/_console/jobs/{job}")
    assert answer.status == 200
    assert answer.headers.get_content_type() == "text/html"
    for told in ("Completed", "ml.m5.large", "accuracy=0.75", "<td>0.75</td>", "Training"):
        assert told in text, told
    assert f'href="/_console/s3/{BUCKET}/output/{job}/output/model.tar.gz"' in text
    assert 'http-equiv="refresh"' not in text


def test_a_job_under_way_is_loaded_again_and_again(aws: Server, jobs: Jobs) -> None:
    jobs.submit("shown-2", "import time\nprint('ready', flush=True)\ntime.sleep(60)\n")
    jobs.wait_for_line("shown-2", "ready")
    _, text = get(aws, "/_console/jobs/shown-2")
    jobs.sagemaker.stop_training_job(TrainingJobName="shown-2")
    jobs.wait("shown-2")
    assert 'http-equiv="refresh"' in text
    assert "ready" in text


def test_what_users_wrote_is_text_and_nothing_runs(aws: Server, job: str) -> None:
    answer, text = get(aws, f"/_console/jobs/{job}")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "&lt;b&gt;3&lt;/b&gt;" in text
    assert "<script" not in text
    assert "default-src 'none'" in str(answer.headers["Content-Security-Policy"])
    assert "script-src" not in str(answer.headers["Content-Security-Policy"])


def test_no_secret_is_on_a_page(aws: Server, job: str) -> None:
    credentials = load_credentials(aws.state)
    secrets = (
        "keep this one to yourself",
        credentials.aws_secret_access_key,
        credentials.aws_access_key_id,
        credentials.client_secret,
    )
    for path in ("", f"/jobs/{job}", f"/s3/{BUCKET}/"):
        _, text = get(aws, f"/_console{path}")
        assert not [secret for secret in secrets if secret in text], path
    assert "TOKEN" in get(aws, f"/_console/jobs/{job}")[1]


def test_an_object_tells_its_facts_and_can_be_saved(aws: Server) -> None:
    s3, key, body = aws.client("s3"), "shown/a & b.json", b'{"a": "<i>1</i>"}'
    s3.put_object(Bucket=BUCKET, Key=key, Body=body, Metadata={"sha256": "0123"})
    answer, text = get(aws, f"/_console/s3/{BUCKET}/{quote(key)}")
    assert answer.status == 200
    for told in ("17 bytes", "0123", "{&quot;a&quot;: &quot;&lt;i&gt;1&lt;/i&gt;&quot;}"):
        assert told in text, told
    saved, bytes_of_it = get(aws, f"/_console/files/{BUCKET}/{quote(key)}")
    assert bytes_of_it.encode() == body
    assert str(saved.headers["Content-Disposition"]).startswith("attachment")
    assert saved.headers["Content-Type"] == "application/octet-stream"
    assert saved.headers["X-Content-Type-Options"] == "nosniff"


def test_a_picture_is_shown(aws: Server) -> None:
    aws.client("s3").put_object(Bucket=BUCKET, Key="shown/plot.png", Body=PNG)
    _, text = get(aws, f"/_console/s3/{BUCKET}/shown/plot.png")
    assert f'<img src="/_console/files/{BUCKET}/shown/plot.png"' in text
    answer, _ = get(aws, f"/_console/files/{BUCKET}/shown/plot.png")
    assert answer.headers["Content-Type"] == "image/png"


def test_a_folder_lists_what_is_below_it(aws: Server) -> None:
    for name in ("training/images", "testing/images"):
        aws.client("s3").put_object(Bucket=BUCKET, Key=f"folder/{name}", Body=b"")
    for path in ("folder/", "folder"):
        _, text = get(aws, f"/_console/s3/{BUCKET}/{path}")
        assert "2 objects" in text
        assert f'href="/_console/s3/{BUCKET}/folder/testing/images"' in text


@pytest.mark.parametrize("path", ["", "/"])
def test_the_first_page_leads_to_jobs_and_bucket(aws: Server, job: str, path: str) -> None:
    _, text = get(aws, f"/_console{path}")
    assert f'href="/_console/jobs/{job}"' in text
    assert f'href="/_console/s3/{BUCKET}/"' in text


@pytest.mark.parametrize("host", ["console.example", "127.0.0.1.example", "[::1", "example:80"])
def test_a_name_of_somebody_elses_is_refused(aws: Server, job: str, host: str) -> None:
    for path in (f"/_console/jobs/{job}", f"/_console/files/{BUCKET}/shown/plot.png"):
        answer, text = get(aws, path, host)
        assert answer.status == 421
        assert "accuracy" not in text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:7460", "LOCALHOST"])
def test_this_machines_own_names_are_served(aws: Server, host: str) -> None:
    assert get(aws, "/_console", host)[0].status == 200


@pytest.mark.parametrize(
    "path",
    ["jobs/none", f"s3/{BUCKET}/no/such", "s3/no-bucket/x", f"files/{BUCKET}/no", "elsewhere"],
)
def test_what_is_not_there_is_404(aws: Server, path: str) -> None:
    answer, text = get(aws, f"/_console/{path}")
    assert answer.status == 404
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_changed(aws: Server, job: str, method: str) -> None:
    assert get(aws, f"/_console/jobs/{job}", method=method)[0].status == 405
