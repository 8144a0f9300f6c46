"""Dagster's UI of a copy of the project, and a headless Chromium that looks at it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import requests
from playwright.sync_api import BrowserContext, Page, Route, expect, sync_playwright

START_SECONDS = 120
STOP_SECONDS = 30
PAGE_SECONDS = 60
RUN_SECONDS = 480
DONE = ("SUCCESS", "FAILURE", "CANCELED")

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
)

# "3 / 3 Passed": as many as there are.
ALL_PASSED = re.compile(r"^\s*([1-9]\d*) / \1 Passed\s*$")

ASSETS_QUERY = """{ assetNodes {
  assetKey { path }
  assetMaterializations(limit: 1) { runId }
  assetChecksOrError { ... on AssetChecks { checks {
    name executionForLatestMaterialization { status runId }
  } } }
} }"""
RELOAD = """mutation {
  reloadRepositoryLocation(repositoryLocationName: "mc_assets") { __typename }
}"""
RUNS_QUERY = "{ runsOrError { ... on Runs { results { runId status } } } }"


@dataclass(frozen=True, slots=True)
class AssetState:
    """What the API says of one asset: the run that made it, and each check's (status, run)."""

    run_id: str | None
    checks: Mapping[str, tuple[str, str] | None]


def find_chromium() -> str | None:
    """The machine's own Chromium: CHROMIUM, or the first of the usual names on the path."""
    if named := os.environ.get("CHROMIUM"):
        return named
    return next((found for name in CHROMIUM_NAMES if (found := shutil.which(name))), None)


class DagsterUi:
    """One `dg dev` in a project's folder while the context lasts."""

    def __init__(self, project: Path, port: int) -> None:
        self._project = project
        self._log = project / "dg-dev.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._port = port
        self.url = f"http://127.0.0.1:{port}"

    def __enter__(self) -> "DagsterUi":
        command = [str(Path(sys.executable).with_name("dg")), "dev"]
        command += ["--host", "127.0.0.1", "--port", str(self._port)]
        with self._log.open("wb") as log, _interruptible():
            self._process = subprocess.Popen(
                command,
                cwd=self._project,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def graphql(self, query: str) -> dict[str, Any]:
        answer = requests.post(f"{self.url}/graphql", json={"query": query}, timeout=PAGE_SECONDS)
        body = answer.json()
        assert "errors" not in body, json.dumps(body["errors"], indent=1)
        return body["data"]

    def reload(self) -> None:
        """Have it load the project's definitions as they are now."""
        (answer,) = self.graphql(RELOAD).values()
        assert answer["__typename"] == "WorkspaceLocationEntry", answer

    def runs(self) -> dict[str, str]:
        """Every run's status by its id, the newest first."""
        results = self.graphql(RUNS_QUERY)["runsOrError"]["results"]
        return {run["runId"]: run["status"] for run in results}

    def wait_for_run(self) -> str:
        """How the newest run ended."""
        deadline = time.monotonic() + RUN_SECONDS
        while True:
            status = next(iter(self.runs().values()))
            if status in DONE:
                return status
            assert time.monotonic() < deadline, f"The run is {status}:\n{self.log()}"
            time.sleep(0.5)

    def assets(self) -> dict[str, AssetState]:
        """What became of each asset and of its checks, by the asset's name."""
        nodes = self.graphql(ASSETS_QUERY)["assetNodes"]
        return {"/".join(node["assetKey"]["path"]): _state(node) for node in nodes}

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def _wait_until_it_answers(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, f"dg dev ended:\n{self.log()}"
            assert time.monotonic() < deadline, f"dg dev does not answer:\n{self.log()}"
            time.sleep(0.2)

    def _answers(self) -> bool:
        with suppress(requests.RequestException):
            return requests.get(f"{self.url}/server_info", timeout=5).ok
        return False

    def _stop(self) -> None:
        """As Ctrl-C does; then whatever is left of the process group, at once."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextmanager
def open_page(chromium: str, profile: Path, size: tuple[int, int]) -> Iterator[Page]:
    """A page of a fresh browser that reaches this machine and nothing else."""
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=chromium,
            args=list(CHROMIUM_FLAGS),
            viewport={"width": size[0], "height": size[1]},
        )
        try:
            yield _set_up(context)
        finally:
            context.close()


def open_graph(page: Page, ui: DagsterUi) -> None:
    """The graph of all assets, drawn and loaded."""
    page.goto(f"{ui.url}/asset-groups/")
    expect(page.get_by_role("button", name="Materialize all")).to_be_enabled()
    expect(page.get_by_text("Loading", exact=False)).to_have_count(0)


def materialize_all(page: Page) -> None:
    """A click, and the UI's word that a run was launched."""
    page.get_by_role("button", name="Materialize all").click()
    expect(page.get_by_text("Launched run")).to_be_visible()


def expect_all_materialized(page: Page, assets: int) -> None:
    """Every node of the graph says that it was made, and that all its checks passed."""
    expect(page.get_by_text("Materialized", exact=True)).to_have_count(assets)
    expect(page.get_by_text(ALL_PASSED)).to_have_count(assets)


def _set_up(context: BrowserContext) -> Page:
    context.set_default_timeout(PAGE_SECONDS * 1000)
    expect.set_options(timeout=PAGE_SECONDS * 1000)
    context.route("**/*", _only_this_machine)
    page = context.pages[0]
    # A browser that Dagster has not seen before is first asked to join its community.
    skip = page.get_by_role("button", name="Skip", exact=True)
    page.add_locator_handler(skip, lambda button: button.click())
    return page


def _only_this_machine(route: Route) -> None:
    if urlsplit(route.request.url).hostname in (None, "127.0.0.1"):
        route.continue_()
    else:
        route.abort()


def _state(node: Mapping[str, Any]) -> AssetState:
    made = node["assetMaterializations"]
    checks = {}
    for check in node["assetChecksOrError"]["checks"]:
        last = check["executionForLatestMaterialization"]
        checks[check["name"]] = last and (last["status"], last["runId"])
    return AssetState(made[0]["runId"] if made else None, checks)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Have what is started here heed SIGINT, even where a shell started this in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
