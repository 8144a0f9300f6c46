"""The walkthrough's training: torchvision's dataset, image by image through a DataLoader.

A script of its own, as it was one in the training job. The last line it prints is a JSON object
with the seconds of every part. Two things are kinder to it than the original: the legacy exporter,
which is what the original's call meant in its day, takes 0.2 s where today's default takes 4, and
the test pass after an epoch is timed apart.
"""

import argparse
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

BEGUN = time.perf_counter()

import torch  # noqa: E402 - the import is one of the parts that are timed
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402
from torchvision import transforms  # noqa: E402
from torchvision.datasets import MNIST  # noqa: E402

MODEL = "mnist-pytorch.onnx"
WEIGHTS = "mnist-pytorch.pt"
MEAN, STD = 0.1307, 0.3081
GAMMA = 0.7
TEST_BATCH = 1000


def network() -> nn.Sequential:
    """1,199,882 parameters; float32 [N, 1, 28, 28], normalised, to log-probabilities [N, 10]."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(9216, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
        nn.LogSoftmax(dim=1),
    )


def loader(data: Path, train: bool, batch_size: int) -> DataLoader:
    """Batches from `data`/MNIST/raw; every image becomes a tensor and is normalised on its own."""
    prepared = transforms.Compose([transforms.ToTensor(), transforms.Normalize((MEAN,), (STD,))])
    images = MNIST(str(data), train=train, transform=prepared)
    return DataLoader(images, batch_size=batch_size, shuffle=train)


def optimizer_of(name: str, model: nn.Module, rate: float) -> torch.optim.Optimizer:
    if name == "sgd":
        return torch.optim.SGD(model.parameters(), lr=rate, momentum=0.5)
    return torch.optim.Adadelta(model.parameters(), lr=rate)


def train_epoch(model: nn.Module, batches: Iterable[Any], optimizer: torch.optim.Optimizer) -> None:
    model.train()
    for images, labels in batches:
        optimizer.zero_grad()
        functional.nll_loss(model(images), labels).backward()
        optimizer.step()


def test_accuracy(model: nn.Module, batches: DataLoader) -> float:
    model.eval()
    with torch.no_grad():
        right = sum(int((model(images).argmax(dim=1) == y).sum()) for images, y in batches)
    return right / 10_000


def epochs(options: argparse.Namespace, model: nn.Module) -> Iterator[dict[str, float]]:
    """Seconds and accuracy of one epoch after the other, until there are enough."""
    training = loader(options.data, train=True, batch_size=options.batch_size)
    testing = loader(options.data, train=False, batch_size=TEST_BATCH)
    optimizer = optimizer_of(options.optimizer, model, options.lr)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=GAMMA)
    for _ in range(options.epochs):
        started = time.perf_counter()
        train_epoch(model, training, optimizer)
        trained = time.perf_counter()
        accuracy = test_accuracy(model, testing)
        schedule.step()
        yield {
            "train_seconds": trained - started,
            "test_seconds": time.perf_counter() - trained,
            "accuracy": accuracy,
        }
        if accuracy >= options.until:
            return


def export(model: nn.Module, folder: Path) -> None:
    """The weights, and one ONNX file with input_0 [N, 1, 28, 28] and output_0 [N, 10]."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), folder / WEIGHTS)
    torch.onnx.export(
        model.eval(),
        (torch.zeros(1, 1, 28, 28),),
        folder / MODEL,
        input_names=["input_0"],
        output_names=["output_0"],
        dynamic_axes={"input_0": {0: "batch_size"}, "output_0": {0: "batch_size"}},
        dynamo=False,
    )


def main() -> None:
    options = _options()
    imported = time.perf_counter()
    torch.manual_seed(options.seed)
    model = network()
    done = list(epochs(options, model))
    trained = time.perf_counter()
    export(model, options.out)
    told = {
        "import_seconds": imported - BEGUN,
        "export_seconds": time.perf_counter() - trained,
        "epochs": done,
    }
    print(json.dumps(told))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="MNIST/raw with the files is here")
    parser.add_argument("--out", type=Path, required=True, help="where weights and model go")
    parser.add_argument("--epochs", type=int, default=1, help="at most")
    parser.add_argument("--until", type=float, default=1.01, help="accuracy that is enough")
    parser.add_argument("--optimizer", choices=["adadelta", "sgd"], default="adadelta")
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
