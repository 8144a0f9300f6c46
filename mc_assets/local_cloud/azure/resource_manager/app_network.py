"""How an app or slot is reached: its host names; it is joined to no network."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mc_assets.local_cloud.azure.resource_manager.app_routes import app_and_slot, site_of
from mc_assets.local_cloud.azure.resource_manager.arm import collection
from mc_assets.local_cloud.azure.sites import site_host


async def list_host_names(request: Request) -> Response:
    """The one name that every site is given; others cannot be bound."""
    site = site_of(request)
    host = site_host(site)
    binding = {
        "id": f"{site['id']}/hostNameBindings/{host}",
        "name": f"{site['name']}/{host}",
        "type": f"{site['type']}/hostNameBindings",
        "location": site["location"],
        "properties": {"siteName": site["app"], "hostNameType": "Verified"},
    }
    return collection([binding])


async def list_networks(request: Request) -> Response:
    """A bare list, not wrapped as others are."""
    site_of(request)
    return JSONResponse([])


ROUTES = [
    *app_and_slot("/hostNameBindings", list_host_names),
    *app_and_slot("/virtualNetworkConnections", list_networks),
]
