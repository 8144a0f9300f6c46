"""Artifacts made by hand where a graph's stages would have left them, good ones and bad ones."""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from graph_runs import Graph
from mc_assets import idx
from mc_assets.artifacts import (
    Artifact,
    Dataset,
    FunctionPackage,
    LiveEndpoint,
    OnnxModel,
    TrainedModel,
)
from mc_assets.packaging import build_package
from tiny_onnx import METADATA, expected_digits, normalised, tiny_images, tiny_onnx, tiny_weights

ArtifactT = TypeVar("ArtifactT", bound=Artifact)

TRAINING, TESTING = 60, 40
WEIGHTS = tiny_weights()


def folder_of(
    folder: Path,
    training: tuple[np.ndarray, np.ndarray] | None = None,
    testing: tuple[np.ndarray, np.ndarray] | None = None,
) -> Path:
    """Four IDX files: ten classes evenly, and test labels that `WEIGHTS` gets right."""
    images = tiny_images(TESTING, seed=2)
    default_testing = images, np.array(expected_digits(images, WEIGHTS), np.uint8)
    labels = np.arange(TRAINING, dtype=np.uint8) % 10
    arrays = (*(training or (tiny_images(TRAINING), labels)), *(testing or default_testing))
    names = (idx.TRAIN_IMAGES, idx.TRAIN_LABELS, idx.TEST_IMAGES, idx.TEST_LABELS)
    for name, array in zip(names, arrays, strict=True):
        (folder / name).write_bytes(idx.write(array))
    return folder


def log_probabilities(weights: np.ndarray) -> np.ndarray:
    """What PyTorch would have answered to the test images of `folder_of`."""
    logits = normalised(tiny_images(TESTING, seed=2)).reshape(-1, 784) @ weights
    logits = logits - logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


@dataclass
class ByHand:
    """Writes one graph's artifacts."""

    graph: Graph

    def dataset(self, other: Dataset) -> Dataset:
        """Another graph's dataset as this one's own."""
        lineage = self._lineage("dataset", other.version)
        return self._leave(other.model_copy(update={"lineage": lineage}))

    def trained(self, data: bytes, accuracy: float = 1.0) -> TrainedModel:
        stored = self.graph.store.put_bytes(f"{self.graph.name}/{sha256(data)}.tar.gz", data)
        return self._leave(
            TrainedModel(
                version=stored.sha256,
                lineage=self._lineage("trained_model", stored.sha256),
                archive=stored,
                job_name="by-hand-1",
                job_arn="arn:aws:sagemaker:eu-west-2:123456789012:training-job/by-hand-1",
                metrics={"test_accuracy": accuracy},
                training_seconds=1,
                billable_seconds=1,
            )
        )

    def onnx(self, model: bytes, reference: np.ndarray | None = None) -> OnnxModel:
        """A model, beside what PyTorch answered; what `WEIGHTS` answer if not given."""
        buffer = io.BytesIO()
        answers = log_probabilities(WEIGHTS) if reference is None else reference
        np.savez(buffer, log_probabilities=answers)
        store, name = self.graph.store, self.graph.name
        stored = store.put_bytes(f"{name}/{sha256(model)}.onnx", model)
        npz = store.put_bytes(f"{name}/{sha256(buffer.getvalue())}.npz", buffer.getvalue())
        return self._leave(
            OnnxModel(
                version=stored.sha256,
                lineage=self._lineage("onnx_model", stored.sha256),
                model=stored,
                reference=npz,
            )
        )

    def package(self, function_app: Path, inside: bytes | None = None) -> FunctionPackage:
        """A package of the recorded model, or of one that was never validated."""
        onnx_model = self.graph.record("onnx_model")
        package = build_package(function_app, inside or self.graph.store.read(onnx_model.model))
        stored = self.graph.store.put_bytes(f"{self.graph.name}/{package.sha256}.zip", package.data)
        return self._leave(
            FunctionPackage(
                version=stored.sha256,
                lineage=self._lineage("function_package", stored.sha256),
                package=stored,
                content_version=package.version,
                model=onnx_model.model,
            )
        )

    def champion(self, weights: np.ndarray, metadata: Mapping[str, str] = METADATA) -> LiveEndpoint:
        """A live endpoint with this model."""
        data = tiny_onnx(weights, metadata=metadata)
        stored = self.graph.store.put_bytes(f"{self.graph.name}/{sha256(data)}.onnx", data)
        return self._leave(
            LiveEndpoint(
                version=stored.sha256,
                lineage=self._lineage("live_endpoint", stored.sha256),
                resource_group="none",
                app="none",
                slot=None,
                url="https://127.0.0.1:1",
                content_version="none",
                package=stored,
                model=stored,
            )
        )

    def _lineage(self, asset: str, version: str) -> dict[str, str]:
        return {self.graph.key(asset).to_user_string(): version}

    def _leave(self, artifact: ArtifactT) -> ArtifactT:
        self.graph.store.write_latest(self.graph.key(artifact.asset), artifact)
        return artifact


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
