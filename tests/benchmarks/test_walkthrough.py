"""The walkthrough's side is what it says: its function answers what its network answers."""

import json
from pathlib import Path

import azure.functions as func  # noqa: TID253 - what its function speaks
import numpy as np
import torch  # noqa: TID253 - what its network is made of

from walkthrough import training
from walkthrough.function import classify

IMAGES = 64


def test_function_answers_what_the_network_answers_in_torch(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = training.network().eval()
    assert sum(weights.numel() for weights in network.parameters()) == 1_199_882
    training.export(network, tmp_path)
    images = np.random.default_rng(1).normal(0, 1, (IMAGES, 1, 28, 28)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(images)).argmax(dim=1).tolist()
    assert len(set(expected)) > 1, "all images alike would show nothing"

    body = json.dumps({"data": images.tolist()}).encode()
    request = func.HttpRequest(method="POST", url="/", headers={}, params={}, body=body)
    answer = classify(request, tmp_path / training.MODEL)

    assert answer.status_code == 200
    assert json.loads(answer.get_body()) == {"digits": expected}


def test_its_loop_learns() -> None:
    """Thirty steps on separable images: the loss falls, so the loop does train."""
    torch.manual_seed(1)
    labels = torch.arange(10).repeat(20)
    images = torch.zeros(200, 1, 28, 28)
    for number, label in enumerate(labels):
        images[number, 0, 2 * int(label) : 2 * int(label) + 4] = 2.0
    batches = list(zip(images.split(20), labels.split(20), strict=True))
    network = training.network()
    optimizer = training.optimizer_of("adadelta", network, 1.0)
    before = loss(network, images, labels)
    for _ in range(3):
        training.train_epoch(network, batches, optimizer)
    assert loss(network, images, labels) < before / 2


def loss(network: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    with torch.no_grad():
        return float(torch.nn.functional.nll_loss(network.eval()(images), labels))
