"""How the product makes each call that is disturbed, and what has to be so afterwards."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg
import numpy as np
from fault_proxy import FaultProxy
from refusals import SLOW

from graph_runs import Ran
from mc_assets.resources.artifact_store import ArtifactStore
from mc_assets.resources.azure_functions import AzureFunctions, FunctionApp
from mc_assets.resources.endpoint_client import EndpointClient, warm_up
from mc_assets.resources.releases import Candidate
from mc_assets.resources.scm import ScmSite
from mc_assets.target import CloudTarget
from resources.release_lab import ReleaseLab, candidate
from resources.sagemaker_lab import SAVE, Lab

# What is waited for an answer where it never comes; the products' own minutes otherwise.
PATIENCE = 3

CODE = """
import json, pathlib
import azure.functions as func

MANIFEST = json.loads(pathlib.Path(__file__).with_name("manifest.json").read_text())
IDENTITY = {"x-model-sha256": MANIFEST["model"]["sha256"], "x-package-version": MANIFEST["version"]}
app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.route("health", auth_level=func.AuthLevel.ANONYMOUS)
def health(req: func.HttpRequest) -> func.HttpResponse:
    answer = json.dumps({"package": MANIFEST["version"]})
    return func.HttpResponse(answer, mimetype="application/json")


@app.route("classify", methods=["POST"])
def classify(req: func.HttpRequest) -> func.HttpResponse:
    digits = [7] * (len(req.get_body()) // 784)
    answer = json.dumps({"digits": digits})
    return func.HttpResponse(answer, headers=IDENTITY, mimetype="application/json")
"""


@dataclass(frozen=True)
class Served:
    """A package that an app serves, and the key to call it with."""

    url: str
    key: str
    version: str


@dataclass
class Place:
    """What a call is made with: the session's clouds, a name of its own, a proxy, a fault."""

    proxy: FaultProxy
    name: str
    fault: str
    direct: Mapping[str, Any]
    folder: Path
    served: Served = Served("", "", "")

    @contextmanager
    def pointing(self) -> Iterator[CloudTarget]:
        """A target whose clients, made meanwhile, meet the proxy; as a user points them."""
        clouds = (
            {"AWS_ENDPOINT_URL": self.proxy.url}
            if self.proxy.tls is None
            else {
                "AZURE_RESOURCE_MANAGER_URL": self.proxy.url,
                "AZURE_AUTHORITY_HOST": self.proxy.url,
            }
        )
        with patch.dict(os.environ, clouds):
            target = CloudTarget(name="cloud")
            _ = target.connection
            yield target


@dataclass(frozen=True)
class Prepared:
    """A call ready to be made, and what has to be so however often it was made."""

    act: Callable[[], Any]
    verify: Callable[[], None]
    is_told: Callable[[], bool] = lambda: True


def writing(place: Place) -> Prepared:
    """PutObject of bytes under a content key."""
    store, direct, data = *stores_of(place), os.urandom(20_000)
    key = f"{place.name}/object"

    def verify() -> None:
        stored = store.put_bytes(key, data)
        assert direct.read(stored) == data, "half-written"
        assert [found.size for found in direct.objects(place.name)] == [len(data)]

    return Prepared(lambda: store.put_bytes(key, data), verify)


def reading(place: Place) -> Prepared:
    """GetObject of a recorded object: its bytes or none."""
    store, direct, data = *stores_of(place), os.urandom(20_000)
    stored = direct.put_bytes(f"{place.name}/object", data)

    def act() -> None:
        assert store.read(stored) == data

    return Prepared(act, act)


def training(place: Place) -> Prepared:
    """A run of an asset that trains, its SageMaker and CloudWatch clients disturbed."""
    lab = Lab(stores_of(place)[1], f"{place.name}-job")
    with place.pointing():
        for client in (lab.pipes.client, lab.pipes.logs_client):
            _be_patient(client, place.fault)
    raised: list[Exception] = []
    messages: list[str] = []

    @dg.asset
    def trained(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        try:
            return lab.pipes.run(
                context=context,
                base_name=lab.base_name,
                make_request=lambda: lab.request(f"print('learning')\n{SAVE}"),
            ).get_materialize_result()
        except Exception as error:
            raised.append(error)
            raise

    def act() -> None:
        raised.clear()
        result = dg.materialize([trained], instance=lab.instance, raise_on_error=False)
        messages[:] = Ran(result, lab.instance).messages
        if raised:
            raise raised[0]
        assert result.success, messages

    def verify() -> None:
        act()
        assert lab.jobs == {"1": "Completed"}, lab.jobs

    def is_told() -> bool:
        return any("cannot be read" in line for line in messages)

    return Prepared(act, verify, is_told)


def making_an_app(place: Place) -> Prepared:
    """Everything that a function app needs, its site or the wait for its storage disturbed."""
    azure = azure_of(place)
    lab = ReleaseLab.of(azure, place.name, "flex_consumption")
    name = lab.hosting.app_name

    def verify() -> None:
        app = azure.ensure_app(lab.hosting, name)
        assert app.configuration
        group = lab.hosting.group_name
        found = [site.name for site in azure.web.web_apps.list_by_resource_group(group)]
        assert found == [name]

    return Prepared(lambda: azure.ensure_app(lab.hosting, name), verify)


def deploying(plan: Any, place: Place) -> Prepared:
    """A package sent to a site's SCM and followed until it is built."""
    direct = ReleaseLab.of(place.direct["azure_functions"], place.name, plan)
    direct.azure.ensure_app(direct.hosting, direct.hosting.app_name)
    azure = azure_of(place)
    app = azure.find_app(direct.hosting, direct.hosting.app_name)
    assert app is not None
    scm = ScmSite(
        azure=azure,
        max_poll_seconds=0.5,
        ready_seconds=30,
        timeout_seconds=45,
        answer_seconds=PATIENCE if place.fault == SLOW else 60,
    )
    folder = place.folder / place.name
    folder.mkdir()
    package = candidate_of(folder)

    def verify() -> None:
        assert len(deployments(direct, app)) <= 1, "deployed twice"

    return Prepared(lambda: scm.deploy(app, package.data, lambda _: None), verify)


def deployments(lab: ReleaseLab, app: FunctionApp) -> list[Any]:
    return list(lab.azure.web.web_apps.list_deployments(app.group, app.name))


def classifying(place: Place) -> Prepared:
    client = EndpointClient(
        place.proxy.url, place.served.key, PATIENCE if place.fault == SLOW else 60
    )

    def act() -> None:
        assert client.classify(np.zeros((2, 28, 28), np.uint8)).digits == (7, 7)

    return Prepared(act, act)


def warming(place: Place) -> Prepared:
    def act() -> None:
        warm_up(place.proxy.url, place.served.version, timeout=15 if place.fault == SLOW else 60)

    return Prepared(act, act)


def candidate_of(folder: Path) -> Candidate:
    return candidate(folder, "served", code=CODE)


def stores_of(place: Place) -> tuple[ArtifactStore, ArtifactStore]:
    """The same place in S3, through the proxy and straight."""
    with place.pointing() as target:
        disturbed = ArtifactStore(target=target, prefix="faults")
        _be_patient(disturbed.client, place.fault)
    direct = ArtifactStore(target=place.direct["target"], prefix="faults")
    return disturbed, direct


def azure_of(place: Place) -> AzureFunctions:
    with place.pointing() as target:
        azure = AzureFunctions(
            target=target, answer_seconds=PATIENCE if place.fault == SLOW else 60
        )
        _ = azure.credential
    return azure


def _be_patient(client: Any, fault: str) -> None:
    """Have the product's own client wait shorter: botocore has no variable for it."""
    from botocore.httpsession import URLLib3Session

    if fault == SLOW:
        client._endpoint.http_session = URLLib3Session(timeout=PATIENCE)
