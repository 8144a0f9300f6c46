"""Retries: a step tries again what a minute may heal; anything else ends the run at once.

Not Dagster's RetryPolicy: that also retries programming errors, and starts an interrupted step
anew, which for a training job means to pay for another one.
"""

import functools
from collections.abc import Callable
from typing import TypeVar

import dagster as dg
from dagster._core.storage.tags import RETRY_ON_ASSET_OR_OP_FAILURE_TAG

RETRIES = 2
PAUSES = (10, 60)  # seconds before the first and the second retry

ResultT = TypeVar("ResultT")


def retried(step: Callable[..., ResultT]) -> Callable[..., ResultT]:
    """Have an asset or a check, whose first argument is its context, retry failures that allow it.

    Any other failure also keeps the run from being retried as a whole: a step that gave up for good
    would give up again.
    """

    @functools.wraps(step)
    def attempt(context: dg.AssetExecutionContext, *arguments: object, **named: object) -> ResultT:
        try:
            return step(context, *arguments, **named)
        except dg.Failure as failure:
            if failure.allow_retries and context.retry_number < RETRIES:
                pause = PAUSES[context.retry_number]
                context.log.warning(f"{failure.description} Trying again in {pause} s.")
                raise dg.RetryRequested(RETRIES, pause) from failure
            if not failure.allow_retries:
                _forbid_run_retries(context)
            raise
        except Exception:
            _forbid_run_retries(context)
            raise

    return attempt


def _forbid_run_retries(context: dg.AssetExecutionContext) -> None:
    context.instance.add_run_tags(context.run.run_id, {RETRY_ON_ASSET_OR_OP_FAILURE_TAG: "false"})
