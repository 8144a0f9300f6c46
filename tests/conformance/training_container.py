"""One training script carried out by the local SageMaker and by AWS's own code, told alike."""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psutil

from mc_assets.local_cloud.settings import BUCKET, ROLE_ARN

SCRIPTS = Path(__file__).parent / "scripts"
OPT_ML = "/opt/ml"
SECONDS = 120
INSTANCE = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}

# A container's configuration as SageMaker's documentation has it, but for the network's name.
GROUP = {
    "instance_group_name": "homogeneousCluster",
    "instance_type": "ml.m5.large",
    "hosts": ["algo-1"],
}
RESOURCES = {
    "current_host": "algo-1",
    "current_instance_type": "ml.m5.large",
    "current_group_name": "homogeneousCluster",
    "hosts": ["algo-1"],
    "instance_groups": [GROUP],
    "network_interface_name": "lo",
}
CHANNEL = {
    "TrainingInputMode": "File",
    "S3DistributionType": "FullyReplicated",
    "RecordWrapperType": "None",
}

# What the environment of the process has of this machine, on either side.
MACHINE = {
    "PATH": "the programs of this machine and not of an image",
    "HOME": "an empty folder of the job's own and not the image's /root",
    "TMPDIR": "the machine's; a container has its own /tmp",
    "PYTHONUNBUFFERED": "set by the images of the frameworks, not by the toolkit",
    "PYTHONDONTWRITEBYTECODE": "set by the images of the frameworks, not by the toolkit",
    "PYTHONIOENCODING": "set by the images of the frameworks, not by the toolkit",
}


@dataclass(frozen=True)
class Told:
    """What the probe saw and how its container ended, the same names for the same things."""

    probe: Mapping[str, Any]
    exit_code: int
    failure: str

    @classmethod
    def told(cls, base: str, python: str, probe: bytes, exit_code: int, failure: str) -> "Told":
        seen = json.loads(probe.decode().replace(base, OPT_ML))
        failure = failure.replace(base, OPT_ML).replace(python, "python")
        return cls(seen, exit_code, failure)


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """By name, ours and theirs where they are not the same; None where there is none."""
    return {
        name: (ours.get(name), theirs.get(name))
        for name in sorted({*ours, *theirs})
        if ours.get(name) != theirs.get(name)
    }


class LocalSageMaker:
    """The session's local SageMaker, through boto3."""

    def __init__(self) -> None:
        self.s3 = boto3.client("s3")
        self.sagemaker = boto3.client("sagemaker")

    def upload_code(self, prefix: str) -> str:
        """The probe as a classic code archive; its URI."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            tar.add(SCRIPTS / "probe.py", "probe.py")
        key = f"{prefix}/sourcedir.tar.gz"
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=archive.getvalue())
        return f"s3://{BUCKET}/{key}"

    def upload_channel(self, name: str, prefix: str, files: Mapping[str, str]) -> dict[str, Any]:
        """The channel of a request that these files are given by."""
        for path, text in files.items():
            self.s3.put_object(Bucket=BUCKET, Key=f"{prefix}/{path}", Body=text.encode())
        source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{prefix}/"}
        return {"ChannelName": name, "DataSource": {"S3DataSource": source}}

    def start(self, name: str, **request: Any) -> str:
        """Start a job in the classic script mode; its ARN."""
        started = self.sagemaker.create_training_job(
            TrainingJobName=name,
            RoleArn=ROLE_ARN,
            AlgorithmSpecification={"TrainingImage": "any", "TrainingInputMode": "File"},
            OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/container"},
            ResourceConfig=INSTANCE,
            StoppingCondition={"MaxRuntimeInSeconds": SECONDS},
            **request,
        )
        return started["TrainingJobArn"]

    def stop(self, name: str) -> None:
        self.sagemaker.stop_training_job(TrainingJobName=name)

    def stop_all(self, names: Iterable[str]) -> None:
        """Stop those that still run."""
        for name in names:
            job = self.sagemaker.describe_training_job(TrainingJobName=name)
            if job["TrainingJobStatus"] == "InProgress":
                self.stop(name)

    def wait_for_line(self, name: str, line: str) -> None:
        logs = boto3.client("logs")
        group = {"logGroupName": "/aws/sagemaker/TrainingJobs", "logStreamNamePrefix": f"{name}/"}
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if any(event["message"] == line for event in logs.filter_log_events(**group)["events"]):
                return
            time.sleep(0.2)
        raise AssertionError(f"The job {name} never said {line!r}.")

    def ended(self, name: str) -> dict[str, Any]:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            job = self.sagemaker.describe_training_job(TrainingJobName=name)
            if job["TrainingJobStatus"] in {"Completed", "Failed", "Stopped"}:
                return job
            time.sleep(0.2)
        raise AssertionError(f"The job {name} did not end within {SECONDS} s.")

    def told(self, name: str) -> Told:
        """What the job's probe told, once it has ended."""
        job = self.ended(name)
        probe = self.output(job)["probe.json"]
        base = Path(json.loads(probe)["environment"]["SM_MODEL_DIR"]).parent
        reason = job.get("FailureReason", "AlgorithmError: , exit code: 0")
        failure, _, code = reason.removeprefix("AlgorithmError: ").rpartition(", exit code: ")
        return Told.told(str(base), sys.executable, probe, int(code), failure)

    def output(self, job: Mapping[str, Any]) -> dict[str, bytes]:
        """What the job left in /opt/ml/output/data."""
        folder = f"{job['OutputDataConfig']['S3OutputPath']}/{job['TrainingJobName']}/output"
        bucket, _, key = f"{folder}/output.tar.gz".removeprefix("s3://").partition("/")
        body = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            files = {entry.name: tar.extractfile(entry) for entry in tar if entry.isfile()}
            return {name: stream.read() for name, stream in files.items() if stream}

    def download(self, channels: Iterable[Mapping[str, Any]], folder: Path) -> None:
        """Copy every object of these channels of a request into folders of their names."""
        for channel in channels:
            uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
            bucket, _, prefix = uri.removeprefix("s3://").partition("/")
            pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            for entry in (entry for page in pages for entry in page["Contents"]):
                relative = entry["Key"].removeprefix(prefix).lstrip("/")
                path = folder / channel["ChannelName"] / relative
                path.parent.mkdir(parents=True, exist_ok=True)
                self.s3.download_file(bucket, entry["Key"], str(path))


@dataclass(frozen=True)
class Container:
    """AWS's own code at work on a folder that is its /opt/ml, with `python` as its interpreter."""

    base: Path
    python: Path
    process: subprocess.Popen[str]

    @classmethod
    def started(
        cls, base: Path, python: Path, command: list[str], environment: Mapping[str, str]
    ) -> "Container":
        process = subprocess.Popen(
            command,
            cwd=base,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        return cls(base, python, process)

    @staticmethod
    def prepared(base: Path, **config: Any) -> Path:
        """A container's /opt/ml as SageMaker hands it over, less its channels."""
        for folder in ("input/config", "model", "output/data"):
            (base / folder).mkdir(parents=True)
        for name, content in config.items():
            (base / "input" / "config" / f"{name}.json").write_text(json.dumps(content))
        return base

    def told(self, named: str | None = None) -> Told:
        """What its probe told, once it has ended; `named` is what it calls its folder."""
        lines, _ = self.process.communicate(timeout=SECONDS)
        probe = self.base / "output" / "data" / "probe.json"
        assert probe.exists(), lines
        failure = self.base / "output" / "failure"
        said = failure.read_text().strip() if failure.exists() else ""
        base, code = named or str(self.base), self.process.returncode
        return Told.told(base, str(self.python), probe.read_bytes(), code, said)

    def wait_for_script(self) -> psutil.Process:
        """The probe's own process, once it waits."""
        pid = self.base / "output" / "data" / "pid"
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if pid.exists() and pid.read_text():
                return psutil.Process(int(pid.read_text()))
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.1)
        raise AssertionError("The probe never came to wait.")

    def kill(self) -> None:
        """Kill what is left of it, its script too."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


def given(name: str, arn: str, python: Path, **environment: str) -> dict[str, str]:
    """The variables that SageMaker itself gives a container, and the request's."""
    cloud = ("ENDPOINT_URL", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "REGION", "DEFAULT_REGION")
    threads = {key: os.environ[key] for key in os.environ if key.startswith(("OMP_", "GOMP_"))}
    return threads | {
        "PATH": os.pathsep.join([str(python.parent), "/usr/bin", "/bin"]),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        **{f"AWS_{key}": os.environ[f"AWS_{key}"] for key in cloud},
        "TRAINING_JOB_NAME": name,
        "TRAINING_JOB_ARN": arn,
        **environment,
    }
