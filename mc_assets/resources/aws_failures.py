"""AWS's refusals as Dagster failures: the service's own words, what to do, and whether to retry."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg

from mc_assets.outcomes import refusal_outcome


@contextmanager
def aws_failures_named(what: str) -> Iterator[None]:
    """Turn botocore's exceptions into failures about `what`.

    botocore has tried throttled and failing calls again itself by the time one arrives here.

    Raises:
        dagster.Failure: AWS refused (its code is in the metadata), could not be reached, or was
            never asked because the request or the credentials cannot be right.
    """
    from botocore import exceptions
    from botocore.parsers import ResponseParserError

    try:
        yield
    except exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
        message = error.response["Error"].get("Message") or code
        outcome = refusal_outcome(code)
        raise dg.Failure(
            f"AWS refused {what}: {message.rstrip('.')}. {outcome.advice}",
            metadata={"error_code": code},
            allow_retries=outcome.is_retryable,
        ) from error
    except (exceptions.ConnectionError, exceptions.HTTPClientError) as error:
        raise dg.Failure(f"AWS could not be reached for {what}: {error}") from error
    except (
        exceptions.IncompleteReadError,
        exceptions.FlexibleChecksumError,
        ResponseParserError,
    ) as error:
        raise garbled(what, str(error)) from error
    except exceptions.BotoCoreError as error:
        raise dg.Failure(f"AWS was not asked for {what}: {error}", allow_retries=False) from error


def garbled(what: str, why: str) -> dg.Failure:
    """An answer that did not arrive as it was sent; asked again it may."""
    return dg.Failure(f"AWS's answer for {what} was cut short or garbled on its way: {why}")


def whole(answer: Mapping[str, Any], name: str, what: str) -> Mapping[str, Any]:
    """The answer, if it has what is always there.

    Of JSON that is none botocore makes an answer with next to nothing in it.

    Raises:
        dagster.Failure: it has not.
    """
    if name not in answer:
        raise garbled(what, f"it has no {name}")
    return answer
