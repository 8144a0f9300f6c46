"""The process of the local Azure: what it opens, in which order, and how it ends."""

import asyncio
import fcntl
import logging
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mc_assets.local_cloud.azure import console, entra, scm
from mc_assets.local_cloud.azure.cloud import Cloud
from mc_assets.local_cloud.azure.deployments import Deployments
from mc_assets.local_cloud.azure.entra import TokenIssuer
from mc_assets.local_cloud.azure.listeners import HOST, Listener, bind
from mc_assets.local_cloud.azure.operations import OperationError, Operations
from mc_assets.local_cloud.azure.resource_manager import (
    app_deployments,
    app_functions,
    app_network,
    app_settings,
    apps,
    arm,
    authorization,
    groups,
    plans,
    stacks,
    storage,
    subscriptions,
    tags,
)
from mc_assets.local_cloud.azure.site_hosting import SiteHosting
from mc_assets.local_cloud.azure.tls import TlsFiles, prepare_tls
from mc_assets.local_cloud.settings import (
    STATE_VERSION,
    LocalCloudError,
    load_credentials,
    open_state,
)
from mc_assets.local_cloud.store import DocumentStore

logger = logging.getLogger(__name__)


async def serve(state: Path, port: int, first_site_port: int) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        LocalCloudError: the state folder or a port cannot be had.
    """
    stop = _stop_event()
    folder = _private_folder(state)
    with _sole_use(folder):
        try:
            sock = bind(port)
        except OSError as error:
            raise LocalCloudError(
                f"The local Azure cannot listen on {HOST}:{port} ({error.strerror}): "
                "end the program there, or choose another port with MC_LOCAL_AZURE_PORT."
            ) from error
        tls = prepare_tls(folder)
        cloud = _open(state, folder, tls, port, first_site_port)
        control = Listener(sock, tls, _application(cloud, state))
        try:
            await _restore(cloud)
            await control.start()
            logger.info("The local Azure serves %s, state in %s.", cloud.url, state)
            await stop.wait()
        finally:
            await control.close()
            await _close(cloud)


def _open(state: Path, folder: Path, tls: TlsFiles, port: int, first_site_port: int) -> Cloud:
    credentials = load_credentials(state)
    store = DocumentStore(folder / "resources.sqlite")
    url = f"https://{HOST}:{port}"
    hosting = SiteHosting(folder, store, tls, first_site_port)
    return Cloud(
        folder=folder,
        url=url,
        credentials=credentials,
        store=store,
        tokens=TokenIssuer(folder / "token.key", url, credentials),
        operations=Operations(store),
        hosting=hosting,
        deployments=Deployments(store, hosting, folder / "uploads"),
    )


async def _restore(cloud: Cloud) -> None:
    cloud.deployments.recover()
    await groups.finish_deletions(cloud)
    cloud.operations.recover()
    await cloud.hosting.restore()


async def _close(cloud: Cloud) -> None:
    await cloud.operations.close()
    await cloud.deployments.close()
    await cloud.hosting.close()
    cloud.store.close()


def _application(cloud: Cloud, state: Path) -> Starlette:
    async def health(_: Request) -> Response:
        return JSONResponse(
            {
                "service": "azure",
                "state": str(state),
                "pid": os.getpid(),
                "version": STATE_VERSION,
            }
        )

    application = Starlette(
        routes=[
            Route("/_mc/health", health),
            *console.ROUTES,
            *scm.ROUTES,
            *subscriptions.ROUTES,
            *groups.ROUTES,
            *tags.ROUTES,
            *authorization.ROUTES,
            *storage.ROUTES,
            *plans.ROUTES,
            *stacks.ROUTES,
            *apps.ROUTES,
            *app_settings.ROUTES,
            *app_functions.ROUTES,
            *app_network.ROUTES,
            *app_deployments.ROUTES,
            *entra.ROUTES,
        ],
        middleware=[Middleware(SingleSlashes)],
        exception_handlers={
            arm.ArmError: arm.error_response,
            scm.ScmError: scm.error_response,
            OperationError: _refused_operation,
            HTTPException: _unrouted,
            Exception: _internal_error,
        },
    )
    application.state.cloud = cloud
    return application


class SingleSlashes:
    """Takes slashes in a row for one: clients leave them that join an address from its parts."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "path": re.sub("//+", "/", scope["path"])}
        await self._app(scope, receive, send)


def _refused_operation(request: Request, error: Exception) -> Response:
    assert isinstance(error, OperationError)  # noqa: S101 - registered for this type alone
    status = 404 if error.code == "NotFound" else 409
    return arm.error_response(request, arm.ArmError(status, error.code, error.message))


def _unrouted(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type alone
    text = f"The local Azure has no {request.method} {request.url.path}."
    if request.url.path.startswith("/scm/"):
        return PlainTextResponse(text, error.status_code)
    return arm.error_response(request, arm.ArmError(error.status_code, "NotFound", text))


def _internal_error(request: Request, _: Exception) -> Response:
    message = "The local Azure failed on this request; see its log."
    return arm.error_response(request, arm.ArmError(500, "InternalServerError", message))


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _private_folder(state: Path) -> Path:
    open_state(state)
    folder = state / "azure"
    folder.mkdir(exist_ok=True)
    # Keys and publishing passwords lie in there.
    folder.chmod(0o700)
    return folder


@contextmanager
def _sole_use(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LocalCloudError(
                f"Another local Azure already serves the state in {folder}: end it, "
                "or point MC_LOCAL_STATE elsewhere."
            ) from error
        yield
