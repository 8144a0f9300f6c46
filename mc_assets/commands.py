"""What the commands share that run a part of the graph in this process."""

import os
import warnings
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.events import RunFailureReason
from rich.console import Console

ROOT = Path(__file__).parent.parent
# What such a command shows of the event log is its own: Dagster's rendering would double it.
QUIET: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def at_home() -> None:
    """Work where Dagster's history is that the UI shows too."""
    # Dagster wants an absolute home; beside the project, as the `.env` that `make` writes has it.
    os.environ.setdefault("DAGSTER_HOME", str(ROOT / ".dagster"))
    os.chdir(ROOT)
    warnings.filterwarnings("ignore", module="dagster")  # of its own APIs in preview


def terminal() -> Console:
    """Where a command writes."""
    # Dagster captures descriptors 1 and 2 while a step runs; a copy keeps reaching the terminal.
    return Console(file=os.fdopen(os.dup(1), "w"), highlight=False)


def was_interrupted(result: dg.ExecuteInProcessResult) -> bool:
    """Dagster calls a run failed that nobody ended in its UI, and says how in the last event."""
    endings = [event for event in result.all_events if event.is_run_failure]
    return any(
        event.job_failure_data.failure_reason is RunFailureReason.UNEXPECTED_TERMINATION
        for event in endings
    )
