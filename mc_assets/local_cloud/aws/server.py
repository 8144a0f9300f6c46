"""Puts the local AWS together and serves it until it is told to stop."""

import fcntl
import logging
import os
import signal
import socket
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import uvicorn
from moto.core.model_instances import model_data
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from mc_assets.local_cloud.aws.attempt import Surroundings
from mc_assets.local_cloud.aws.executor import Executor
from mc_assets.local_cloud.aws.front import Front
from mc_assets.local_cloud.aws.iam import ensure_role
from mc_assets.local_cloud.aws.job_book import JobBook
from mc_assets.local_cloud.aws.memory import return_large_buffers
from mc_assets.local_cloud.aws.s3_files import S3Files
from mc_assets.local_cloud.aws.s3_mirror import S3Mirror
from mc_assets.local_cloud.aws.s3_streams import complete_without_joining
from mc_assets.local_cloud.aws.training_service import TrainingService
from mc_assets.local_cloud.aws.wsgi import WsgiBridge
from mc_assets.local_cloud.http_server import configuration
from mc_assets.local_cloud.settings import (
    BUCKET,
    Credentials,
    LocalCloudError,
    load_credentials,
    open_state,
)

logger = logging.getLogger(__name__)

_HOST = "127.0.0.1"
_SPOOL_BYTES = 1 << 20
# Long enough for a client that waits between two requests, as one that polls a job does.
_KEEP_ALIVE_S = 60


def serve(state: Path, port: int) -> None:
    """Serve the local AWS on 127.0.0.1 until SIGTERM or SIGINT.

    Raises:
        LocalCloudError: the port is taken, the state folder is in use or from a newer release.
    """
    return_large_buffers()
    open_state(state)
    credentials = load_credentials(state)
    grace = _stop_grace(os.environ)
    folder = state / "aws"
    lock = _lock(folder)
    listener = _bind(port)
    _spool_to_disk(folder / "tmp")
    book = JobBook(folder / "jobs.sqlite")
    moto = DomainDispatcherApplication(moto_application)
    complete_without_joining()
    s3 = S3Mirror(moto_application("s3"), S3Files(folder / "s3"))
    cloud = _client_environment(credentials, port)
    executor = Executor(folder, Surroundings(book, s3, cloud, grace))
    s3.ensure_bucket(BUCKET)
    ensure_role()
    executor.recover()
    health = {"service": "aws", "state": str(state), "pid": os.getpid(), "version": 1}
    front = Front(moto, s3, TrainingService(book, executor, s3), health)
    try:
        _listen(listener, front)
    finally:
        executor.shutdown()
        book.close()
        lock.close()


def moto_application(service: Any) -> Any:
    """moto's application of a service, which keeps nothing of a request that it has answered."""
    application = create_backend_app(service)
    # In debug mode every request refers to itself, and its body stays until a garbage collection.
    application.debug = False
    # The mirror has to hear of a full disk.
    application.config["PROPAGATE_EXCEPTIONS"] = True
    _forget_instances()
    return application


def _forget_instances() -> None:
    """Keep moto from remembering every object ever made, for a reset that never comes here."""
    for models in model_data.values():
        model: Any
        for model in models.values():
            model.instances_tracked = deque(maxlen=0)


class _Server(uvicorn.Server):
    """Ends when it is told to, and returns: uvicorn's own would raise the signal once more."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        signal.signal(signal.SIGTERM, self.handle_exit)
        signal.signal(signal.SIGINT, self.handle_exit)
        yield


def _listen(listener: socket.socket, front: Front) -> None:
    config = configuration(
        WsgiBridge(front),
        server_header=False,
        log_level="warning",
        timeout_keep_alive=_KEEP_ALIVE_S,
    )
    logger.info("The local AWS answers on http://%s:%d.", *listener.getsockname())
    _Server(config).run(sockets=[listener])


def _bind(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port))
        listener.listen(128)
    except OSError as error:
        raise LocalCloudError(
            f"The local AWS cannot listen on {_HOST}:{port} ({error.strerror}): "
            f"free that port, or set MC_LOCAL_AWS_PORT to another one."
        ) from error
    return listener


def _lock(folder: Path) -> TextIO:
    """Two servers on one folder would undo each other's writes."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise LocalCloudError(
            f"Another local AWS is already serving {folder.parent}: use it, or stop it first."
        ) from error
    return lock


def _spool_to_disk(folder: Path) -> None:
    """Let the parts of uploads lie beside the state, not in memory or on a small /tmp."""
    folder.mkdir(exist_ok=True)
    tempfile.tempdir = str(folder)
    os.environ["MOTO_S3_DEFAULT_KEY_BUFFER_SIZE"] = str(_SPOOL_BYTES)


def _stop_grace(environ: Mapping[str, str]) -> float:
    """Seconds between SIGTERM and SIGKILL; SageMaker's own 120 unless MC_LOCAL_STOP_GRACE says."""
    text = environ.get("MC_LOCAL_STOP_GRACE", "120")
    try:
        return float(text)
    except ValueError as error:
        raise LocalCloudError(
            f"MC_LOCAL_STOP_GRACE is {text!r}, which is not a number of seconds."
        ) from error


def _client_environment(credentials: Credentials, port: int) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": f"http://{_HOST}:{port}",
        "AWS_ACCESS_KEY_ID": credentials.aws_access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.aws_secret_access_key,
    }
