"""Start, find and stop the two local clouds, however many processes ask at once."""

import fcntl
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import psutil
import requests

from mc_assets.local_cloud.sagemaker_defaults import write_sagemaker_defaults
from mc_assets.local_cloud.settings import (
    BUCKET,
    REGION,
    ROLE_ARN,
    LocalCloudError,
    LocalSettings,
    load_credentials,
    open_state,
    write_atomically,
)

START_SECONDS = 90
STOP_SECONDS = 15

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """One local cloud: a process with a port, a health check and a log."""

    name: str
    settings: LocalSettings

    @property
    def port(self) -> int:
        return getattr(self.settings, f"{self.name}_port")

    @property
    def url(self) -> str:
        return getattr(self.settings, f"{self.name}_url")

    @property
    def log_file(self) -> Path:
        return self.settings.state / f"{self.name}.log"

    @property
    def command(self) -> list[str]:
        command = [sys.executable, "-m", f"mc_assets.local_cloud.{self.name}"]
        command += ["--state", str(self.settings.state), "--port", str(self.port)]
        if self.name == "azure":
            command += ["--first-site-port", str(self.settings.first_site_port)]
        return command

    def health(self) -> dict | None:
        """What the process behind the port says of itself; None when nothing of ours answers."""
        verify = str(self.settings.ca_file) if self.settings.ca_file.exists() else False
        session = requests.Session()
        # A proxy or REQUESTS_CA_BUNDLE from the environment has no say on a loopback health check.
        session.trust_env = False
        try:
            answer = session.get(f"{self.url}/_mc/health", timeout=5, verify=verify)
            return answer.json() if answer.status_code == 200 else None
        except (requests.RequestException, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class Status:
    """One line of `mc-local status`."""

    name: str
    url: str
    pid: int | None
    log_file: Path


def up(settings: LocalSettings) -> tuple[LocalSettings, list[str]]:
    """Have both clouds running on this state folder.

    Returns:
        the settings with the ports really in use, and the names of the services this call started.

    Raises:
        LocalCloudError: a cloud could not be started; the text says why.
    """
    _require_local_extra()
    settings = found_again(settings)
    if all(_is_ours(service) for service in services(settings)):
        return settings, []
    try:
        open_state(settings.state)
        with _locked(settings):
            settings = found_again(settings)
            load_credentials(settings.state)
            launched = [launch for service in services(settings) if (launch := _launch(service))]
            for launch in launched:
                _wait_until_healthy(launch)
            _remember(settings)
    except OSError as error:
        raise LocalCloudError(
            f"The local clouds cannot write their state in {settings.state}: {error}. "
            "Free some space, or point MC_LOCAL_STATE at a folder that can be written."
        ) from error
    return settings, [launch.service.name for launch in launched]


def down(settings: LocalSettings) -> list[str]:
    """Stop both clouds of this state folder; the names of those that were running."""
    if not settings.state.exists():
        return []
    with _locked(settings):
        settings = found_again(settings)
        return [service.name for service in services(settings) if _stop(service)]


def status(settings: LocalSettings) -> list[Status]:
    """Where each cloud is and whether it runs."""
    settings = found_again(settings)
    return [
        Status(service.name, service.url, _pid_of(service), service.log_file)
        for service in services(settings)
    ]


def reset(settings: LocalSettings) -> None:
    """Stop both clouds and delete everything they kept."""
    down(settings)
    if settings.state.exists() and not (settings.state / "VERSION").exists():
        raise LocalCloudError(
            f"{settings.state} does not look like a state folder of the local clouds (it has no "
            "VERSION file), so it was left alone."
        )
    if settings.state.exists():
        shutil.rmtree(settings.state)


def environment(settings: LocalSettings) -> dict[str, str | None]:
    """The variables that point any AWS or Azure client here; None means: must not be set."""
    credentials = load_credentials(settings.state)
    sagemaker_defaults = str(write_sagemaker_defaults(settings.state))
    exempt = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    no_proxy = ",".join(dict.fromkeys([*filter(None, exempt.split(",")), "127.0.0.1"]))
    return {
        "AWS_ENDPOINT_URL": settings.aws_url,
        "AWS_ACCESS_KEY_ID": credentials.aws_access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.aws_secret_access_key,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        # Said and not only left unsaid: the user's configuration file may ask for the opposite.
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
        # The SageMaker SDK's own: the user's defaults may name roles and keys of a real account.
        "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": sagemaker_defaults,
        "SAGEMAKER_USER_CONFIG_OVERRIDE": sagemaker_defaults,
        **dict.fromkeys(_misleading(os.environ)),
        "MC_BUCKET": BUCKET,
        "MC_SAGEMAKER_ROLE_ARN": ROLE_ARN,
        "AZURE_AUTHORITY_HOST": settings.azure_url,
        "AZURE_TENANT_ID": credentials.tenant_id,
        "AZURE_CLIENT_ID": credentials.client_id,
        "AZURE_CLIENT_SECRET": credentials.client_secret,
        "AZURE_SUBSCRIPTION_ID": credentials.subscription_id,
        "AZURE_RESOURCE_MANAGER_URL": settings.azure_url,
        # The Azure CLI's own: clouds and logins made here stay apart from the user's, no public
        # list of clouds is asked whether this one exists, and nothing is reported.
        "AZURE_CONFIG_DIR": str(settings.state / "azure-cli"),
        "AZURE_CORE_INSTANCE_DISCOVERY": "false",
        "AZURE_CORE_COLLECT_TELEMETRY": "false",
        "REQUESTS_CA_BUNDLE": str(settings.ca_bundle),
        # Both spellings: the lower-case one wins where both are set.
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
    }


def _misleading(environ: Mapping[str, str]) -> list[str]:
    """Variables of a real account, or of its tools, that would lead clients away from here."""
    endpoints = [name for name in environ if name.startswith("AWS_ENDPOINT_URL_")]
    return [
        *endpoints,
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_SESSION_TOKEN",
        "AWS_SECURITY_TOKEN",
        "AZURE_CLIENT_CERTIFICATE_PATH",
        "AZURE_TOKEN_CREDENTIALS",
    ]


def services(settings: LocalSettings) -> tuple[Service, Service]:
    return Service("aws", settings), Service("azure", settings)


def found_again(settings: LocalSettings) -> LocalSettings:
    """With the ports this folder's clouds were last started on, if they still run there."""
    path = settings.state / "services.json"
    if not path.exists():
        return settings
    last = replace(settings, **json.loads(path.read_text()))
    return last if any(_is_ours(service) for service in services(last)) else settings


def _remember(settings: LocalSettings) -> None:
    ports = {
        "aws_port": settings.aws_port,
        "azure_port": settings.azure_port,
        "first_site_port": settings.first_site_port,
    }
    write_atomically(settings.state / "services.json", json.dumps(ports).encode())


def _is_ours(service: Service) -> bool:
    health = service.health()
    return health is not None and health.get("state") == str(service.settings.state)


def _pid_of(service: Service) -> int | None:
    health = service.health()
    return health["pid"] if health and health.get("state") == str(service.settings.state) else None


@dataclass(frozen=True, slots=True)
class _Launch:
    """A service's new process, and where in the log its words begin."""

    service: Service
    process: subprocess.Popen[bytes]
    log_start: int


def _launch(service: Service) -> _Launch | None:
    """Start the service's process unless it runs; it may not answer yet."""
    health = service.health()
    if health:
        if health.get("state") == str(service.settings.state):
            return None
        raise LocalCloudError(
            f"Port {service.port} is taken by the local clouds of {health.get('state')}: stop them "
            f"with `MC_LOCAL_STATE={health.get('state')} mc-local down`, or set "
            f"MC_LOCAL_{service.name.upper()}_PORT to a free port."
        )
    with service.log_file.open("ab") as log_stream:
        log_start = log_stream.tell()
        process = subprocess.Popen(
            service.command,
            stdin=subprocess.DEVNULL,
            stdout=log_stream,
            stderr=log_stream,
            start_new_session=True,
            cwd=service.settings.state,
            env=_service_environment(),
        )
    return _Launch(service, process, log_start)


def _wait_until_healthy(launch: _Launch) -> None:
    service, process = launch.service, launch.process
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            lines = (
                service.log_file.read_bytes()[launch.log_start :]
                .decode(errors="replace")
                .splitlines()
            )
            reason = lines[-1] if lines else "it said nothing"
            raise LocalCloudError(
                f"The local {service.name} did not start: {reason} (its log is {service.log_file})"
            )
        if _is_ours(service):
            return
        time.sleep(0.1)
    process.kill()
    raise LocalCloudError(
        f"The local {service.name} gave no sign of health on port {service.port} within "
        f"{START_SECONDS} s; its log is {service.log_file}."
    )


def _stop(service: Service) -> bool:
    pid = _pid_of(service)
    if pid is None:
        return False
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        process.send_signal(signal.SIGTERM)
        if not _has_ended(process, STOP_SECONDS):
            log.warning("The local %s did not stop in %s s; killed.", service.name, STOP_SECONDS)
            process.kill()
            _has_ended(process, STOP_SECONDS)
    return True


def _has_ended(process: psutil.Process, seconds: float) -> bool:
    """Wait for it; a zombie has ended, though whoever started it has yet to take notice."""
    deadline = time.monotonic() + seconds
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _service_environment() -> dict[str, str]:
    """The caller's environment less its cloud credentials, with the package importable."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "AZURE_")) and name != "REQUESTS_CA_BUNDLE"
    }
    package_root = str(Path(__file__).parents[2])
    return kept | {"PYTHONPATH": package_root, "PYTHONUNBUFFERED": "1"}


@contextmanager
def _locked(settings: LocalSettings) -> Iterator[None]:
    with (settings.state / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _require_local_extra() -> None:
    missing = [
        name
        for name in ("moto", "starlette", "trustme", "uvicorn", "uvloop")
        if not find_spec(name)
    ]
    if missing:
        raise LocalCloudError(
            f"The local clouds need {', '.join(missing)}: pip install 'mc-assets[local]', or set "
            "MC_TARGET=cloud to work with real accounts."
        )
