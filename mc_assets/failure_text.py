"""Why a step failed, in its own words: what a person reads first."""

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError


def failure_text(event: dg.DagsterEvent) -> str:
    """Of a step's failure: what the step said of it, or else its innermost error."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return event.message or ""
    interrupted = error.cls_name == DagsterExecutionInterruptedError.__name__
    return "interrupted" if interrupted else error.message.strip()
