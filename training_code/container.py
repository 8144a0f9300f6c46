"""What the training container gives the script: its folders, its stop signal, its failure file.

Source of names and defaults: the SageMaker training toolkit's documentation,
https://github.com/aws/sagemaker-training-toolkit/blob/master/ENVIRONMENT_VARIABLES.md
"""

import logging
import signal
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

# SageMaker copies this many characters of the failure file into FailureReason.
FAILURE_CHARACTERS = 1024

log = logging.getLogger("train.container")


def folder(environ: Mapping[str, str], variable: str) -> Path:
    """The folder an SM_* variable names, or SageMaker's own when nothing sets the variable."""
    usual = {
        "SM_CHANNEL_TRAINING": "/opt/ml/input/data/training",
        "SM_CHANNEL_TESTING": "/opt/ml/input/data/testing",
        "SM_MODEL_DIR": "/opt/ml/model",
        "SM_OUTPUT_DIR": "/opt/ml/output",
    }
    return Path(environ.get(variable) or usual[variable])


def checkpoint_folder(model_dir: Path) -> Path:
    """/opt/ml/checkpoints, seen from /opt/ml/model: no variable names it."""
    return model_dir.absolute().parent / "checkpoints"


class StopRequest:
    """True once SIGTERM has come: a stop, a maximum runtime reached, or a spot interruption."""

    def __init__(self) -> None:
        self._requested = False
        signal.signal(signal.SIGTERM, self._note)

    def __bool__(self) -> bool:
        return self._requested

    def _note(self, _signal: int, _frame: FrameType | None) -> None:
        self._requested = True


def write_failure(output_dir: Path, error: BaseException) -> None:
    """Leave the reason where SageMaker looks for it: type, message, and the line of this script."""
    reason = f"{type(error).__name__}: {error}"
    where = _where(error)
    reason = reason[: FAILURE_CHARACTERS - len(where)] + where
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        (output_dir / "failure").write_text(reason)
    except OSError as trouble:
        # The error itself is about to be raised; this one must not take its place.
        log.warning("could not write the failure file below %s: %s", output_dir, trouble)


def _where(error: BaseException) -> str:
    here = Path(__file__).parent
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).parent == here]
    if not ours:
        return ""
    return f" ({Path(ours[-1].filename).name}, line {ours[-1].lineno}, in {ours[-1].name})"
