"""The deployed function as its users call it, over HTTP with a function key."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import dagster as dg

from mc_assets.progress import Log, unheard
from mc_assets.resources.azure_failures import is_passing, refuse_untrusted

if TYPE_CHECKING:
    import numpy as np

MODEL_HEADER = "x-model-sha256"
PACKAGE_HEADER = "x-package-version"


class UnreachedError(dg.Failure):
    """No answer came to a call: the next one may be answered."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One call: the digits, which model and package gave them, and how long it took in seconds."""

    digits: tuple[int, ...]
    model_sha256: str
    content_version: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Health:
    """Which package answers `GET /api/health`; None while nothing of ours does, and why not."""

    package: str | None
    reason: str = ""

    def __str__(self) -> str:
        return f"package {self.package[:12]}" if self.package else f"none: {self.reason}"


def health(url: str, answer_seconds: float = 30) -> Health:
    """What the endpoint says of itself.

    Raises:
        dagster.Failure: its certificate is not accepted, which no waiting changes.
    """
    import requests

    try:
        answer = requests.get(f"{url}/api/health", timeout=(5, answer_seconds))
    except requests.RequestException as error:
        refuse_untrusted(error, url)
        return Health(None, f"it does not answer ({type(error).__name__})")
    told = f"it answers {answer.status_code} {answer.text.strip()[:200]}"
    if answer.status_code != 200:
        return Health(None, told)
    try:
        return Health(str(answer.json()["package"]))
    except (ValueError, KeyError, TypeError):
        return Health(None, told)


def serving(url: str, patience: float = 0) -> str | None:
    """Version of the package that answers `GET /api/health`; None while nothing of ours does.

    Args:
        patience: seconds for which it is asked again if nothing does.
    """
    found = health(url).package
    if found is None and patience:
        later = (each.package for each in _ask_until(url, time.monotonic() + patience))
        found = next((package for package in later if package), None)
    return found


def warm_up(
    url: str,
    content_version: str,
    answers: int = 3,
    timeout: float = 180,
    log: Log = unheard,
) -> float:
    """Wait until the endpoint has answered `answers` times in a row with this package.

    Any other answer counts for nothing: Azure's own warm-up takes every status code for warm.

    Args:
        log: is told every answer that counts, and why others do not; nobody is if not given.

    Returns:
        seconds until it did.

    Raises:
        dagster.Failure: it did not in time; names what it answered last.
    """
    started, in_a_row, told = time.monotonic(), 0, ""
    last = Health(None, "it was not asked")
    for last in _ask_until(url, started + timeout):
        in_a_row = in_a_row + 1 if last.package == content_version else 0
        seconds = time.monotonic() - started
        if in_a_row:
            log(f"answered {in_a_row} of {answers} times, after {seconds:.1f} s")
        elif str(last) != told:
            told = str(last)
            log(f"waiting for package {content_version[:12]}, it serves {told}")
        if in_a_row == answers:
            return seconds
    raise dg.Failure(
        f"{url} did not serve package {content_version[:12]} within {timeout:.0f} s; last it "
        f"served {last}."
    )


def _ask_until(url: str, deadline: float) -> Iterator[Health]:
    pause = 0.1
    while (left := deadline - time.monotonic()) > 0:
        found = health(url, min(30, left))
        yield found
        time.sleep(pause)
        # Nothing answering is waited for ever longer; every answer may be a billed execution.
        pause = min(2.0, pause * 1.5) if found.package is None else 0.2


@dataclass(frozen=True)
class EndpointClient:
    """Calls one function app; connections are kept, the key is in no message."""

    url: str
    key: str
    answer_seconds: float = 60

    def __repr__(self) -> str:
        return f"EndpointClient({self.url})"

    @cached_property
    def _session(self) -> Any:
        import requests

        session = requests.Session()
        session.headers["x-functions-key"] = self.key
        return session

    def classify(self, images: "np.ndarray") -> Answer:
        """Classify uint8 images of shape [N, 28, 28] by the binary body.

        Raises:
            dagster.Failure: the endpoint answered with anything but 200 and a digit for each image.
        """
        started = time.perf_counter()
        answer = self.post(images.tobytes(), "application/octet-stream")
        seconds = time.perf_counter() - started
        if answer.status_code != 200:
            raise dg.Failure(
                f"{self.url}/api/classify answered {answer.status_code}: {answer.text[:500]}",
                allow_retries=is_passing(answer.status_code),
            )
        try:
            digits = tuple(answer.json()["digits"])
        except (ValueError, KeyError, TypeError) as error:
            raise dg.Failure(
                f"{self.url}/api/classify answered with what are no digits: {answer.text[:200]}"
            ) from error
        if len(digits) != len(images) or not all(type(digit) is int for digit in digits):
            raise dg.Failure(
                f"{self.url}/api/classify answered {len(images)} images with what are not as many "
                f"digits: {answer.text[:200]}",
                allow_retries=False,
            )
        return Answer(
            digits=digits,
            model_sha256=answer.headers.get(MODEL_HEADER, ""),
            content_version=answer.headers.get(PACKAGE_HEADER, ""),
            seconds=seconds,
        )

    def post(self, body: bytes, content_type: str) -> Any:
        """`POST /api/classify` as it is; the requests.Response."""
        import requests

        try:
            return self._session.post(
                f"{self.url}/api/classify",
                data=body,
                headers={"Content-Type": content_type},
                timeout=(5, self.answer_seconds),
            )
        except requests.RequestException as error:
            refuse_untrusted(error, self.url)
            raise UnreachedError(f"{self.url} could not be reached: {error}") from error
