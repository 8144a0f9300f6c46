"""Subscriptions, tenants, locations, providers, and the directory of this cloud's endpoints."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mc_assets.local_cloud.azure.cloud import Cloud
from mc_assets.local_cloud.azure.kinds import PROVIDERS
from mc_assets.local_cloud.azure.resource_manager.arm import (
    SUBSCRIPTION,
    ArmError,
    ArmRoute,
    cloud_of,
    collection,
)
from mc_assets.local_cloud.azure.resource_manager.locations import short_names
from mc_assets.local_cloud.store import Document

RESOURCE_TYPES = {
    "Microsoft.Resources": ("resourceGroups", "tags"),
    "Microsoft.Storage": ("storageAccounts",),
    "Microsoft.Web": ("sites", "sites/slots", "serverFarms"),
}
# Newest first. Tools that know a resource by its id alone choose from these; any other is answered
# all the same.
API_VERSIONS = {
    "Microsoft.Resources": ["2025-04-01", "2024-11-01"],
    "Microsoft.Storage": ["2025-08-01", "2024-01-01"],
    "Microsoft.Web": ["2025-05-01", "2024-11-01"],
}
# Tools reach an account's blobs at ACCOUNT.blob.SUFFIX. There are none here, and a name that
# can never be found says so in whatever error they print.
STORAGE_SUFFIX = "no-storage-data-plane.invalid"


async def list_subscriptions(request: Request) -> Response:
    return collection([_subscription(cloud_of(request))])


async def get_subscription(request: Request) -> Response:
    return JSONResponse(_subscription(cloud_of(request)))


async def list_tenants(request: Request) -> Response:
    tenant = cloud_of(request).credentials.tenant_id
    return collection([{"id": f"/tenants/{tenant}", "tenantId": tenant}])


async def list_locations(request: Request) -> Response:
    base = _subscription(cloud_of(request))["id"]
    return collection(
        {
            "id": f"{base}/locations/{short}",
            "name": short,
            "type": "Region",
            "displayName": display,
            "regionalDisplayName": display,
            "metadata": {"regionType": "Physical", "regionCategory": "Recommended"},
        }
        for short, display in short_names().items()
    )


async def list_providers(request: Request) -> Response:
    return collection(_provider(cloud_of(request), namespace) for namespace in RESOURCE_TYPES)


async def get_provider(request: Request) -> Response:
    return JSONResponse(_provider(cloud_of(request), request.path_params["namespace"]))


async def register_provider(request: Request) -> Response:
    return _set_registration(request, "Registered")


async def unregister_provider(request: Request) -> Response:
    return _set_registration(request, "NotRegistered")


async def get_cloud_endpoints(request: Request) -> Response:
    """Where a tool finds the rest of this cloud; asked for before any sign-in."""
    if request.query_params.get("api-version", "") < "2019":
        return JSONResponse(_endpoints_of_2015(cloud_of(request)))
    return JSONResponse(_endpoints(cloud_of(request)))


def _subscription(cloud: Cloud) -> Document:
    subscription = cloud.credentials.subscription_id
    return {
        "id": f"/subscriptions/{subscription}",
        "subscriptionId": subscription,
        "tenantId": cloud.credentials.tenant_id,
        "displayName": "Local cloud",
        "state": "Enabled",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
    }


def _provider(cloud: Cloud, namespace: str) -> Document:
    known = {name.lower(): name for name in RESOURCE_TYPES}
    name = known.get(namespace.lower())
    if name is None:
        message = f"The resource namespace '{namespace}' is invalid."
        raise ArmError(404, "InvalidResourceNamespace", message)
    state = cloud.store.get(PROVIDERS, name.lower()) or {"registrationState": "Registered"}
    regions = list(short_names().values())
    types = [
        {"resourceType": kind, "locations": regions, "apiVersions": API_VERSIONS[name]}
        for kind in RESOURCE_TYPES[name]
    ]
    return {
        "id": f"{_subscription(cloud)['id']}/providers/{name}",
        "namespace": name,
        "resourceTypes": types,
        "registrationPolicy": "RegistrationRequired",
        **state,
    }


def _set_registration(request: Request, state: str) -> Response:
    cloud = cloud_of(request)
    name = _provider(cloud, request.path_params["namespace"])["namespace"]
    cloud.store.put(PROVIDERS, name.lower(), {"registrationState": state})
    return JSONResponse(_provider(cloud, name))


def _endpoints(cloud: Cloud) -> Document:
    return {
        "name": "Local",
        "portal": cloud.url,
        "authentication": {
            "loginEndpoint": f"{cloud.url}/",
            "audiences": [f"{cloud.url}/"],
            "tenant": cloud.credentials.tenant_id,
            "identityProvider": "AAD",
        },
        "resourceManager": f"{cloud.url}/",
        "appServiceResourceId": f"{cloud.url}/",
        "graphAudience": f"{cloud.url}/",
        "microsoftGraphResourceId": f"{cloud.url}/",
        "logAnalyticsResourceId": f"{cloud.url}/",
        "media": f"{cloud.url}/",
        "gallery": f"{cloud.url}/",
        "batch": f"{cloud.url}/",
        "sqlManagement": f"{cloud.url}/",
        "suffixes": {"storage": STORAGE_SUFFIX},
    }


def _endpoints_of_2015(cloud: Cloud) -> Document:
    return {
        "galleryEndpoint": f"{cloud.url}/",
        "graphEndpoint": f"{cloud.url}/",
        "portalEndpoint": f"{cloud.url}/",
        "authentication": {"loginEndpoint": f"{cloud.url}/adfs", "audiences": [f"{cloud.url}/"]},
    }


ROUTES = [
    Route("/metadata/endpoints", get_cloud_endpoints),
    ArmRoute("/subscriptions", list_subscriptions),
    ArmRoute("/tenants", list_tenants),
    ArmRoute(SUBSCRIPTION, get_subscription),
    ArmRoute(SUBSCRIPTION + "/locations", list_locations),
    ArmRoute(SUBSCRIPTION + "/providers", list_providers),
    ArmRoute(SUBSCRIPTION + "/providers/{namespace}", get_provider),
    ArmRoute(SUBSCRIPTION + "/providers/{namespace}/register", register_provider, "POST"),
    ArmRoute(SUBSCRIPTION + "/providers/{namespace}/unregister", unregister_provider, "POST"),
]
