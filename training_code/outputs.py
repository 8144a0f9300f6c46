"""The four files of a finished training, each written whole or not at all, metrics.json last."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mnist_idx import CLASSES, INPUT_MEAN, INPUT_STD, SIDE, Split
from network import build
from scoring import Score, log_probabilities, score

# torch's own choice moves between its releases; the consumers' runtimes are slower to follow.
OPSET = 20


def write_weights(folder: Path, network: nn.Module) -> None:
    """model.pt: the state dict alone, so that reading it runs no code."""
    buffer = io.BytesIO()
    weights = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
    torch.save(weights, buffer)
    _write(folder / "model.pt", buffer.getvalue())


def reload_weights(folder: Path, arch: str) -> nn.Module:
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


def write_onnx(folder: Path, network: nn.Module) -> None:
    """model.onnx: one file, input_0 [N, 1, 28, 28] to output_0 [N, 10], N free.

    The batch is named dynamic and given as 2 because an exporter may take a batch of 1 for fixed.
    """
    program = torch.onnx.export(
        network.eval(),
        (torch.zeros(2, 1, SIDE, SIDE),),
        input_names=["input_0"],
        output_names=["output_0"],
        dynamic_shapes=({0: "batch_size"},),
        opset_version=OPSET,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program back.")
    model = program.model_proto
    _strip(model.graph)
    for key, value in _facts().items():
        model.metadata_props.add(key=key, value=value)
    _write(folder / "model.onnx", model.SerializeToString(deterministic=True))


def write_metrics(folder: Path, metrics: Mapping[str, Any]) -> None:
    """metrics.json; a folder that has it has the other three."""
    _write(folder / "metrics.json", (json.dumps(metrics, indent=1) + "\n").encode())


def _facts() -> dict[str, str]:
    return {
        "input_mean": repr(INPUT_MEAN),
        "input_std": repr(INPUT_STD),
        "classes": ",".join(str(digit) for digit in range(CLASSES)),
    }


def _strip(graph: Any) -> None:
    # The exporter notes stack traces: paths of this machine, different in every job.
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        del part.metadata_props[:]
        part.doc_string = ""


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_bytes(data)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
