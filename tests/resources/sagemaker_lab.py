"""Small training scripts run by the Pipes client inside a real run, on the local SageMaker."""

import hashlib
import io
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import dagster as dg

from graph_runs import IMAGE, Ran
from mc_assets.resources.artifact_store import ArtifactStore
from mc_assets.resources.sagemaker import PipesSageMakerClient
from mc_assets.resources.training import SageMakerTraining
from mc_assets.training_job import TrainingSettings, training_job_request

# Leaves a model; every script that is to complete ends with it.
SAVE = """
import os, pathlib
pathlib.Path(os.environ["SM_MODEL_DIR"], "weights").write_text("42")
"""
# Says that it runs and then waits for the file that the hyperparameter names.
WAIT = """
import os, pathlib, sys, time
print("waiting", flush=True)
pathlib.Path(os.environ["STARTED"]).write_text(str(os.getpid()))
while not os.path.exists(os.environ["GATE"]):
    time.sleep(0.02)
"""


@dataclass
class Lab:
    """Runs one script under one job name; everything is described by SageMaker itself."""

    store: ArtifactStore
    base_name: str
    environment: Mapping[str, str] = field(default_factory=dict)
    forward_termination: bool = True
    instance: dg.DagsterInstance = field(default_factory=dg.DagsterInstance.ephemeral)

    @classmethod
    def of(cls, store: ArtifactStore, test: str, folder: Path) -> "Lab":
        """Training under a job name of this test's own; GATE and STARTED are files in `folder`."""
        digits = hashlib.sha256(test.encode()).hexdigest()[:12]
        files = {"GATE": str(folder / "gate"), "STARTED": str(folder / "started")}
        return cls(store, f"lab-{digits}", files)

    @property
    def gate(self) -> Path:
        return Path(self.environment["GATE"])

    @cached_property
    def client(self) -> Any:
        return boto3.client("sagemaker")

    @cached_property
    def pipes(self) -> PipesSageMakerClient:
        training = SageMakerTraining(
            store=self.store, forward_termination=self.forward_termination, max_poll_seconds=0.3
        )
        return training.pipes_client()

    def request(self, script: str, **changes: Any) -> dict[str, Any]:
        """CreateTrainingJob's parameters less the name, as the graph makes them."""
        connection = self.store.target.connection
        settings = TrainingSettings(
            environment=self.environment, max_runtime=changes.pop("max_runtime", 60)
        )
        code = hashlib.sha256(script.encode()).hexdigest()
        self.store.put_bytes("data/digits", b"0123456789")
        request = training_job_request(
            settings,
            image=IMAGE,
            role_arn=connection.sagemaker_role_arn,
            region=connection.region,
            source_uri=self.store.put_bytes(f"{code}/source.tar.gz", packed(script)).uri,
            channels={"training": self.store.uri("data/")},
            output_uri=self.store.uri("jobs"),
            checkpoint_uri=self.store.uri("checkpoints"),
            tags={},
        )
        return {**request, **changes}

    def create(self, script: str, tags: Mapping[str, str] | None = None) -> str:
        """Start the job as some other run would; its name."""
        name = f"{self.base_name}-1"
        told = [{"Key": key, "Value": value} for key, value in (tags or {}).items()]
        self.client.create_training_job(
            TrainingJobName=name, **{**self.request(script), "Tags": told}
        )
        return name

    def run(
        self,
        script: str,
        retry_policy: dg.RetryPolicy | None = None,
        is_usable: Callable[[Mapping[str, Any]], bool] = bool,
        **changes: Any,
    ) -> Ran:
        """One run of an asset that trains with this script."""

        @dg.asset(retry_policy=retry_policy)
        def trained(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
            return self.pipes.run(
                context=context,
                base_name=self.base_name,
                make_request=lambda: self.request(script, **changes),
                is_usable=is_usable,
            ).get_materialize_result()

        result = dg.materialize([trained], instance=self.instance, raise_on_error=False)
        return Ran(result, self.instance)

    def when_training(self, act: Callable[[str], None]) -> None:
        """Have this done once, right after the Pipes client was told that the job is training."""
        events, done = self.pipes.client.meta.events, []

        def told(parsed: Mapping[str, Any], **_: Any) -> None:
            if parsed.get("SecondaryStatus") == "Training" and not done:
                done.append(True)
                act(parsed["TrainingJobName"])

        events.register("after-call.sagemaker.DescribeTrainingJob", told)

    def answer(self, operation: str, answers: Callable[[], tuple[str, str] | None]) -> None:
        """Have the Pipes client's calls refused with this code and message, where there are any.

        As if botocore had tried again for long enough: its back-off is its own affair.
        """

        def refused(**_: Any) -> Any:
            told = answers()
            if told is None:
                return None
            error = {"Code": told[0], "Message": told[1]}
            metadata = {"HTTPStatusCode": 400, "HTTPHeaders": {}}
            return SimpleNamespace(status_code=400), {"Error": error, "ResponseMetadata": metadata}

        self.pipes.client.meta.events.register(f"before-call.sagemaker.{operation}", refused)

    def when_told(self, act: Callable[[dict[str, Any]], None]) -> None:
        """Have this done with every description that the Pipes client gets, before it reads it."""
        self.pipes.client.meta.events.register(
            "after-call.sagemaker.DescribeTrainingJob", lambda parsed, **_: act(parsed)
        )

    @property
    def jobs(self) -> dict[str, str]:
        """Status of every job of this name, by its attempt."""
        answer = self.client.list_training_jobs(NameContains=self.base_name)
        return {
            job["TrainingJobName"].rpartition("-")[2]: job["TrainingJobStatus"]
            for job in answer["TrainingJobSummaries"]
        }


def packed(script: str) -> bytes:
    buffer, data = io.BytesIO(), script.encode()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        info = tarfile.TarInfo("train.py")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
