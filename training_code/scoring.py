"""How well a network does on images it was not trained on."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from mnist_idx import Split, normalise


@dataclass(frozen=True)
class Score:
    """Mean negative log-likelihood, and the share of right answers from 0 to 1."""

    loss: float
    accuracy: float


def log_probabilities(network: nn.Module, split: Split, batch_size: int) -> torch.Tensor:
    """The network's answers for every image in order: float32 [N, 10], computed in float32."""
    network.eval()
    with torch.inference_mode():
        batches = split.images.split(batch_size)
        return torch.cat([network(normalise(images)) for images in batches]).cpu()


def score(answers: torch.Tensor, split: Split) -> Score:
    """Compare log-probabilities [N, 10] with the split's labels."""
    labels = split.labels.cpu()
    loss = functional.nll_loss(answers, labels).item()
    return Score(loss, (answers.argmax(dim=1) == labels).double().mean().item())
