"""A function app's SCM site: send a package, wait for its build, and bring back the log."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dagster as dg

from mc_assets.resources.azure_functions import AzureFunctions, FunctionApp

DEPLOYER = "mc-assets"
# Deployment status numbers. Source: Kudu's DeployStatus; -1, 5 and 6 are Flex Consumption's.
SUCCESS = 4
FAILED = {3: "failed", -1: "was cancelled", 5: "was cancelled by another", 6: "succeeded in part"}
LOG_TAIL = 40


@dataclass(frozen=True, slots=True)
class Deployment:
    """A finished deployment: its id and how long Azure took, in seconds."""

    id: str
    seconds: float


class ScmSite(dg.ConfigurableResource):
    """Deployments by SCM: One Deploy on Flex Consumption, zipdeploy elsewhere; built remotely."""

    azure: dg.ResourceDependency[AzureFunctions]
    timeout_seconds: int = 900
    poll_seconds: float = 1.0

    def deploy(self, app: FunctionApp, package: bytes, log: Callable[[str], None]) -> Deployment:
        """Send the package and wait until Azure has built and activated it.

        Raises:
            dagster.Failure: another deployment is under way, the build failed (its log is in the
                message), or nothing came of it in time.
        """
        started = time.monotonic()
        self._send(app, package)
        record = self._wait(app, started, log)
        return Deployment(str(record["id"]), time.monotonic() - started)

    def _send(self, app: FunctionApp, package: bytes) -> None:
        path, content_type = ("/api/publish", "application/zip")
        parameters = {"RemoteBuild": "true", "Deployer": DEPLOYER}
        if not app.is_flex:
            path, content_type = ("/api/zipdeploy", "application/octet-stream")
            parameters = {"isAsync": "true", "Deployer": DEPLOYER}
        answer = self._request(
            "POST", app, path, params=parameters, data=package, content_type=content_type
        )
        if answer.status_code == 409:
            raise dg.Failure(
                f"Azure is deploying to {app.label} already: {answer.text.strip()}. Wait for that "
                "deployment to end, then run again."
            )
        if answer.status_code != 202:
            raise dg.Failure(
                f"Azure did not take the package for {app.label}: {answer.status_code} "
                f"{answer.text.strip()[:500]}",
                allow_retries=answer.status_code >= 500,
            )

    def _wait(self, app: FunctionApp, started: float, log: Callable[[str], None]) -> dict[str, Any]:
        seen: set[str] = set()
        while time.monotonic() - started < self.timeout_seconds:
            answer = self._request("GET", app, "/api/deployments/latest")
            # 404 just after the package was taken: the record is not written yet.
            record = answer.json() if answer.status_code in {200, 202} else None
            if record and record.get("id"):
                self._forward_log(app, record["id"], seen, log)
                if record.get("status") == SUCCESS and answer.status_code == 200:
                    return record
                if record.get("status") in FAILED and answer.status_code == 200:
                    raise self._failure(app, record)
            time.sleep(self.poll_seconds)
        raise dg.Failure(
            f"The deployment to {app.label} did not end within {self.timeout_seconds} s; it may "
            "still be going on: look at the app's Deployment Center before trying again."
        )

    def log_tail(self, app: FunctionApp, deployment: str) -> str:
        """The last lines of a deployment's log, the build's own output included."""
        entries = self._log_entries(app, deployment)
        return "\n".join([line for entry in entries for line in entry["lines"]][-LOG_TAIL:])

    def _failure(self, app: FunctionApp, record: dict[str, Any]) -> dg.Failure:
        tail = self.log_tail(app, record["id"])
        return dg.Failure(
            f"The deployment to {app.label} {FAILED[record['status']]}. Its log ends:\n{tail}",
            metadata={"deployment_log": dg.MetadataValue.md(f"```\n{tail}\n```")},
            allow_retries=False,
        )

    def _forward_log(
        self, app: FunctionApp, deployment: str, seen: set[str], log: Callable[[str], None]
    ) -> None:
        for entry in self._log_entries(app, deployment, details=False):
            if entry["id"] not in seen:
                seen.add(entry["id"])
                log(f"[build {app.label}] {entry['lines'][0]}")

    def _log_entries(
        self, app: FunctionApp, deployment: str, details: bool = True
    ) -> list[dict[str, Any]]:
        answer = self._request("GET", app, f"/api/deployments/{deployment}/log")
        if answer.status_code != 200:
            return []
        return [
            {"id": entry["id"], "lines": [entry["message"], *self._details(app, entry, details)]}
            for entry in answer.json()
        ]

    def _details(self, app: FunctionApp, entry: dict[str, Any], wanted: bool) -> list[str]:
        url = entry.get("details_url")
        if not url or not wanted:
            return []
        answer = self._request("GET", app, url[url.index("/api/") :])
        return [line["message"] for line in answer.json()] if answer.status_code == 200 else []

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

        try:
            return requests.request(
                method,
                f"{app.scm_url}{path}",
                params=params,
                data=data,
                headers={
                    "Authorization": f"Bearer {self.azure.scm_token()}",
                    "Content-Type": content_type,
                },
                timeout=(10, 120),
            )
        except requests.RequestException as error:
            raise dg.Failure(f"{app.scm_url}{path} could not be reached: {error}") from error
