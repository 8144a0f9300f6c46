"""What the benchmarks share: the dataset, a trained model of either side, the function unpacked.

Kept in `benchmarks/.cache` from run to run, and made again when the code behind it changes.
"""

import hashlib
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mc_assets import idx
from speed.measuring import run_python
from speed.results import Row, read

BENCHMARKS = Path(__file__).parents[1]
ROOT = BENCHMARKS.parent
CACHE = BENCHMARKS / ".cache"
RESULTS = BENCHMARKS / "results.json"
TRAINING_CODE = ROOT / "training_code"
FUNCTION_APP = ROOT / "function_app"
WALKTHROUGH_TRAINING = BENCHMARKS / "walkthrough" / "training.py"
MEAN, STD = np.float32(0.1307), np.float32(0.3081)


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where things are, and whether the long way was asked for (`make bench-full`)."""

    full: bool = False
    cache: Path = CACHE

    @property
    def data(self) -> Path:
        """torchvision's root: the four uncompressed files lie in MNIST/raw below it."""
        folder = self.cache / "data"
        raw = folder / "MNIST" / "raw"
        if not all((raw / name).exists() for name in idx.MNIST_FILES):
            # Dagster comes with it: seconds that no client process of a benchmark should spend.
            from mc_assets.resources.dataset_source import DatasetSource

            raw.mkdir(parents=True, exist_ok=True)
            DatasetSource().fetch(raw, lambda _: None)
        return folder

    @property
    def raw_data(self) -> Path:
        return self.data / "MNIST" / "raw"

    @property
    def our_model(self) -> Path:
        """model.onnx as train.py makes it when nothing is asked for."""

        def train(folder: Path) -> None:
            run_python([TRAINING_CODE / "train.py", *our_training_folders(self, folder)],
                       says_json=False)  # fmt: skip

        return self._made("ours", _digest(TRAINING_CODE), train) / "model" / "model.onnx"

    @property
    def walkthrough_model(self) -> Path:
        """The ONNX file of one epoch of the walkthrough's training, its weights beside it."""

        def train(folder: Path) -> None:
            run_python([WALKTHROUGH_TRAINING, "--data", self.data, "--out", folder])

        made = self._made("walkthrough", _digest(WALKTHROUGH_TRAINING.parent), train)
        return made / "mnist-pytorch.onnx"

    @property
    def package(self) -> Path:
        """The function around our model, as the function host finds it: an unpacked package."""
        model = self.our_model.read_bytes()

        def unpack(folder: Path) -> None:
            from mc_assets.packaging import build_package

            package = build_package(FUNCTION_APP, model, {"origin": "benchmarks"})
            with zipfile.ZipFile(io.BytesIO(package.data)) as archive:
                archive.extractall(folder)

        digest = hashlib.sha256(model + _digest(FUNCTION_APP).encode()).hexdigest()
        return self._made("package", digest, unpack)

    def earlier(self, benchmark: str, name: str) -> Row | None:
        """A row of the results as they are."""
        measured = read(RESULTS).get(benchmark)
        rows = measured.rows if measured else []
        return next((row for row in rows if row.name == name), None)

    def test_images(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """All 10,000 test images [N, 28, 28] and their labels [N]."""
        images, labels = (
            (self.raw_data / name).read_bytes() for name in (idx.TEST_IMAGES, idx.TEST_LABELS)
        )
        return idx.read_images(images), idx.read_labels(labels)

    def _made(self, name: str, digest: str, make: Callable[[Path], None]) -> Path:
        folder = self.cache / f"{name}-{digest[:12]}"
        if not (folder / "made").exists():
            folder.mkdir(parents=True, exist_ok=True)
            make(folder)
            (folder / "made").touch()
        return folder


def our_training_folders(workshop: Workshop, out: Path) -> list[str | Path]:
    """Arguments of train.py: where it reads and where it writes; `out` holds model/ in the end."""
    raw = workshop.raw_data
    return [
        "--training", raw, "--testing", raw,
        "--model-dir", out / "model", "--output-dir", out / "output",
    ]  # fmt: skip


def normalised(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the walkthrough's clients send: float32 [N, 1, 28, 28]."""
    return (images[:, np.newaxis].astype(np.float32) / np.float32(255) - MEAN) / STD


def _digest(folder: Path) -> str:
    found = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            found.update(file.name.encode() + b"\0" + file.read_bytes())
    return found.hexdigest()
