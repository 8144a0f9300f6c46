"""Microsoft.Web/serverfarms: hosting plans, and what each kind of plan allows."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mc_assets.local_cloud.azure.kinds import PLANS, SITES
from mc_assets.local_cloud.azure.resource_manager.arm import (
    GROUP,
    SUBSCRIPTION,
    ArmError,
    ArmRoute,
    cloud_of,
    collection,
    find,
    in_group,
    json_body,
    provider_id,
    tags_of,
    writable_group,
)
from mc_assets.local_cloud.azure.resource_manager.locations import display_name
from mc_assets.local_cloud.azure.sites import CONSUMPTION, FLEX, PREMIUM
from mc_assets.local_cloud.store import Document, DocumentStore

NAMESPACE = "Microsoft.Web"
TIERS = {
    "Y1": CONSUMPTION,
    "FC1": FLEX,
    "EP1": PREMIUM,
    "EP2": PREMIUM,
    "EP3": PREMIUM,
    "B1": "Basic",
    "B2": "Basic",
    "B3": "Basic",
    "S1": "Standard",
    "S2": "Standard",
    "S3": "Standard",
    "P0v3": "PremiumV3",
    "P1v3": "PremiumV3",
    "P2v3": "PremiumV3",
    "P3v3": "PremiumV3",
}
# How many slots an app may have, the production slot counted.
SLOT_LIMITS = {FLEX: 1, CONSUMPTION: 2, PREMIUM: 3, "Basic": 1, "Standard": 5, "PremiumV3": 20}


async def put_plan(request: Request) -> Response:
    cloud, name = cloud_of(request), request.path_params["plan"]
    body = await json_body(request)
    writable_group(request, NAMESPACE)
    plan_id = provider_id(request, NAMESPACE, "serverfarms", name)
    existing = cloud.store.get(PLANS, plan_id.lower())
    sku = body.get("sku") or (existing or {}).get("sku") or {}
    location = body.get("location") or (existing or {}).get("location")
    plan = new_plan(plan_id, location, str(sku.get("name", "")))
    plan["kind"] = body.get("kind") or plan["kind"]
    plan["tags"] = tags_of(body)
    plan["properties"]["reserved"] = bool((body.get("properties") or {}).get("reserved"))
    if existing and (existing["sku"]["tier"] == FLEX) != (plan["sku"]["tier"] == FLEX):
        message = "A plan cannot move to or from the FlexConsumption tier."
        raise ArmError(409, "Conflict", message)
    cloud.store.put(PLANS, plan_id.lower(), plan)
    return JSONResponse(_with_count(cloud.store, plan))


async def patch_plan(request: Request) -> Response:
    cloud, plan, body = cloud_of(request), _plan(request), await json_body(request)
    if "tags" in body:
        plan["tags"] = tags_of(body)
    cloud.store.put(PLANS, plan["id"].lower(), plan)
    return JSONResponse(_with_count(cloud.store, plan))


async def get_plan(request: Request) -> Response:
    return JSONResponse(_with_count(cloud_of(request).store, _plan(request)))


async def list_group_plans(request: Request) -> Response:
    cloud = cloud_of(request)
    plans = in_group(cloud, PLANS, request.path_params["group"])
    return collection(_with_count(cloud.store, plan) for plan in plans)


async def list_plans(request: Request) -> Response:
    store = cloud_of(request).store
    return collection(_with_count(store, plan) for _, plan in store.items(PLANS))


async def delete_plan(request: Request) -> Response:
    store, plan_id = cloud_of(request).store, _plan_id(request)
    apps = apps_on(store, plan_id)
    if apps:
        message = (
            f"Server farm '{request.path_params['plan']}' cannot be deleted because it has "
            f"web app(s) {', '.join(apps)} assigned to it."
        )
        raise ArmError(409, "Conflict", message)
    return Response(status_code=200 if store.delete(PLANS, plan_id.lower()) else 204)


def new_plan(plan_id: str, location: object, sku: str) -> Document:
    """A plan as Resource Manager shows it.

    Raises:
        ArmError: 400, the SKU or the location is unknown.
    """
    known = {name.lower(): name for name in TIERS}
    if sku.lower() not in known:
        message = f"The SKU '{sku}' is not one of {', '.join(TIERS)}."
        raise ArmError(400, "BadRequest", message)
    size = known[sku.lower()]
    tier = TIERS[size]
    return {
        "id": plan_id,
        "name": plan_id.rpartition("/")[2],
        "type": "Microsoft.Web/serverfarms",
        "kind": "elastic" if tier == PREMIUM else "functionapp",
        "location": display_name(str(location or "")),
        "tags": {},
        "sku": {
            "name": size,
            "tier": tier,
            "size": size,
            "family": size.rstrip("0123456789v") or size,
            "capacity": 0 if tier in (CONSUMPTION, FLEX) else 1,
        },
        "properties": {
            "status": "Ready",
            "provisioningState": "Succeeded",
            "computeMode": "Dynamic" if tier in (CONSUMPTION, FLEX) else "Dedicated",
            "reserved": True,
            "maximumElasticWorkerCount": 1,
        },
    }


def apps_on(store: DocumentStore, plan_id: str) -> list[str]:
    """Names of the apps on a plan, slots not counted."""
    return [
        site["name"]
        for _, site in store.items(SITES)
        if site["plan"].lower() == plan_id.lower() and site["slot"] is None
    ]


def _with_count(store: DocumentStore, plan: Document) -> Document:
    properties = plan["properties"] | {"numberOfSites": len(apps_on(store, plan["id"]))}
    return plan | {"properties": properties}


def _plan_id(request: Request) -> str:
    return provider_id(request, NAMESPACE, "serverfarms", request.path_params["plan"])


def _plan(request: Request) -> Document:
    return find(cloud_of(request).store, PLANS, _plan_id(request))


IN_GROUP = GROUP + "/providers/Microsoft.Web/serverfarms"
PLAN = IN_GROUP + "/{plan}"

ROUTES = [
    ArmRoute(SUBSCRIPTION + "/providers/Microsoft.Web/serverfarms", list_plans),
    ArmRoute(IN_GROUP, list_group_plans),
    ArmRoute(PLAN, put_plan, "PUT"),
    ArmRoute(PLAN, patch_plan, "PATCH"),
    ArmRoute(PLAN, get_plan),
    ArmRoute(PLAN, delete_plan, "DELETE"),
]
