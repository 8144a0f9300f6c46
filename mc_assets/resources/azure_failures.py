"""Azure's refusals as Dagster failures: Azure's own words, and whether a retry can help."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError

import dagster as dg

# OpenSSL's words, in whatever exception a library wraps them.
_UNTRUSTED = re.compile(r"certificate verify failed: ([^()']+)", re.IGNORECASE)


def is_passing(status: int | None) -> bool:
    """Whether an answer of this status may be another a minute later."""
    return status is None or status in {408, 429} or status >= 500


def refuse_untrusted(error: Exception, what: str) -> None:
    """A certificate that is not accepted stays so, however often it is asked for.

    Raises:
        dagster.Failure: this is why the connection was not made.
    """
    if found := _UNTRUSTED.search(str(error)):
        raise dg.Failure(
            f"The certificate shown for {what} was not accepted: {found[1].strip()}. Set this "
            "machine's clock if it is wrong; if a proxy answers in Azure's place, name its "
            "authority in REQUESTS_CA_BUNDLE.",
            allow_retries=False,
        ) from error


@contextmanager
def azure_failures_named(what: str) -> Iterator[None]:
    """Azure's own message, with what it was about; a refusal by the client is not worth a retry."""
    from azure.core.exceptions import (
        AzureError,
        ClientAuthenticationError,
        DecodeError,
        HttpResponseError,
    )

    try:
        yield
    except ClientAuthenticationError as error:
        raise dg.Failure(
            f"Azure did not accept the credentials for {what}: {error.message} "
            "Renew them, and set this machine's clock if it is wrong; then run again.",
            allow_retries=False,
        ) from error
    except (DecodeError, JSONDecodeError) as error:
        # The second is what the SDK lets pass where an operation's result is no JSON.
        # It did arrive, and may have been carried out: whatever comes next is idempotent.
        raise dg.Failure(
            f"Azure's answer for {what} was cut short or garbled on its way: {error}"
        ) from error
    except HttpResponseError as error:
        raise dg.Failure(
            f"Azure refused {what}: {error.message}",
            allow_retries=is_passing(error.status_code),
        ) from error
    except AzureError as error:
        refuse_untrusted(error, what)
        raise dg.Failure(f"Azure could not be reached for {what}: {error.message}") from error
