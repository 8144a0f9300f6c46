"""Azure's refusals as Dagster failures: Azure's own words, and whether a retry can help."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from mc_assets.outcomes import UNTRUSTED, azure_outcome

# OpenSSL's words, in whatever exception a library wraps them.
_UNTRUSTED = re.compile(r"certificate verify failed: ([^()']+)", re.IGNORECASE)


def is_passing(status: int | None) -> bool:
    """Whether an answer of this status may be another a minute later."""
    return azure_outcome(status).is_retryable


def refuse_untrusted(error: Exception, what: str) -> None:
    """A certificate that is not accepted stays so, however often it is asked for.

    Raises:
        dagster.Failure: this is why the connection was not made.
    """
    if found := _UNTRUSTED.search(str(error)):
        raise dg.Failure(
            f"The certificate shown for {what} was not accepted: {found[1].strip()}. "
            f"{UNTRUSTED.advice}",
            allow_retries=False,
        ) from error


@contextmanager
def azure_failures_named(what: str) -> Iterator[None]:
    """Azure's own message, with what it was about, what to do, and whether to try again."""
    from azure.core.exceptions import (
        AzureError,
        ClientAuthenticationError,
        DecodeError,
        HttpResponseError,
    )

    try:
        yield
    except (DecodeError, json.JSONDecodeError) as error:
        # The second is what the SDK lets pass where an operation's result is no JSON.
        # It did arrive, and may have been carried out: whatever comes next is idempotent.
        raise dg.Failure(
            f"Azure's answer for {what} was cut short or garbled on its way: {error}"
        ) from error
    except HttpResponseError as error:
        refuse_untrusted(error, what)
        told = _told(error)
        at_the_door = isinstance(error, ClientAuthenticationError)
        outcome = azure_outcome(error.status_code or (401 if at_the_door else None), told)
        raise dg.Failure(
            f"Azure refused {what}: {told.rstrip('.')}. {outcome.advice}",
            allow_retries=outcome.is_retryable,
        ) from error
    except AzureError as error:
        refuse_untrusted(error, what)
        raise dg.Failure(f"Azure could not be reached for {what}: {error.message}") from error


def _told(error: Any) -> str:
    """Azure's own words.

    Microsoft.Web's have a form that the SDK does not read: it leaves "invalid status 'Conflict'".
    """
    from azure.core.exceptions import AzureError

    if error.error is not None or error.response is None:
        return error.message
    try:
        answer = json.loads(error.response.text())
    except (ValueError, AzureError):  # no JSON, or an answer whose body was never read
        return error.message
    told = answer.get("Message") if isinstance(answer, dict) else None
    return told or error.message
