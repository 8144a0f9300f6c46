"""What the local Azure remembers of an app or slot, and how the pieces are named."""

import secrets
import uuid
from collections.abc import Mapping
from typing import Any

from mc_assets.local_cloud.azure.function_host import AppKeys, IndexResult
from mc_assets.local_cloud.azure.kinds import PLANS, SITES
from mc_assets.local_cloud.store import Document, DocumentStore

FLEX, CONSUMPTION, PREMIUM = "FlexConsumption", "Dynamic", "ElasticPremium"
RUNNING, STOPPED = "Running", "Stopped"
# Named by the user as belonging to the slot, they stay behind when content is swapped.
STICKY_NAMES = ("appSettingNames", "connectionStringNames", "azureStorageConfigNames")


def new_site(site_id: str, group: str, app: str, slot: str | None, port: int) -> Document:
    """A site that has a name, an address and secrets, and nothing else yet."""
    return {
        "id": site_id,
        "name": f"{app}/{slot}" if slot else app,
        "type": "Microsoft.Web/sites/slots" if slot else "Microsoft.Web/sites",
        "kind": "functionapp,linux",
        "location": "",
        "tags": {},
        "identity": None,
        "group": group,
        "app": app,
        "slot": slot,
        "plan": "",
        "port": port,
        "state": RUNNING,
        # What a site serves lives in a volume, so that a swap is an exchange of two names.
        "volume": f"{app}-{uuid.uuid4().hex[:12]}",
        "properties": {},
        "functionAppConfig": None,
        "config": {},
        "settings": {},
        "metadata": {},
        "logs": {},
        "sticky": dict.fromkeys(STICKY_NAMES),
        "policies": {"scm": True, "ftp": True},
        "publishing_password": secrets.token_urlsafe(45),
        "keys": {
            "master": new_key(),
            "host": {"default": new_key()},
            "system": {},
            "function": {},
        },
    }


def new_key() -> str:
    return secrets.token_urlsafe(40) + "=="


def scm_name(site: Document) -> str:
    """The name the SCM host and the publishing user carry: APP, or APP__SLOT."""
    return f"{site['app']}__{site['slot']}" if site["slot"] else site["app"]


def site_host(site: Document) -> str:
    return f"127.0.0.1:{site['port']}"


def find_by_scm_name(store: DocumentStore, name: str) -> Document | None:
    sites = (site for _, site in store.items(SITES) if scm_name(site).lower() == name.lower())
    return next(sites, None)


def tier(store: DocumentStore, site: Document) -> str:
    """The tier of the plan a site is on."""
    plan = store.get(PLANS, site["plan"].lower())
    return plan["sku"]["tier"] if plan else ""


def app_keys(site: Document) -> AppKeys:
    return AppKeys(**site["keys"])


def with_function_keys(site: Document, index: IndexResult) -> Document:
    """The site with a default key for each HTTP function that has none; the rest untouched."""
    known: dict[str, dict[str, str]] = site["keys"]["function"]
    fresh = {
        info.name: {"default": new_key()}
        for info in index.functions
        if info.is_http and info.name not in known
    }
    return site | {"keys": site["keys"] | {"function": known | fresh}}


def worker_environ(site: Document) -> dict[str, str]:
    """App settings plus what the platform itself puts into a worker's environment."""
    return {
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "FUNCTIONS_EXTENSION_VERSION": "~4",
        **site["settings"],
        "WEBSITE_SITE_NAME": site["app"],
        "WEBSITE_SLOT_NAME": site["slot"] or "production",
        "WEBSITE_HOSTNAME": site_host(site),
    }


def swapped(one: Document, other: Document, sticky: Mapping[str, Any]) -> tuple[Document, Document]:
    """Both sites after a swap: content, settings and configuration change places, the rest stays.

    Keys, publishing credentials, policies and the address belong to the slot.
    source: Microsoft Learn, "Azure Functions deployment slots", swapped and not swapped settings.
    """
    moving = ("volume", "config", "functionAppConfig", "metadata")
    stays = frozenset(sticky.get("appSettingNames") or ())

    def receives(site: Document, giver: Document) -> Document:
        moved = {name: giver[name] for name in moving}
        settings = {k: v for k, v in giver["settings"].items() if k not in stays}
        settings |= {k: v for k, v in site["settings"].items() if k in stays}
        return site | moved | {"settings": settings}

    return receives(one, other), receives(other, one)
