"""How a request names an app or a slot of one, and how both are reached by the same endpoints."""

from starlette.requests import Request

from mc_assets.local_cloud.azure.kinds import SITES
from mc_assets.local_cloud.azure.resource_manager.arm import (
    GROUP,
    ArmRoute,
    Endpoint,
    cloud_of,
    find,
    provider_id,
)
from mc_assets.local_cloud.store import Document

NAMESPACE = "Microsoft.Web"
APPS = GROUP + "/providers/Microsoft.Web/sites"
APP = APPS + "/{app}"
SLOTS = APP + "/slots"
SLOT = SLOTS + "/{slot}"


def app_and_slot(path: str, endpoint: Endpoint, *methods: str) -> list[ArmRoute]:
    """The route below an app, and the same below a slot of it."""
    return [ArmRoute(base + path, endpoint, *methods) for base in (APP, SLOT)]


def app_id(request: Request) -> str:
    return provider_id(request, NAMESPACE, "sites", request.path_params["app"])


def site_id(request: Request) -> str:
    slot = request.path_params.get("slot")
    return f"{app_id(request)}/slots/{slot}" if slot else app_id(request)


def site_of(request: Request) -> Document:
    """The app or slot the request names.

    Raises:
        ArmError: 404, there is none.
    """
    return find(cloud_of(request).store, SITES, site_id(request))


def save(request: Request, site: Document) -> Document:
    cloud_of(request).store.put(SITES, site["id"].lower(), site)
    return site


def config_resource(site: Document, name: str, properties: object) -> Document:
    """A part of a site's configuration, as a resource of its own."""
    kind = "Microsoft.Web/sites/slots/config" if site["slot"] else "Microsoft.Web/sites/config"
    return {
        "id": f"{site['id']}/config/{name}",
        "name": name,
        "type": kind,
        "location": site["location"],
        "properties": properties,
    }
