"""One model's versions, made by hand, checked by its checks and really released."""

import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import requests

from archives import archive
from graph_runs import Graph, Ran
from light_function import write_function
from mc_assets import idx
from mc_assets.artifacts import (
    FunctionPackage,
    LiveEndpoint,
    OnnxModel,
    StoredObject,
    TrainedModel,
)
from mc_assets.resources.endpoint_client import serving
from tiny_onnx import expected_digits, normalised, tiny_images, tiny_onnx, tiny_weights

IMAGES = tiny_images(40, seed=2)
WEIGHTS = tiny_weights()
GATES = {
    "min_test_accuracy": 0.5,
    "min_endpoint_accuracy": 0.5,
    "champion_margin": 0.5,
    "bake_seconds": 1,  # four calls with ten of the forty images each
    "bake_max_latency_p95_ms": 4000,
}


def reference(weights: np.ndarray) -> bytes:
    """PyTorch's answers to the test images, as reference.npz."""
    logits = normalised(IMAGES).reshape(-1, 784) @ weights
    logits = logits - logits.max(axis=1, keepdims=True)
    buffer = io.BytesIO()
    outputs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    np.savez(buffer, log_probabilities=outputs)
    return buffer.getvalue()


def graph_of(
    name: str,
    folder: Path,
    plan: str,
    instance: dg.DagsterInstance,
    gates: Mapping[str, Any] | None = None,
    **attributes: Any,
) -> Graph:
    """The model with its dataset in `folder`, and further choices of defs.yaml."""
    graph = Graph.of(
        name,
        dataset_folder=str(folder),
        gates={**GATES, **(gates or {})},
        hosting={"plan": plan},
        **attributes,
    )
    return replace(graph, instance=instance)


@dataclass
class Scene:
    """One model, its versions told apart by a seed; `graph` is changed by every version."""

    graph: Graph
    folder: Path
    plan: str
    built: int = field(default=0, init=False)

    @classmethod
    def set(cls, name: str, folder: Path, plan: str, instance: dg.DagsterInstance) -> "Scene":
        """With a dataset of forty test images that WEIGHTS get right."""
        labels = np.array(expected_digits(IMAGES, WEIGHTS), np.uint8)
        training = tiny_images(60), np.arange(60, dtype=np.uint8) % 10
        arrays = (*training, IMAGES, labels)
        names = (idx.TRAIN_IMAGES, idx.TRAIN_LABELS, idx.TEST_IMAGES, idx.TEST_LABELS)
        for file, array in zip(names, arrays, strict=True):
            (folder / file).write_bytes(idx.write(array))
        scene = cls(graph_of(name, folder, plan, instance), folder, plan)
        assert scene.graph.materialise("dataset").success
        return scene

    def use(self, gates: Mapping[str, Any] | None = None, **attributes: Any) -> None:
        """Go on with these choices of defs.yaml."""
        self.graph = graph_of(
            self.name, self.folder, self.plan, self.graph.instance, gates, **attributes
        )

    def package(self, seed: int, fault: str = "", flaw: str = "") -> FunctionPackage:
        """Have a version's model checked, and packed with a function that knows its answers."""
        noise = np.random.default_rng(seed).normal(0, 0.01, WEIGHTS.shape).astype(np.float32)
        weights = WEIGHTS + noise
        self.leave_model(tiny_onnx(weights), weights)
        self.use(function_app=self.function(expected_digits(IMAGES, weights), fault, flaw))
        self.graph.check("onnx_model")
        ran = self.graph.materialise("function_package")
        assert ran.success, ran.messages[-10:]
        return self.graph.record("function_package")

    def function(self, digits: list[int], fault: str = "", flaw: str = "") -> str:
        """The folder of a new function that answers the test images with these digits."""
        self.built += 1
        folder = self.folder / f"function-{self.built}"
        return str(write_function(folder, IMAGES, digits, fault, flaw))

    def leave_model(self, model: bytes, weights: np.ndarray) -> None:
        """A model where training and the onnx_model stage would have left it, beside PyTorch's
        answers; its archive has passed its checks."""
        answers, dataset = reference(weights), self.graph.record("dataset")
        files = {
            "model.onnx": model,
            "model.pt": weights.tobytes(),
            "metrics.json": b"{}",
            "reference.npz": answers,
        }
        packed, stored = self._put(archive(files), "tar.gz"), self._put(model, "onnx")
        trained = TrainedModel(
            version=packed.sha256,
            lineage={**dataset.lineage, f"{self.name}/trained_model": packed.sha256},
            archive=packed,
            job_name=(job := f"by-hand-{packed.sha256[:8]}"),
            job_arn=f"arn:aws:sagemaker:eu-west-2:123456789012:training-job/{job}",
            metrics={"test_accuracy": 1.0},
            training_seconds=1,
            billable_seconds=1,
        )
        self.graph.store.write_latest(self.graph.key("trained_model"), trained)
        record = OnnxModel(
            version=stored.sha256,
            lineage={**trained.lineage, f"{self.name}/onnx_model": stored.sha256},
            model=stored,
            reference=self._put(answers, "npz"),
            job_arn=trained.job_arn,
        )
        self.graph.store.write_latest(self.graph.key("onnx_model"), record)
        assert self.graph.check("trained_model").success

    def release(self, *assets: str, reason: str = "") -> Ran:
        """Stage, check and promote what is packed; or only these."""
        chosen = assets or ("staged_endpoint", "live_endpoint")
        config = {asset: {"override_reason": reason} for asset in chosen}
        return self.graph.materialise(*chosen, config=config)

    def roll_back(self, **config: str) -> Ran:
        return self.graph.run_job("rollback", roll_back=config)

    @contextmanager
    def taken_down(self) -> Iterator["Scene"]:
        """Whatever runs at the end would run on as processes here."""
        yield self
        assert self.graph.run_job("teardown").success

    @property
    def name(self) -> str:
        return self.graph.name

    @property
    def live(self) -> LiveEndpoint:
        return self.graph.record("live_endpoint")

    def live_after(self, *seeds: int) -> list[LiveEndpoint]:
        """What was live after each of these versions was released."""
        found = []
        for seed in seeds:
            self.package(seed)
            ran = self.release()
            assert ran.success, ran.messages[-10:]
            found.append(self.live)
        return found

    @property
    def serving(self) -> str | None:
        return serving(self.live.url)

    def answer(self) -> requests.Response:
        client = self.graph.releases.client(self.live)
        return client.post(IMAGES[:3].tobytes(), "application/octet-stream")

    def refusal(self, ran: Ran, asset: str = "live_endpoint") -> str:
        """What a run said that did not release."""
        assert not ran.success
        return ran.failure(f"{self.name}__{asset}")

    def _put(self, data: bytes, suffix: str) -> StoredObject:
        key = f"{self.name}/{hashlib.sha256(data).hexdigest()}.{suffix}"
        return self.graph.store.put_bytes(key, data)
