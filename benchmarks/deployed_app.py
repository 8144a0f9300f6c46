"""A function app on the local Azure: made, given its package, and how to call it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from loads import ArmLoad, session_trusting
from mc_assets.local_cloud.settings import LocalSettings, load_credentials

READY_SECONDS = 120


@dataclass(frozen=True, slots=True)
class DeployedApp:
    """Where it answers, and its default function key."""

    url: str
    key: str


def deploy(
    clouds: LocalSettings,
    client: int,
    package: bytes,
    settings: Mapping[str, str] | None = None,
    ready: str = "",
) -> DeployedApp:
    """Deploy a zip to the app of a client number that no client of a load has.

    Args:
        settings: app settings in place of those the app has.
        ready: a path that answers 200, without a key, once the app serves; "" does not wait.
    """
    arm = ArmLoad(clouds.azure_url, str(clouds.ca_file), load_credentials(clouds.state))
    with session_trusting(arm.ca_file) as session:
        arm.sign_in(session)
        arm.make_app(session, client)
        if settings:
            configure(arm, session, client, settings)
        place = f"{clouds.azure_url}/scm/load-{client}/api/zipdeploy"
        session.post(place, data=package, timeout=300).raise_for_status()
        host = arm.ask(session, "GET", arm.app(client))["properties"]["defaultHostName"]
        keys = arm.ask(session, "POST", f"{arm.app(client)}/host/default/listkeys")
        app = DeployedApp(f"https://{host}", keys["functionKeys"]["default"])
        if ready:
            _wait_until_ready(session, app.url + ready)
    return app


def configure(
    arm: ArmLoad, session: requests.Session, client: int, settings: Mapping[str, str]
) -> None:
    body: dict[str, Any] = {"properties": {"FUNCTIONS_EXTENSION_VERSION": "~4", **settings}}
    arm.ask(session, "PUT", f"{arm.app(client)}/config/appsettings", body)


def _wait_until_ready(session: requests.Session, url: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while (status := session.get(url, timeout=30).status_code) != 200:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{url} answers {status} after {READY_SECONDS} s.")
        time.sleep(0.2)
