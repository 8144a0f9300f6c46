"""What a training script says of itself in metrics.json, whoever wrote the script."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict


class Epoch(BaseModel):
    """The scores after one epoch, which ended with this step."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    step: int
    train_loss: float
    test_loss: float
    test_accuracy: float


class History(BaseModel):
    """How the training went: some steps' losses, as (step, loss), and each epoch's scores."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    losses: tuple[tuple[int, float], ...] = ()
    epochs: tuple[Epoch, ...] = ()

    @property
    def is_told(self) -> bool:
        return bool(self.losses or self.epochs)


@dataclass(frozen=True, slots=True)
class TrainingMetrics:
    """`numbers` are those at the top; `problem` says why there is no history, where one is told."""

    numbers: Mapping[str, float] = field(default_factory=dict)
    history: History = field(default_factory=History)
    problem: str = ""


def read_metrics(text: bytes) -> TrainingMetrics:
    """The numbers at the top of metrics.json, and its history; nothing of what is no such file.

    What has to be in it its check says.
    """
    try:
        metrics = json.loads(text)
    except ValueError:
        return TrainingMetrics()
    if not isinstance(metrics, dict):
        return TrainingMetrics()
    # JSON has no NaN: a record with one in it could be written, and not read again.
    numbers = {name: float(value) for name, value in metrics.items() if _is_number(value)}
    try:
        return TrainingMetrics(numbers, History.model_validate(metrics))
    except ValueError as error:
        problem = " ".join(str(error).split())[:300]
        return TrainingMetrics(numbers, problem=problem)


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)
