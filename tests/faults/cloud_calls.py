"""The calls that are disturbed: how the product makes each, and how its cloud refuses it."""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg
import numpy as np
from dagster_aws.s3 import S3Resource
from fault_proxy import Answer, FaultProxy, Request

from graph_runs import Ran
from mc_assets.resources.artifact_store import ArtifactStore
from mc_assets.resources.azure_functions import AzureFunctions, FunctionApp
from mc_assets.resources.endpoint_client import EndpointClient, warm_up
from mc_assets.resources.releases import Candidate
from mc_assets.resources.scm import ScmSite
from mc_assets.target import CloudTarget
from resources.release_lab import ReleaseLab, candidate
from resources.sagemaker_lab import SAVE, Lab

THROTTLED, FAILING, UNAVAILABLE = "throttled", "500", "503"
RESET, SLOW, TRUNCATED, NOT_JSON = "reset", "slow", "truncated", "not JSON"
EXPIRED, SKEWED = "expired token", "clock skew"
FAULTS = (
    THROTTLED, FAILING, UNAVAILABLE, RESET, SLOW, TRUNCATED, NOT_JSON, EXPIRED, SKEWED,
)  # fmt: skip
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


@dataclass
class Place:
    """What a call is made with: the session's clouds, a name of its own, a proxy, a fault."""

    proxy: FaultProxy
    name: str
    fault: str
    direct: Mapping[str, Any]
    folder: Path
    served: "Served"

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
class Served:
    """A package that an app serves, and the key to call it with."""

    url: str
    key: str
    version: str


@dataclass(frozen=True)
class Prepared:
    """A call ready to be made, and what has to be so however often it was made."""

    act: Callable[[], Any]
    verify: Callable[[], None]
    is_told: Callable[[], bool] = lambda: True


@dataclass(frozen=True)
class Call:
    """One call of one cloud.

    Args:
        tries: how often it is made at most where every answer is spoilt; `unlike` where it differs.
        unharmed: faults that do not matter to it.
        final: faults of which its failure says that no retry helps.
        skips: how many such calls go by before the fault.
        is_repeated: whether it is made more than once where all is well.
    """

    name: str
    upstream: str
    refusals: Mapping[str, Answer]
    matches: Callable[[Request, str], bool]
    prepare: Callable[[Place], Prepared]
    tries: int
    unlike: Mapping[str, int] = field(default_factory=dict)
    unharmed: frozenset[str] = frozenset()
    final: frozenset[str] = frozenset({EXPIRED, SKEWED})
    skips: int = 0
    is_repeated: bool = False

    def how(self, fault: str) -> Answer | str:
        if fault in self.refusals:
            return self.refusals[fault]
        return "untrusted" if fault == SKEWED else fault

    def limit(self, fault: str) -> int:
        return self.unlike.get(fault, 1 if fault in self.final else self.tries)


def _xml(status: int, code: str, message: str) -> Answer:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(status, {"Content-Type": "application/xml"}, body.encode())


def _aws(status: int, code: str, message: str) -> Answer:
    body = json.dumps({"__type": code, "message": message}).encode()
    return Answer(status, {"Content-Type": "application/x-amz-json-1.1"}, body)


def _arm(status: int, code: str, message: str, **headers: str) -> Answer:
    body = json.dumps({"error": {"code": code, "message": message}}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"Content-Type": "application/json", **named}, body)


def _text(status: int, message: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"Content-Type": "text/plain", **named}, message.encode())


def words_of(refusal: Answer) -> str:
    """What the cloud says to a person, without the form that it has."""
    text = refusal.body.decode()
    if "<Message>" in text:
        return text.partition("<Message>")[2].partition("</Message>")[0].rstrip(".")
    if not text.startswith("{"):
        return text
    told = json.loads(text)
    return told.get("error", told)["message"].rstrip(".")


S3 = {
    THROTTLED: _xml(503, "SlowDown", "Please reduce your request rate."),
    FAILING: _xml(500, "InternalError", "We encountered an internal error. Please try again."),
    UNAVAILABLE: _xml(503, "ServiceUnavailable", "Service is unable to handle request."),
    EXPIRED: _xml(400, "ExpiredToken", "The provided token has expired."),
    SKEWED: _xml(
        403,
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
    ),
}
AWS = {
    THROTTLED: _aws(400, "ThrottlingException", "Rate exceeded"),
    FAILING: _aws(500, "InternalFailure", "The request processing has failed."),
    UNAVAILABLE: _aws(503, "ServiceUnavailable", "The server is temporarily unable to answer."),
    EXPIRED: _aws(
        400, "ExpiredTokenException", "The security token included in the request is expired"
    ),
    SKEWED: _aws(
        400, "InvalidSignatureException", "Signature expired: 20260101T000000Z is now earlier"
    ),
}
ARM = {
    THROTTLED: _arm(
        429,
        "TooManyRequests",
        "The request is being throttled.",
        Retry_After="1",
    ),
    FAILING: _arm(500, "InternalServerError", "Encountered internal server error."),
    UNAVAILABLE: _arm(503, "ServerBusy", "The server is busy.", Retry_After="1"),
    EXPIRED: _arm(401, "ExpiredAuthenticationToken", "The access token expired."),
}
SCM = {
    THROTTLED: _text(429, "Too many requests.", Retry_After="1"),
    FAILING: _text(500, "An error has occurred."),
    UNAVAILABLE: _text(503, "The service is unavailable."),
    EXPIRED: _text(401, "401 - Unauthorized: the token has expired.", WWW_Authenticate="Bearer"),
}
FUNCTION = {
    THROTTLED: _text(429, "Rate limit is exceeded.", Retry_After="1"),
    FAILING: _text(500, "Function host is not running."),
    UNAVAILABLE: _text(503, "Function host is not running."),
    EXPIRED: _text(401, "The key is no longer valid."),
}


def writing(place: Place) -> Prepared:
    """PutObject of bytes under a content key."""
    store, direct, data = *_stores(place), os.urandom(20_000)
    key = f"{place.name}/object"

    def verify() -> None:
        stored = store.put_bytes(key, data)
        assert direct.read(stored) == data, "half-written"
        assert [found.size for found in direct.objects(place.name)] == [len(data)]

    return Prepared(lambda: store.put_bytes(key, data), verify)


def reading(place: Place) -> Prepared:
    """GetObject of a recorded object: its bytes or none."""
    store, direct, data = *_stores(place), os.urandom(20_000)
    stored = direct.put_bytes(f"{place.name}/object", data)

    def act() -> None:
        assert store.read(stored) == data

    return Prepared(act, act)


def training(place: Place) -> Prepared:
    """A run of an asset that trains, its SageMaker and CloudWatch clients disturbed."""
    lab = Lab(_stores(place)[1], f"{place.name}-job")
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
    azure = _azure(place)
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
    azure = _azure(place)
    app = azure.find_app(direct.hosting, direct.hosting.app_name)
    assert app is not None
    scm = ScmSite(
        azure=azure,
        poll_seconds=0.5,
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


def _stores(place: Place) -> tuple[ArtifactStore, ArtifactStore]:
    """The same place in S3, through the proxy and straight."""
    with place.pointing() as target:
        disturbed = ArtifactStore(target=target, s3=S3Resource(), prefix="faults")
        _be_patient(disturbed.client, place.fault)
    direct = ArtifactStore(target=place.direct["target"], s3=S3Resource(), prefix="faults")
    return disturbed, direct


def _azure(place: Place) -> AzureFunctions:
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


def _is_aws(operation: str) -> Callable[[Request, str], bool]:
    return lambda request, name: request.headers.get("X-Amz-Target", "").endswith(operation)


def _is(method: str, text: str) -> Callable[[Request, str], bool]:
    """`NAME` in the pattern stands for the case's own name."""
    return lambda request, name: (
        request.method == method and re.search(text.replace("NAME", name), request.path) is not None
    )


# A body that cannot be read is its caller's affair: clients do not ask for it again.
UNREAD = {TRUNCATED: 1, NOT_JSON: 1}
# What was sent has arrived, and is found under way.
ARRIVED = frozenset({RESET, SLOW, TRUNCATED, NOT_JSON})


GONE = frozenset({EXPIRED, SKEWED})
# By the cloud call as the issue names it.
CALLS: Mapping[str, tuple[Call, ...]] = {
    "S3 PutObject/GetObject": (
        # Its answer has nothing in it that is needed.
        Call("PutObject", "aws", S3, _is("PUT", "NAME/object"), writing, tries=6,
             unharmed=frozenset(UNREAD)),
        Call("GetObject", "aws", S3, _is("GET", "NAME/object"), reading, tries=6,
             unlike={TRUNCATED: 1, NOT_JSON: 2}, final=GONE | {NOT_JSON}),
    ),
    "SageMaker Create/Describe": (
        # Whether it was made, the description says that is asked for next.
        Call("CreateTrainingJob", "aws", AWS, _is_aws("CreateTrainingJob"), training, tries=9,
             unharmed=frozenset(UNREAD)),
        Call("DescribeTrainingJob", "aws", AWS, _is_aws("DescribeTrainingJob"), training, tries=9,
             unlike=UNREAD, skips=1, is_repeated=True),
    ),
    "CloudWatch GetLogEvents": (
        Call("GetLogEvents", "aws", AWS, _is_aws("GetLogEvents"), training, tries=20,
             unharmed=frozenset(FAULTS), is_repeated=True),
    ),
    "Resource Manager PUT site": (
        Call("PUT site", "azure", ARM, _is("PUT", r"/sites/mc-NAME-[0-9a-f]+\?"), making_an_app,
             tries=4, unlike={**UNREAD, SKEWED: 4}),
        # Of an operation that goes on the poller reads the status alone.
        Call("operation", "azure", ARM, _is("GET", "/operationresults/"), making_an_app, tries=4,
             unlike={NOT_JSON: 1, SKEWED: 4}, is_repeated=True),
    ),
    "SCM zipdeploy/publish + status": (
        Call("publish", "azure", SCM, _is("POST", "/api/publish"),
             partial(deploying, "flex_consumption"), tries=40, unlike={FAILING: 1},
             unharmed=ARRIVED),
        Call("zipdeploy", "azure", SCM, _is("POST", "/api/zipdeploy"),
             partial(deploying, "consumption"), tries=40, unlike={FAILING: 1}, unharmed=ARRIVED),
        Call("status", "azure", SCM, _is("GET", "/api/deployments/"),
             partial(deploying, "flex_consumption"), tries=90, skips=1, is_repeated=True),
    ),
    "endpoint classify/health": (
        # Not asked again here: the latency that is measured would be of two calls.
        Call("classify", "site", FUNCTION, _is("POST", "/api/classify"), classifying, tries=1),
        Call("health", "site", FUNCTION, _is("GET", "/api/health"), warming, tries=20,
             unlike={SLOW: 1}, final=frozenset({SKEWED}), is_repeated=True),
    ),
}  # fmt: skip
