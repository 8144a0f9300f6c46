"""The server as a process: its start, its end, and what it finds again after a crash."""

import os
import socket
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path

from local_aws import Jobs, Server, wait_for

from mc_assets.local_cloud.settings import ACCOUNT_ID, BUCKET, REGION

BUSY = "import os, time\nprint('pid', os.getpid())\nwhile True: time.sleep(0.1)"


def refused(state: Path, port: int) -> str:
    """What a start that cannot succeed says."""
    command = [sys.executable, "-m", "mc_assets.local_cloud.aws"]
    command += ["--state", str(state), "--port", str(port)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert finished.returncode == 1
    assert finished.stdout == ""
    return finished.stderr


def script_pid(jobs: Jobs, name: str) -> int:
    (line,) = wait_for(lambda: jobs.lines(name), 30, lambda: str(jobs.describe(name)))
    return int(line.split()[1])


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    # A killed orphan stays a zombie where nothing reaps it.
    return state != "Z"


def test_health_names_the_server(aws: Server) -> None:
    health = aws.health()
    assert health is not None
    assert health["service"] == "aws"
    assert health["state"] == str(aws.state)
    assert health["version"] == 1
    os.kill(health["pid"], 0)


def test_the_bucket_is_there_from_the_start(aws: Server) -> None:
    buckets = aws.client("s3").list_buckets()["Buckets"]
    assert BUCKET in {bucket["Name"] for bucket in buckets}


def test_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = refused(tmp_path, port)
    assert f"127.0.0.1:{port}" in text
    assert "MC_LOCAL_AWS_PORT" in text
    assert len(text.splitlines()) == 1


def test_state_that_is_in_use_or_newer(aws: Server, tmp_path: Path) -> None:
    text = refused(aws.state, 0)
    assert "already serving" in text
    assert len(text.splitlines()) == 1
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "VERSION").write_text("99\n")
    assert "newer release" in refused(newer, 0)


def test_moto_remembers_nothing_it_made() -> None:
    from moto.s3.models import FakeKey

    from mc_assets.local_cloud.aws.server import moto_application

    moto_application("s3")
    key = FakeKey("k", b"", ACCOUNT_ID, REGION)
    seen = weakref.ref(key)
    del key
    assert seen() is None


def test_kill_fails_the_running_job_and_ends_its_process(own_aws: Callable[..., Server]) -> None:
    server = own_aws()
    jobs = Jobs(server)
    jobs.run("done", "print('kept line')")
    jobs.submit("lost", BUSY, Tags=[{"Key": "a", "Value": "b"}])
    pid = script_pid(jobs, "lost")
    before = jobs.describe("done")
    server.kill()
    assert is_running(pid)
    again = Jobs(own_aws())
    wait_for(lambda: not is_running(pid), 10, lambda: f"{pid} lives on")
    lost = again.describe("lost")
    assert lost["TrainingJobStatus"] == "Failed"
    assert lost["FailureReason"].startswith("InternalServerError: ")
    assert not (server.state / "aws" / "jobs" / "lost").exists()
    after = again.describe("done")
    for answer in (before, after):
        del answer["ResponseMetadata"]
    assert after == before
    assert again.lines("done") == ["kept line"]
    tags = again.sagemaker.list_tags(ResourceArn=lost["TrainingJobArn"])["Tags"]
    assert tags == [{"Key": "a", "Value": "b"}]
    assert again.archive("done") == {}


def test_clean_stop_takes_running_jobs_along(own_aws: Callable[..., Server]) -> None:
    server = own_aws()
    jobs = Jobs(server)
    jobs.submit("running", BUSY)
    pid = script_pid(jobs, "running")
    assert server.stop() == 0
    assert not is_running(pid)
    job = Jobs(own_aws()).describe("running")
    assert job["FailureReason"].startswith("InternalServerError: ")


def test_job_whose_folder_cannot_be_written_fails(own_aws: Callable[..., Server]) -> None:
    server = own_aws(file_limit=512)
    jobs = Jobs(server)
    # Each file may be written, the archive of both may not: random bytes do not get smaller.
    script = (
        "import os\n"
        "for name in 'ab':\n"
        "    open(os.environ['SM_MODEL_DIR'] + '/' + name, 'wb').write(os.urandom(300_000))\n"
    )
    job = jobs.run("no-room", script)
    assert job["FailureReason"].startswith("InternalServerError: ")
    blocked = server.state / "aws" / "jobs" / "blocked"
    blocked.write_text("a file where the folder is to be")
    assert jobs.run("blocked", "")["FailureReason"].startswith("InternalServerError: ")
    assert jobs.run("afterwards", "")["TrainingJobStatus"] == "Completed"
