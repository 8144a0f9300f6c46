"""SCM (Kudu) of every site: package uploads, deployments and their logs; mounted at /scm/APP."""

import base64
import binascii
import hashlib
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hmac import compare_digest
from pathlib import Path
from typing import NoReturn, cast

import jwt
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from mc_assets.local_cloud.azure.cloud import Cloud
from mc_assets.local_cloud.azure.deployments import Status, Upload
from mc_assets.local_cloud.azure.operations import OperationError
from mc_assets.local_cloud.azure.sites import CONSUMPTION, FLEX, find_by_scm_name, scm_name, tier
from mc_assets.local_cloud.store import Document

MAX_UPLOAD_BYTES = 1024**3


@dataclass(frozen=True, slots=True)
class Call:
    """A request that may be answered: its site exists and its credentials are good."""

    request: Request
    cloud: Cloud
    site: Document


SiteEndpoint = Callable[[Call], Awaitable[Response]]


class ScmError(Exception):
    """An answer in plain text, as Kudu gives its refusals."""

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(text)
        self.status, self.text, self.headers = status, text, headers


def error_response(_: Request, error: Exception) -> Response:
    """The handler of ScmError for the whole application."""
    scm = cast(ScmError, error)
    return PlainTextResponse(scm.text, scm.status, scm.headers)


async def zip_deploy(call: Call) -> Response:
    if tier(call.cloud.store, call.site) == FLEX:
        raise ScmError(400, "A Flex Consumption app takes its package at /api/publish.")
    if call.site["settings"].get("WEBSITE_RUN_FROM_PACKAGE", "").startswith("http"):
        raise ScmError(409, "Run-From-Zip is set to a remote URL using WEBSITE_RUN_FROM_PACKAGE.")
    # A push to Linux Consumption is built unless a setting says no; elsewhere if one says yes.
    usual = tier(call.cloud.store, call.site) == CONSUMPTION
    record = await _receive(call, _builds_remotely(call, usual))
    return await _answer_push(call, record, waits=not _flag(call.request, "isAsync"))


async def publish(call: Call) -> Response:
    """One deploy: the only way in on Flex Consumption, and one for plain zips elsewhere."""
    if tier(call.cloud.store, call.site) == FLEX:
        record = await _receive(call, _flag(call.request, "RemoteBuild"))
        return JSONResponse(record["id"], 202, {"Retry-After": "1"})
    _check_one_deploy(call.request)
    record = await _receive(call, _builds_remotely(call, usual=False))
    waits = not (_flag(call.request, "async") or _flag(call.request, "isAsync"))
    return await _answer_push(call, record, waits)


async def list_deployments(call: Call) -> Response:
    records = [_view(call, record) for record in call.cloud.deployments.list(call.site)]
    response = JSONResponse(records)
    response.headers["ETag"] = f'"{hashlib.sha256(response.body).hexdigest()[:16]}"'
    return response


async def get_deployment(call: Call) -> Response:
    record = _record(call)
    pending = call.request.path_params["deployment"] == "latest" and not record["complete"]
    view = _view(call, record)
    if not pending:
        return JSONResponse(view)
    headers = {"Location": str(call.request.url), "Retry-After": "1"}
    return JSONResponse(view | {"status": 0}, 202, headers)


async def list_log(call: Call) -> Response:
    record = _record(call)
    base = f"{_base(call)}/{record['id']}/log"
    return JSONResponse(
        [
            _line(entry)
            | {"details_url": f"{base}/{entry['id']}" if entry["has_details"] else None}
            for entry in call.cloud.deployments.log(record).entries()
        ]
    )


async def get_log_details(call: Call) -> Response:
    log, entry = call.cloud.deployments.log(_record(call)), call.request.path_params["entry"]
    if not log.knows(entry):
        raise ScmError(404, f"The log has no entry '{entry}'.")
    return JSONResponse([_line(line) | {"details_url": None} for line in log.details(entry)])


async def get_settings(call: Call) -> Response:
    return JSONResponse(call.site["settings"])


async def is_deploying(call: Call) -> Response:
    return JSONResponse({"value": call.cloud.deployments.running(call.site)})


def _route(path: str, endpoint: SiteEndpoint, *methods: str) -> list[Route]:
    """The route with and without /api, behind the site's credentials."""

    async def answer(request: Request) -> Response:
        cloud = cast(Cloud, request.app.state.cloud)
        call = Call(request, cloud, _site(cloud, request))
        _authenticate(call)
        return await endpoint(call)

    verbs = list(methods) or ["GET"]
    return [Route(f"/scm/{{site}}{api}{path}", answer, methods=verbs) for api in ("/api", "")]


def _site(cloud: Cloud, request: Request) -> Document:
    site = find_by_scm_name(cloud.store, request.path_params["site"])
    if site is None:
        raise ScmError(404, f"There is no site '{request.path_params['site']}'.")
    return site


def _authenticate(call: Call) -> None:
    scheme, _, value = call.request.headers.get("authorization", "").partition(" ")
    basic = call.site["policies"]["scm"] and tier(call.cloud.store, call.site) != FLEX
    if scheme.lower() == "bearer":
        try:
            call.cloud.tokens.verify(value)
        except jwt.InvalidTokenError:
            _unauthenticated(basic)
    elif not (scheme.lower() == "basic" and basic and _is_publisher(value, call.site)):
        _unauthenticated(basic)


def _is_publisher(value: str, site: Document) -> bool:
    try:
        given = base64.b64decode(value, validate=True)
    except binascii.Error:
        return False
    expected = f"${scm_name(site)}:{site['publishing_password']}".encode()
    return compare_digest(given, expected)


def _unauthenticated(basic: bool) -> NoReturn:
    challenge = 'Basic realm="site"' if basic else "Bearer"
    text = "401 - Unauthorized: the request carries no credentials this site accepts."
    raise ScmError(401, text, {"WWW-Authenticate": challenge})


def _check_one_deploy(request: Request) -> None:
    query = request.query_params
    if query.get("type", "zip").lower() != "zip" or query.get("path"):
        raise ScmError(400, "A function app takes a zip of the whole app: type=zip, no path.")
    if not all(_truth(query.get(name, "true")) for name in ("clean", "restart")):
        raise ScmError(400, "This site replaces all content and restarts: clean=true restart=true.")


async def _answer_push(call: Call, record: Document, waits: bool) -> Response:
    if waits:
        await call.cloud.deployments.wait(call.site)
        done = call.cloud.deployments.get(call.site, record["id"]) or record
        if done["status"] != Status.SUCCESS:
            raise ScmError(400, done["status_text"])
        return Response(status_code=200)
    moment = f"{datetime.now(UTC):%Y-%m-%d_%H-%M-%SZ}"
    location = f"{_base(call)}/latest?deployer={record['deployer']}&time={moment}"
    headers = {"Location": location, "Retry-After": "1"}
    if _flag(call.request, "trackDeploymentProgress"):
        headers["SCM-DEPLOYMENT-ID"] = record["id"]
    return Response(status_code=202, headers=headers)


async def _receive(call: Call, remote: bool) -> Document:
    if call.cloud.deployments.running(call.site):
        raise ScmError(409, "There is a deployment currently in progress. Please try again later.")
    query = call.request.query_params
    path = call.cloud.deployments.uploads / f"{uuid.uuid4()}.zip"
    try:
        await _save_body(call.request, path)
        defaults = Upload(path, remote)
        upload = Upload(
            path,
            remote,
            deployer=query.get("Deployer") or defaults.deployer,
            author=query.get("author") or defaults.author,
            message=query.get("message") or defaults.message,
        )
        # Read again: the settings may have changed, or the site gone, while the body arrived.
        return call.cloud.deployments.start(_site(call.cloud, call.request), upload)
    except OperationError as conflict:
        path.unlink(missing_ok=True)
        raise ScmError(409, conflict.message) from conflict
    except BaseException:
        path.unlink(missing_ok=True)
        raise


async def _save_body(request: Request, path: Path) -> None:
    kind = request.headers.get("content-type", "")
    if kind.startswith("multipart/"):
        raise ScmError(415, "Send the zip itself as the body, not as a multipart form.")
    size = 0
    with path.open("wb") as stream:
        async for chunk in request.stream():
            size += len(chunk)
            if size > MAX_UPLOAD_BYTES:
                raise ScmError(413, f"The package is larger than {MAX_UPLOAD_BYTES} bytes.")
            stream.write(chunk)
    if size == 0:
        raise ScmError(400, "The request has no body: send the zip to deploy.")


def _builds_remotely(call: Call, usual: bool) -> bool:
    """Whether the app's settings ask for a build, or `usual` where they do not say."""
    settings = call.site["settings"]
    wanted = _truth(settings.get("SCM_DO_BUILD_DURING_DEPLOYMENT", str(usual)))
    return wanted and _truth(settings.get("ENABLE_ORYX_BUILD", "true"))


def _truth(text: str) -> bool:
    return text.strip().lower() in ("true", "1")


def _flag(request: Request, name: str) -> bool:
    """Clients write the same flag in several letter cases."""
    given = {key.lower(): value for key, value in request.query_params.items()}
    return _truth(given.get(name.lower(), "false"))


def _record(call: Call) -> Document:
    name = call.request.path_params["deployment"]
    record = call.cloud.deployments.get(call.site, name)
    if record is None:
        raise ScmError(404, f"Deployment '{name}' not found.")
    return record


def _base(call: Call) -> str:
    return f"{call.cloud.url}/scm/{scm_name(call.site)}/api/deployments"


def _view(call: Call, record: Document) -> Document:
    url = f"{_base(call)}/{record['id']}"
    hidden = ("volume", "phase")
    shown = {name: value for name, value in record.items() if name not in hidden}
    return shown | {"url": url, "log_url": f"{url}/log"}


def _line(entry: Document) -> Document:
    return {name: entry[name] for name in ("log_time", "id", "message", "type")}


ROUTES = [
    *_route("/zipdeploy", zip_deploy, "POST"),
    *_route("/publish", publish, "POST"),
    *_route("/deployments", list_deployments),
    *_route("/deployments/", list_deployments),
    *_route("/deployments/{deployment}", get_deployment),
    *_route("/deployments/{deployment}/log", list_log),
    *_route("/deployments/{deployment}/log/{entry}", get_log_details),
    *_route("/settings", get_settings),
    *_route("/isdeploying", is_deploying),
]
