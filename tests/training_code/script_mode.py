"""train.py run as SageMaker runs it: a process of its own, in its own folder."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CODE = Path(__file__).parents[2] / "training_code"


@dataclass(frozen=True)
class Run:
    """A finished run of train.py, and the folder it had for its files."""

    base: Path
    code: int
    output: str

    @property
    def model(self) -> Path:
        return self.base / "model"

    @property
    def failure(self) -> str:
        return (self.base / "output" / "failure").read_text()

    @property
    def metrics(self) -> dict[str, Any]:
        return json.loads((self.model / "metrics.json").read_text())


def environment(base: Path, data: Path | None) -> dict[str, str]:
    """The SM_* variables of the classic toolkit that matter to the script, and nothing else."""
    channels = base / "input" / "data"
    return {
        "PATH": os.environ["PATH"],
        "OMP_NUM_THREADS": "1",  # two threads wait for each other when the machine is busy
        "SM_MODEL_DIR": str(base / "model"),
        "SM_OUTPUT_DIR": str(base / "output"),
        "SM_CHANNEL_TRAINING": str(data or channels / "training"),
        "SM_CHANNEL_TESTING": str(data or channels / "testing"),
    }


def start(argv: list[str], environ: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "train.py", *argv],
        cwd=CODE,
        env=dict(environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def train(base: Path, *argv: str, data: Path | None = None) -> Run:
    """Run the script to its end."""
    process = start(list(argv), environment(base, data))
    output, _ = process.communicate(timeout=300)
    return Run(base, process.returncode, output)
