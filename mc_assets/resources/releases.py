"""Bringing a package before users: stage it out of sight, then promote it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import dagster as dg

from mc_assets.artifacts import Endpoint
from mc_assets.hosting import Hosting
from mc_assets.interrupts import uninterrupted
from mc_assets.outcomes import deployment_outcome
from mc_assets.polling import growing_pause
from mc_assets.resources.azure_functions import AzureFunctions, FunctionApp
from mc_assets.resources.endpoint_client import EndpointClient, serving, warm_up
from mc_assets.resources.release_pool import dead_runs_looked_for, ensure_limited
from mc_assets.resources.scm import Deployment, ScmSite

SLOT = "staging"
FUNCTIONS = frozenset({"classify", "health", "model"})

Log = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Candidate:
    """The package to release: the zip's bytes, and the version its function answers with."""

    data: bytes
    content_version: str


@dataclass(frozen=True, slots=True)
class Release:
    """An app that serves a candidate, and what it took: nothing where it did so already."""

    app: FunctionApp
    how: str
    deployment: Deployment | None = None
    warm_up_seconds: float = 0.0

    @property
    def changed(self) -> bool:
        """Whether anything was deployed or swapped."""
        return self.deployment is not None or self.how == "swapped"


class Releases(dg.ConfigurableResource):
    """Slot and swap where the plan has slots; elsewhere a staging app beside the live one.

    Either way an app that serves the candidate already is left alone, unless `redeploy`.
    """

    azure: dg.ResourceDependency[AzureFunctions]
    scm: dg.ResourceDependency[ScmSite]
    warm_up_answers: int = 3
    warm_up_timeout_seconds: int = 180
    functions_timeout_seconds: int = 120

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["Releases"]:
        """Dagster makes this before it asks for a place in the pool: a run that died has none."""
        if context.instance is None or context.run is None or context.log is None:
            yield self
            return
        ensure_limited(context.instance, context.run, context.log)
        with dead_runs_looked_for(context.instance, context.run.run_id, context.log):
            yield self

    def client(self, endpoint: Endpoint) -> EndpointClient:
        """Calls a released endpoint with a key read just now; its record carries none."""
        slot, url = self.whereabouts(endpoint)
        key = self.azure.function_key(endpoint.resource_group, endpoint.app, slot)
        return EndpointClient(url=url, key=key)

    def whereabouts(self, endpoint: Endpoint) -> tuple[str | None, str]:
        """Slot and URL of a released package: a swap moves a staged one to production."""
        if endpoint.slot and serving(endpoint.url) != endpoint.content_version:
            live = self.azure.url_of(endpoint.resource_group, endpoint.app)
            if serving(live) == endpoint.content_version:
                return None, live
        return endpoint.slot, endpoint.url

    def stage(self, hosting: Hosting, candidate: Candidate, redeploy: bool, log: Log) -> Release:
        """Have the candidate serve somewhere that no user calls."""
        if not hosting.releases_by_slot:
            app = self.azure.ensure_app(hosting, hosting.staging_app_name)
            return self._serve(app, candidate, redeploy, log)
        # A live app that is there already is changed by its promotion alone.
        live = self.azure.find_app(hosting, hosting.app_name)
        live = live or self.azure.ensure_app(hosting, hosting.app_name)
        if serving(live.url) == candidate.content_version and not redeploy:
            # After a swap the slot holds the version before: staging again would go back and forth.
            log(f"{live.label} serves this package already: nothing to stage.")
            return Release(live, "already live")
        slot = self.azure.ensure_slot(hosting, hosting.app_name, SLOT)
        return self._serve(slot, candidate, redeploy, log)

    def promote(self, hosting: Hosting, candidate: Candidate, redeploy: bool, log: Log) -> Release:
        """Have the candidate serve users: swap it in, or deploy the same zip to the live app.

        Where the slot serves something else, a later release's or the version before's, the
        candidate is staged there first.
        """
        live = self.azure.ensure_app(hosting, hosting.app_name)
        if not hosting.releases_by_slot:
            return self._serve(live, candidate, redeploy, log)
        if serving(live.url) == candidate.content_version and not redeploy:
            return Release(live, "already live")
        slot = self.azure.ensure_slot(hosting, hosting.app_name, SLOT)
        self._serve(slot, candidate, redeploy, log)
        self._warm_up(slot, candidate, log)
        log(f"Swapping {slot.label} with production.")
        with uninterrupted():  # a swap that was left would still come, after all was undone
            self.azure.swap(slot)
        return Release(live, "swapped", warm_up_seconds=self._warm_up(live, candidate, log))

    def let_end(self, hosting: Hosting, log: Log) -> None:
        """Wait for what is being deployed to the live app, whoever began it."""
        live = self.azure.find_app(hosting, hosting.app_name)
        if live and not hosting.releases_by_slot:
            self.scm.let_end(live, log)

    def _serve(self, app: FunctionApp, candidate: Candidate, redeploy: bool, log: Log) -> Release:
        # What serves while another package is on its way there may be replaced by it any moment.
        is_settled = not self.scm.let_end(app, log)
        if serving(app.url) == candidate.content_version and is_settled and not redeploy:
            log(f"{app.label} serves this package already: nothing was deployed.")
            return Release(app, "already serving")
        log(f"Deploying {len(candidate.data):,} bytes to {app.label}.")
        deployment = self.scm.deploy(app, candidate.data, log)
        self._require_functions(app, deployment)
        warm = self._warm_up(app, candidate, log)
        log(f"{app.label} serves the package after {deployment.seconds + warm:.1f} s.")
        return Release(app, "deployed", deployment, warm)

    def _require_functions(self, app: FunctionApp, deployment: Deployment) -> None:
        """Azure reports a deployment as a success even when the app in it cannot be imported."""
        began = time.monotonic()
        deadline = began + self.functions_timeout_seconds
        while not set(found := self.azure.function_names(app)) >= FUNCTIONS:
            log_tail = self.scm.log_tail(app, deployment.id)
            if time.monotonic() > deadline or "Traceback" in log_tail:
                ended, outcome = deployment_outcome("RuntimeFailed")
                raise dg.Failure(
                    f"The deployment to {app.label} {ended}: Azure finds the functions {found} in "
                    f"it, not {sorted(FUNCTIONS)}. {outcome.advice} It ends:\n{log_tail}",
                    allow_retries=outcome.is_retryable,
                )
            time.sleep(growing_pause(began, longest=2))

    def _warm_up(self, app: FunctionApp, candidate: Candidate, log: Log) -> float:
        return warm_up(
            app.url,
            candidate.content_version,
            self.warm_up_answers,
            self.warm_up_timeout_seconds,
            lambda said: log(f"[warm-up {app.label}] {said}"),
        )
