"""A function app's SCM site: send a package, wait for its build, and bring back the log."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from mc_assets.outcomes import DEPLOYED, DEPLOYING, azure_outcome, deployment_outcome
from mc_assets.polling import growing_pause
from mc_assets.resources.azure_failures import refuse_untrusted
from mc_assets.resources.azure_functions import AzureFunctions, FunctionApp

DEPLOYER = "mc-assets"
LOG_TAIL = 40
# What an SCM site answers while it starts, or is asked too often.
NOT_READY = frozenset({429, 502, 503, 504})


class NoAnswerError(Exception):
    """An SCM site did not answer; the text says why."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A finished deployment: its id and how long Azure took, in seconds."""

    id: str
    seconds: float


@dataclass(frozen=True, slots=True)
class _Told:
    """What of a deployment's log has been told: lines, and entries none of whose lines is left."""

    log: Callable[[str], None]
    lines: set[str] = field(default_factory=set)
    whole: set[str] = field(default_factory=set)

    def tell(self, app: FunctionApp, line: dict[str, Any]) -> None:
        if line["id"] not in self.lines and line["message"].strip():
            self.lines.add(line["id"])
            self.log(f"[build {app.label}] {line['message']}")


class ScmSite(dg.ConfigurableResource):
    """Deployments by SCM: One Deploy on Flex Consumption, zipdeploy elsewhere; built remotely."""

    azure: dg.ResourceDependency[AzureFunctions]
    timeout_seconds: int = 900
    ready_seconds: int = 120
    max_poll_seconds: float = 2.0
    answer_seconds: int = 120

    def deploy(self, app: FunctionApp, package: bytes, log: Callable[[str], None]) -> Deployment:
        """Send the package and wait until Azure has built and activated it.

        Raises:
            dagster.Failure: another deployment is under way, the build failed (its log is in the
                message), or nothing came of it in time.
        """
        started = time.monotonic()
        deadline = started + self.timeout_seconds
        before = self._latest_id(app, deadline)
        deployment = self._send(app, package, before, deadline)
        record = self._wait(app, deployment, before, deadline, log)
        return Deployment(str(record["id"]), time.monotonic() - started)

    def let_end(self, app: FunctionApp, log: Callable[[str], None]) -> bool:
        """Wait until nothing is being deployed; whether something was.

        What a run has sent goes on without the run, and would replace what serves until then. One
        that never ends is left after `timeout_seconds`: it must not be in the way of going back.
        """
        began = time.monotonic()
        deadline = began + self.timeout_seconds
        if not _is_under_way(self._latest(app, deadline)):
            return False
        log(f"A deployment to {app.label} is under way, begun before: waiting for its end.")
        while time.monotonic() < deadline and _is_under_way(self._latest(app, deadline)):
            time.sleep(growing_pause(began, self.max_poll_seconds))
        return True

    def _send(self, app: FunctionApp, package: bytes, before: str | None, deadline: float) -> str:
        """Hand the package over, once; which deployment to ask for from then on."""
        path, content_type = ("/api/publish", "application/zip")
        parameters = {"RemoteBuild": "true", "Deployer": DEPLOYER}
        if not app.is_flex:
            path, content_type = ("/api/zipdeploy", "application/octet-stream")
            parameters = {"isAsync": "true", "Deployer": DEPLOYER}

        def post() -> Any:
            try:
                return self._request(
                    "POST", app, path, params=parameters, data=package, content_type=content_type
                )
            except NoAnswerError:
                # It may have arrived all the same: sent again it would be built twice.
                if begun := self._begun_since(app, before):
                    return begun
                raise

        answer = self._insist(app, path, deadline, post)
        if isinstance(answer, str):
            return answer
        if answer.status_code != 202:
            raise _refusal(f"Azure did not take the package for {app.label}", answer)
        return str(answer.json()) if app.is_flex else "latest"

    def _insist(self, app: FunctionApp, path: str, deadline: float, ask: Callable[[], Any]) -> Any:
        """The answer of an SCM site that is up: it comes late, and restarts with every setting."""
        limit = min(deadline, time.monotonic() + self.ready_seconds)
        while True:
            # Not growing from next to nothing: what is asked again may be the whole package.
            pause = self.max_poll_seconds / 2
            try:
                answer = ask()
            except NoAnswerError as error:
                reason = str(error)
            else:
                if isinstance(answer, str) or answer.status_code not in NOT_READY:
                    return answer
                reason = _told(answer)
                pause = max(pause, _retry_after(answer))
            if time.monotonic() + pause > limit + self.max_poll_seconds:
                raise dg.Failure(
                    f"{app.scm_url}{path} could not be reached in {self.ready_seconds} s: {reason}"
                )
            time.sleep(pause)

    def _wait(
        self,
        app: FunctionApp,
        deployment: str,
        before: str | None,
        deadline: float,
        log: Callable[[str], None],
    ) -> dict[str, Any]:
        """The record of the deployment once it has ended well.

        `latest` is the deployment `before` this one for as long as this one's record is unwritten.
        """
        told = _Told(log)
        began = time.monotonic()
        while True:
            answer = self._ask(app, f"/api/deployments/{deployment}")
            if answer is not None and answer.status_code in {401, 403}:
                raise _refusal(f"{app.label} does not let us see its deployments", answer)
            record = _record_of(answer)
            if answer is not None and record and str(record["id"]) != before:
                self._forward_log(app, record["id"], told)
                # None is a record of Flex Consumption's that is not written yet.
                status = record.get("status") if answer.status_code == 200 else None
                if status == DEPLOYED:
                    return record
                if status is not None and status not in DEPLOYING:
                    raise self._failure(app, record)
            self._require_time(deadline, app, answer)
            time.sleep(growing_pause(began, self.max_poll_seconds))

    def _require_time(self, deadline: float, app: FunctionApp, answer: Any) -> None:
        if time.monotonic() > deadline:
            last = "its site does not answer" if answer is None else _told(answer)
            ended, outcome = deployment_outcome("TimedOut")
            raise dg.Failure(
                f"The deployment to {app.label} {ended} within {self.timeout_seconds} s ({last}). "
                f"{outcome.advice}",
                allow_retries=outcome.is_retryable,
            )

    def _latest_id(self, app: FunctionApp, deadline: float) -> str | None:
        """The deployment that is there before ours.

        It has to be known for certain: what is taken for ours would otherwise be an older one.
        """
        record = _record_of(self._latest(app, deadline))
        return str(record["id"]) if record else None

    def _latest(self, app: FunctionApp, deadline: float) -> Any:
        """The answer about the newest deployment; without a record where there was none yet."""
        path = "/api/deployments/latest"

        def ask() -> Any:
            answer = self._request("GET", app, path)
            if answer.status_code == 500:
                raise NoAnswerError(_told(answer))
            return answer

        answer = self._insist(app, path, deadline, ask)
        if answer.status_code not in {200, 202, 204, 404}:
            raise _refusal(f"{app.label} does not say what is deployed", answer)
        return answer

    def _begun_since(self, app: FunctionApp, before: str | None) -> str | None:
        """Our deployment whose receipt was lost, if it is there."""
        record = _record_of(self._ask(app, "/api/deployments/latest"))
        if record is None or str(record["id"]) == before or record.get("deployer") != DEPLOYER:
            return None
        return str(record["id"])

    def log_tail(self, app: FunctionApp, deployment: str) -> str:
        """The last lines of a deployment's log, the build's own output included."""
        lines: list[str] = []
        for entry in self._entries(app, deployment):
            lines += [entry["message"], *(line["message"] for line in self._details(app, entry))]
        return "\n".join(lines[-LOG_TAIL:])

    def _failure(self, app: FunctionApp, record: dict[str, Any]) -> dg.Failure:
        tail = self.log_tail(app, record["id"])
        ended, outcome = deployment_outcome(record["status"])
        return dg.Failure(
            f"The deployment to {app.label} {ended}. {outcome.advice} Its log ends:\n{tail}",
            metadata={"deployment_log": dg.MetadataValue.md(f"```\n{tail}\n```")},
            allow_retries=outcome.is_retryable,
        )

    def _forward_log(self, app: FunctionApp, deployment: str, told: "_Told") -> None:
        """Tell what is new, the build's own lines too: they are most of it, and come as it goes."""
        entries = self._entries(app, deployment)
        for entry in entries:
            told.tell(app, entry)
            # The details of an entry that another has followed are whole: one more look is enough.
            if entry["id"] not in told.whole:
                for line in self._details(app, entry):
                    told.tell(app, line)
                if entry is not entries[-1]:
                    told.whole.add(entry["id"])

    def _entries(self, app: FunctionApp, deployment: str) -> list[dict[str, Any]]:
        answer = self._ask(app, f"/api/deployments/{deployment}/log")
        return answer.json() if answer is not None and answer.status_code == 200 else []

    def _details(self, app: FunctionApp, entry: dict[str, Any]) -> list[dict[str, Any]]:
        url = entry.get("details_url")
        answer = self._ask(app, url[url.index("/api/") :]) if url else None
        return answer.json() if answer is not None and answer.status_code == 200 else []

    def _ask(self, app: FunctionApp, path: str) -> Any:
        """The answer to a GET, or None where none came: the next question may be answered."""
        try:
            return self._request("GET", app, path)
        except NoAnswerError:
            return None

    def _request(
        self,
        method: str,
        app: FunctionApp,
        path: str,
        params: dict[str, str] | None = None,
        data: bytes | None = None,
        content_type: str = "application/json",
    ) -> Any:
        import requests

        token = self.azure.scm_token()
        try:
            answer = requests.request(
                method,
                f"{app.scm_url}{path}",
                params=params,
                data=data,
                headers={
                    "Authorization": f"Bearer {token}",
                    "Content-Type": content_type,
                },
                timeout=(10, self.answer_seconds),
            )
        except requests.RequestException as error:
            refuse_untrusted(error, app.scm_url)
            raise NoAnswerError(str(error)) from error
        if not _is_scms(answer):
            raise NoAnswerError(f"{answer.status_code} with what is not SCM's: {answer.text[:200]}")
        return answer


def _is_scms(answer: Any) -> bool:
    """Whether what claims success can be an SCM site's: JSON, or nothing but a receipt."""
    if answer.status_code not in {200, 202} or not answer.content:
        return answer.status_code != 200
    try:
        answer.json()
    except ValueError:
        return False
    return True


def _refusal(what: str, answer: Any) -> dg.Failure:
    outcome = azure_outcome(answer.status_code, answer.text)
    return dg.Failure(
        f"{what}: {_told(answer).rstrip('.')}. {outcome.advice}",
        allow_retries=outcome.is_retryable,
    )


def _told(answer: Any) -> str:
    return f"it answers {answer.status_code} {answer.text.strip()[:500]}"


def _retry_after(answer: Any) -> float:
    told = answer.headers.get("Retry-After", "")
    return float(told) if told.isdecimal() else 0.0


def _is_under_way(answer: Any) -> bool:
    """Whether the newest deployment has not ended; at first its record may have no status."""
    record = _record_of(answer)
    return record is not None and (
        answer.status_code == 202 or record.get("status") in {None, *DEPLOYING}
    )


def _record_of(answer: Any) -> dict[str, Any] | None:
    """A deployment's record; None before it is written, or while the site does not answer."""
    if answer is None or answer.status_code not in {200, 202} or not answer.content:
        return None
    record = answer.json()
    return record if isinstance(record, dict) and record.get("id") else None
