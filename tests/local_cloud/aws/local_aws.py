"""A real local AWS in a process of its own, real boto3 clients, and small training jobs for it."""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from mc_assets.local_cloud.settings import BUCKET, REGION, ROLE_ARN, load_credentials
from ports import free_ports

START_SECONDS = 60
JOB_SECONDS = 60


class Server:
    """One `python -m mc_assets.local_cloud.aws`; it can be killed and started again."""

    def __init__(
        self, state: Path, environ: dict[str, str] | None = None, file_limit: int | None = None
    ) -> None:
        self.state = state
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self._environ = {**os.environ, **(environ or {})}
        self._file_limit = file_limit
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Server":
        command = [sys.executable, "-m", "mc_assets.local_cloud.aws"]
        command += ["--state", str(self.state), "--port", str(self.port)]
        if self._file_limit:
            # The shell's unit is 1024 bytes; a write beyond the limit fails as on a full disk.
            command = ["bash", "-c", f'ulimit -f {self._file_limit} && exec "$@"', "-", *command]
        self.state.mkdir(parents=True, exist_ok=True)
        with self.state.with_suffix(".log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self._environ, stdout=log, stderr=subprocess.STDOUT
            )
        wait_for(self.health, START_SECONDS, self.state.with_suffix(".log").read_text)
        return self

    def health(self) -> dict[str, Any] | None:
        try:
            with urllib.request.urlopen(f"{self.url}/_mc/health") as answer:
                return json.load(answer)
        except OSError:
            return None

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(30)

    def client(self, service: str, region: str = REGION) -> Any:
        credentials = load_credentials(self.state)
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id=credentials.aws_access_key_id,
            aws_secret_access_key=credentials.aws_secret_access_key,
            config=Config(retries={"total_max_attempts": 1}),
        )


class Jobs:
    """Submits scripts as training jobs in the classic script-mode request."""

    def __init__(self, server: Server) -> None:
        self.s3 = server.client("s3")
        self.sagemaker = server.client("sagemaker")
        self.logs = server.client("logs")

    def submit(self, name: str, script: str, **changes: Any) -> dict[str, Any]:
        request = self.request(name, script, **changes)
        self.sagemaker.create_training_job(**request)
        return request

    def request(self, name: str, script: str, **changes: Any) -> dict[str, Any]:
        code = f"code/{name}/sourcedir.tar.gz"
        files = changes.pop("files", {})
        self.s3.put_object(Bucket=BUCKET, Key=code, Body=tarball({"train.py": script, **files}))
        hyperparameters = {
            "sagemaker_program": json.dumps("train.py"),
            "sagemaker_submit_directory": json.dumps(f"s3://{BUCKET}/{code}"),
            **changes.pop("hyperparameters", {}),
        }
        return {
            "TrainingJobName": name,
            "RoleArn": ROLE_ARN,
            "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
            "HyperParameters": hyperparameters,
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/output"},
            "ResourceConfig": {
                "InstanceType": "ml.m5.large",
                "InstanceCount": 1,
                "VolumeSizeInGB": 5,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            **changes,
        }

    def run(self, name: str, script: str, **changes: Any) -> dict[str, Any]:
        self.submit(name, script, **changes)
        return self.wait(name)

    def wait(self, name: str) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            job = self.describe(name)
            return job if job["TrainingJobStatus"] in {"Completed", "Failed", "Stopped"} else None

        return wait_for(ended, JOB_SECONDS, lambda: str(self.describe(name)))

    def describe(self, name: str) -> dict[str, Any]:
        return self.sagemaker.describe_training_job(TrainingJobName=name)

    def lines(self, name: str) -> list[str]:
        """The job's log lines so far."""
        group = "/aws/sagemaker/TrainingJobs"
        try:
            streams = self.logs.describe_log_streams(
                logGroupName=group, logStreamNamePrefix=f"{name}/"
            )["logStreams"]
        except self.logs.exceptions.ResourceNotFoundException:
            return []
        return [
            event["message"]
            for stream in streams
            for event in self.logs.get_log_events(
                logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
            )["events"]
        ]

    def wait_for_line(self, name: str, line: str) -> None:
        wait_for(lambda: line in self.lines(name), JOB_SECONDS, lambda: str(self.lines(name)))

    def archive(self, name: str, which: str = "model") -> dict[str, bytes]:
        key = f"output/{name}/output/{which}.tar.gz"
        body = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            files = {entry.name: tar.extractfile(entry) for entry in tar if entry.isfile()}
            return {path: stream.read() for path, stream in files.items() if stream}


def tarball(files: dict[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def wait_for(check: Callable[[], Any], seconds: float, tell: Callable[[], str]) -> Any:
    """What `check` returns once it is true; the limit is only there to end a test that hangs."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = check()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"Waited {seconds} s in vain: {tell()}")
