"""The four files of a finished training, each written whole or not at all, metrics.json last."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import onnx_graph
from mnist_idx import CLASSES, INPUT_MEAN, INPUT_STD, Split
from network import build
from scoring import Score, log_probabilities, score


def write_weights(folder: Path, network: nn.Module) -> None:
    """model.pt: the state dict alone, so that reading it runs no code."""
    buffer = io.BytesIO()
    weights = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
    torch.save(weights, buffer)
    _write(folder / "model.pt", buffer.getvalue())


def reload_weights(folder: Path, arch: str) -> nn.Sequential:
    """What model.pt holds, in a fresh network on the CPU: what is tested is what is shipped."""
    network = build(arch)
    weights = torch.load(folder / "model.pt", map_location="cpu", weights_only=True)
    network.load_state_dict(weights)
    return network.eval()


def write_reference(folder: Path, network: nn.Module, testing: Split, batch_size: int) -> Score:
    """reference.npz: log_probabilities float32 [M, 10] and labels uint8 [M] of all test images."""
    answers = log_probabilities(network, testing, batch_size)
    buffer = io.BytesIO()
    labels = testing.labels.numpy().astype(np.uint8)
    np.savez(buffer, allow_pickle=False, log_probabilities=answers.numpy(), labels=labels)
    _write(folder / "reference.npz", buffer.getvalue())
    return score(answers, testing)


def write_onnx(folder: Path, network: nn.Sequential) -> None:
    """model.onnx: one file, see onnx_graph.py."""
    _write(folder / "model.onnx", onnx_graph.write(network, _facts()))


def write_metrics(folder: Path, metrics: Mapping[str, Any]) -> None:
    """metrics.json; a folder that has it has the other three."""
    _write(folder / "metrics.json", (json.dumps(metrics, indent=1) + "\n").encode())


def _facts() -> dict[str, str]:
    return {
        "input_mean": repr(INPUT_MEAN),
        "input_std": repr(INPUT_STD),
        "classes": ",".join(str(digit) for digit in range(CLASSES)),
    }


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_bytes(data)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
