"""Packages that build in a moment and the resources that release them, on the local Azure."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mc_assets.hosting import Hosting, PlanKind
from mc_assets.packaging import build_package
from mc_assets.resources.azure_functions import AzureFunctions, FunctionApp
from mc_assets.resources.releases import Candidate, Release, Releases
from mc_assets.resources.scm import ScmSite
from tiny_onnx import tiny_onnx

REPOSITORY = Path(__file__).parent.parent.parent
# The three functions of the real one, needing nothing that has to be installed.
FUNCTION = """
import json, pathlib
import azure.functions as func

VERSION = json.loads(pathlib.Path(__file__).with_name("manifest.json").read_text())["version"]
app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.route("health", auth_level=func.AuthLevel.ANONYMOUS)
def health(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(json.dumps({"package": VERSION}))


@app.route("model")
def model(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(NAME)


@app.route("classify", methods=["POST"])
def classify(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("[]")
"""


def candidate(folder: Path, name: str, requirements: str = "", code: str = FUNCTION) -> Candidate:
    """A package whose version depends on `name`; its folder is left behind."""
    source = folder / name
    source.mkdir()
    (source / "function_app.py").write_text(f"NAME = {name!r}\n{code}")
    (source / "requirements.txt").write_text(requirements)
    shutil.copy(REPOSITORY / "function_app" / "host.json", source)
    package = build_package(source, tiny_onnx())
    return Candidate(package.data, package.version)


@dataclass
class ReleaseLab:
    """One model's hosting, what is done to it, and every line that was logged meanwhile."""

    azure: AzureFunctions
    hosting: Hosting
    lines: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, azure: AzureFunctions, model: str, plan: PlanKind) -> "ReleaseLab":
        subscription = azure.target.connection.subscription_id
        return cls(azure, Hosting(model, subscription, plan, tags={"team": "digits"}))

    @cached_property
    def scm(self) -> ScmSite:
        return ScmSite(azure=self.azure, max_poll_seconds=0.2)

    @cached_property
    def releases(self) -> Releases:
        return Releases(azure=self.azure, scm=self.scm)

    def stage(self, package: Candidate, redeploy: bool = False) -> Release:
        return self.releases.stage(self.hosting, package, redeploy, self.lines.append)

    def promote(self, package: Candidate, redeploy: bool = False) -> Release:
        return self.releases.promote(self.hosting, package, redeploy, self.lines.append)

    def site(self, app: FunctionApp, what: str) -> Any:
        """What Resource Manager says of the app or slot; `what` ends the SDK's method name."""
        method = getattr(self.azure.web.web_apps, f"{what}_slot" if app.slot else what)
        return method(app.group, app.name, *([app.slot] if app.slot else []))

    def create_group(self, tags: dict[str, str]) -> None:
        self.azure.resources.resource_groups.create_or_update(
            self.hosting.group_name, {"location": self.hosting.location, "tags": tags}
        )

    @contextmanager
    def removed_at_the_end(self) -> Iterator["ReleaseLab"]:
        """Whatever a test leaves in the group runs as processes here."""
        yield self
        groups = self.azure.resources.resource_groups
        if groups.check_existence(self.hosting.group_name):
            groups.begin_delete(self.hosting.group_name).result()

    def as_stored(self, *things: Any) -> str:
        """Everything that was said, and these things, as text."""
        return json.dumps([*self.lines, *map(repr, things)])
