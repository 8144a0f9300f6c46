"""The state of a training under way, on disk: what a spot interruption must not cost."""

import logging
import pickle
from pathlib import Path
from typing import Any

import torch

log = logging.getLogger("train.checkpoint")

State = dict[str, Any]


def save(path: Path, identity: State, state: State) -> None:
    """Write the state whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    torch.save({"identity": identity, "state": state}, beside)
    beside.replace(path)


def load(path: Path, identity: State) -> State | None:
    """The state an earlier run of the same training left, or None to start from the beginning."""
    if not path.exists():
        return None
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        same = found["identity"] == identity
    except (RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        # Starting over is slower and right; failing would fail every later attempt too.
        log.warning("the checkpoint %s cannot be read (%s): starting over", path.name, error)
        return None
    if not same:
        log.warning("the checkpoint %s is of another training: starting over", path.name)
        return None
    return found["state"]
