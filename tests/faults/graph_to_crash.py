"""A whole graph that is cheap to run, clouds that may be killed, and what a run must leave."""

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import psutil
from runs_to_break import Moment, Order, Run, start

from graph_runs import Graph
from light_function import write_function
from mc_assets import idx
from mc_assets.artifacts import ARTIFACTS
from mc_assets.local_cloud import supervisor
from mc_assets.local_cloud.settings import LocalSettings
from mc_assets.packaging.contents import MANIFEST, inspect_package
from mc_assets.resources.endpoint_client import serving
from mc_assets.target import connect
from ports import free_ports
from tiny_onnx import tiny_images

TESTS = Path(__file__).parent.parent
ASSETS = (
    "dataset",
    "trained_model",
    "onnx_model",
    "function_package",
    "staged_endpoint",
    "live_endpoint",
)
# Long enough to be met while it trains.
TRAIN = """
import time
time.sleep(1)
import linear_training
linear_training.main()
"""
# A model of sixty noise images knows nothing; what is tried here is that it is always the same one.
GATES = {
    "min_training_accuracy": 0,
    "min_test_accuracy": 0,
    "min_endpoint_accuracy": 0,
    "bake_seconds": 0,
    "bake_max_latency_p95_ms": 10_000,
}


@contextmanager
def clouds_of_our_own(state: Path) -> Iterator[LocalSettings]:
    """This process pointed at clouds that may be killed; the session's are spared."""
    before = dict(os.environ)
    settings = LocalSettings(state, *free_ports(3))
    os.environ |= {
        "MC_LOCAL_STATE": str(state),
        "MC_LOCAL_AWS_PORT": str(settings.aws_port),
        "MC_LOCAL_AZURE_PORT": str(settings.azure_port),
        "MC_LOCAL_SITE_PORT": str(settings.first_site_port),
    }
    try:
        connect("local")
        yield settings
    finally:
        supervisor.down(settings)
        os.environ.clear()
        os.environ.update(before)


def kill_clouds(settings: LocalSettings) -> None:
    """kill -9 of both; what they had started is left behind, as a crash leaves it."""
    for service in supervisor.status(settings):
        assert service.pid
        process = psutil.Process(service.pid)
        process.send_signal(signal.SIGKILL)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)


@dataclass(frozen=True)
class Materials:
    """What all the models are made from."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "Materials":
        for name in ("data", "code"):
            (folder / name).mkdir()
        images, labels = tiny_images(40, seed=2), np.arange(40, dtype=np.uint8) % 10
        training = tiny_images(60), np.arange(60, dtype=np.uint8) % 10
        names = (idx.TRAIN_IMAGES, idx.TRAIN_LABELS, idx.TEST_IMAGES, idx.TEST_LABELS)
        for name, array in zip(names, (*training, images, labels), strict=True):
            (folder / "data" / name).write_bytes(idx.write(array))
        for name in ("linear_training.py", "tiny_onnx.py"):
            shutil.copy(TESTS / name, folder / "code")
        (folder / "code" / "train.py").write_text(TRAIN)
        write_function(folder / "function", images, labels.tolist())
        return cls(folder)

    def model(self, name: str) -> Mapping[str, Any]:
        """As defs.yaml would spell it."""
        return {
            "name": name,
            "dataset_folder": str(self.folder / "data"),
            "function_app": str(self.folder / "function"),
            "training": {"code": str(self.folder / "code")},
            "gates": GATES,
        }


@dataclass(frozen=True)
class Victim:
    """One model whose run is to crash."""

    name: str
    materials: Materials
    home: Path

    def run(self, *assets: str, executor: str = "in_process", moment: Moment | None = None) -> Run:
        """All of the graph, or some of its assets with their checks."""
        order = Order(self.materials.model(self.name), assets, executor, moment=moment)
        return start(order, self.home, os.environ)

    @cached_property
    def graph(self) -> Graph:
        return Graph.of(**self.materials.model(self.name))

    @property
    def facts(self) -> dict[str, Any]:
        """What is recorded, its bytes read and proven; nothing in it tells the models apart."""
        found: dict[str, Any] = {}
        for asset in ASSETS:
            record = self.graph.store.latest(self.graph.key(asset), ARTIFACTS[asset])
            if record is not None:
                found[asset] = getattr(self, f"_{asset}")(record)
        return found

    @property
    def jobs(self) -> dict[str, str]:
        """By attempt: the status, and why where it failed."""
        client = boto3.client("sagemaker")
        answer = client.list_training_jobs(NameContains=f"{self.name}-", MaxResults=100)
        found = {}
        for job in answer["TrainingJobSummaries"]:
            told = client.describe_training_job(TrainingJobName=job["TrainingJobName"])
            status, why = told["TrainingJobStatus"], told.get("FailureReason", "")
            found[job["TrainingJobName"].rpartition("-")[2]] = f"{status} {why}".strip()
        return found

    def take_down(self) -> None:
        """Whatever runs at the end would run on as processes here."""
        assert self.graph.run_job("teardown").success

    def _dataset(self, record: Any) -> Any:
        for file in record.files.values():
            self.graph.store.read(file)
        return {name: file.sha256 for name, file in record.files.items()}

    def _trained_model(self, record: Any) -> Any:
        self.graph.store.read(record.archive)
        return record.archive.sha256, record.metrics

    def _onnx_model(self, record: Any) -> Any:
        self.graph.store.read(record.model)
        self.graph.store.read(record.reference)
        return record.model.sha256, record.reference.sha256

    def _function_package(self, record: Any) -> Any:
        """Its manifest alone names the model and the job, and so the job's attempt."""
        package = inspect_package(self.graph.store.read(record.package))
        text = package.members[MANIFEST].decode()
        manifest = json.loads(re.sub(rf"{self.name}-(\w+)-\d+", r"JOB-\1", text))
        manifest = json.loads(json.dumps(manifest).replace(self.name, "MODEL"))
        files = [file for file in package.files if file[0] != MANIFEST]
        return record.content_version, files, manifest

    def _staged_endpoint(self, record: Any) -> Any:
        return record.content_version, serving(record.url)

    def _live_endpoint(self, record: Any) -> Any:
        return record.content_version, serving(record.url), record.number
