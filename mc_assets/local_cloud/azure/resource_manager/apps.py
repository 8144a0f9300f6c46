"""Microsoft.Web/sites and their slots: create, read, change, delete, start, stop."""

import re
import uuid

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mc_assets.local_cloud.azure.clock import timestamp
from mc_assets.local_cloud.azure.cloud import Cloud
from mc_assets.local_cloud.azure.kinds import PLANS, SITES
from mc_assets.local_cloud.azure.resource_manager.app_routes import (
    APP,
    APPS,
    NAMESPACE,
    SLOT,
    SLOTS,
    app_and_slot,
    app_id,
    save,
    site_id,
    site_of,
)
from mc_assets.local_cloud.azure.resource_manager.app_settings import (
    check_settings,
    read_site_config,
    site_config,
)
from mc_assets.local_cloud.azure.resource_manager.arm import (
    SUBSCRIPTION,
    ArmError,
    ArmRoute,
    cloud_of,
    collection,
    find,
    group_id,
    in_group,
    json_body,
    tags_of,
    writable_group,
)
from mc_assets.local_cloud.azure.resource_manager.flex_config import checked_flex
from mc_assets.local_cloud.azure.resource_manager.locations import display_name
from mc_assets.local_cloud.azure.resource_manager.plans import SLOT_LIMITS, apps_on, new_plan
from mc_assets.local_cloud.azure.sites import (
    FLEX,
    RUNNING,
    STOPPED,
    scm_name,
    site_host,
    tier,
)
from mc_assets.local_cloud.store import Document, DocumentStore

SITE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,58}[A-Za-z0-9]")
SLOT_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,57}[A-Za-z0-9])?")
# Written by Resource Manager, and not believed when a client sends them back.
READ_ONLY = frozenset(
    (
        "defaultHostName",
        "enabledHostNames",
        "functionAppConfig",
        "hostNameSslStates",
        "hostNames",
        "lastModifiedTimeUtc",
        "repositorySiteName",
        "resourceGroup",
        "serverFarmId",
        "siteConfig",
        "sku",
        "state",
    )
)


async def check_name(request: Request) -> Response:
    name = str((await json_body(request)).get("name", ""))
    if not SITE_NAME.fullmatch(name):
        message = f"'{name}' is not a valid site name."
        return JSONResponse({"nameAvailable": False, "reason": "Invalid", "message": message})
    if _owner(cloud_of(request).store, name):
        message = f"Hostname '{name}' already exists. Please select a different name."
        return JSONResponse({"nameAvailable": False, "reason": "AlreadyExists", "message": message})
    return JSONResponse({"nameAvailable": True, "reason": "", "message": ""})


async def put_app(request: Request) -> Response:
    cloud, body = cloud_of(request), await json_body(request)
    group = writable_group(request, NAMESPACE)
    name, identity = request.path_params["app"], app_id(request)
    _check_app_name(cloud.store, name, identity)
    site = cloud.store.get(SITES, identity.lower())
    plan = _plan_for(cloud, group, site, body)
    _check_capacity(cloud.store, plan, identity)
    # Everything is checked on a plain document before a port is taken.
    changes = _changes(site, body, plan)
    if site is None:
        site = cloud.hosting.create(identity, group["name"], name, None)
    return await _save_and_answer(request, site | changes)


async def put_slot(request: Request) -> Response:
    cloud, body = cloud_of(request), await json_body(request)
    group = writable_group(request, NAMESPACE)
    slot, identity = request.path_params["slot"], site_id(request)
    app = find(cloud.store, SITES, app_id(request))
    site = cloud.store.get(SITES, identity.lower())
    plan = find(cloud.store, PLANS, app["plan"])
    if site is None:
        _check_new_slot(cloud, app, plan, slot)
    changes = _changes(site, body, plan)
    if site is None:
        site = cloud.hosting.create(identity, group["name"], app["app"], slot)
    return await _save_and_answer(request, site | changes)


async def patch_site(request: Request) -> Response:
    cloud, body = cloud_of(request), await json_body(request)
    site = site_of(request)
    given = body.get("properties") or {}
    plan_id = site["plan"] if site["slot"] else given.get("serverFarmId") or site["plan"]
    changes = _changes(site, body, find(cloud.store, PLANS, plan_id))
    return await _save_and_answer(request, site | changes)


async def get_site(request: Request) -> Response:
    return JSONResponse(site_resource(cloud_of(request), site_of(request)))


async def list_group_apps(request: Request) -> Response:
    cloud = cloud_of(request)
    sites = in_group(cloud, SITES, request.path_params["group"])
    return collection(site_resource(cloud, site) for site in sites if site["slot"] is None)


async def list_apps(request: Request) -> Response:
    cloud = cloud_of(request)
    sites = [site for _, site in cloud.store.items(SITES)]
    return collection(site_resource(cloud, site) for site in sites if site["slot"] is None)


async def list_slots(request: Request) -> Response:
    cloud, app = cloud_of(request), site_of(request)
    return collection(site_resource(cloud, slot) for slot in _slots(cloud.store, app))


async def delete_site(request: Request) -> Response:
    """Delete an app with its slots, or one slot; an emptied plan goes too unless told otherwise."""
    cloud = cloud_of(request)
    site = cloud.store.get(SITES, site_id(request).lower())
    if site is None:
        return Response(status_code=204)
    slots = [] if site["slot"] else _slots(cloud.store, site)
    for doomed in [*slots, site]:
        await cloud.deployments.cancel(doomed["volume"])
        await cloud.hosting.remove(doomed["id"])
    keeps_plan = request.query_params.get("deleteEmptyServerFarm", "").lower() == "false"
    if not site["slot"] and not keeps_plan and not apps_on(cloud.store, site["plan"]):
        cloud.store.delete(PLANS, site["plan"].lower())
    return Response(status_code=200)


async def start_site(request: Request) -> Response:
    return await _set_state(request, RUNNING)


async def stop_site(request: Request) -> Response:
    return await _set_state(request, STOPPED)


async def restart_site(request: Request) -> Response:
    await cloud_of(request).hosting.activate(site_of(request)["id"])
    return Response(status_code=200)


def site_resource(cloud: Cloud, site: Document) -> Document:
    """A site as Resource Manager shows it."""
    host, scm = site_host(site), f"{cloud.url.removeprefix('https://')}/scm/{scm_name(site)}"
    return {
        **{name: site[name] for name in ("id", "name", "type", "kind", "location", "tags")},
        **_identity_part(cloud, site),
        "properties": {
            **site["properties"],
            "name": site["name"],
            "state": site["state"],
            "enabled": site["state"] == RUNNING,
            "availabilityState": "Normal",
            "usageState": "Normal",
            "defaultHostName": host,
            "hostNames": [host],
            "enabledHostNames": [host, scm],
            # The certificate of these names is the platform's; the state is of a user's own.
            "hostNameSslStates": [
                {"name": host, "sslState": "Disabled", "hostType": "Standard"},
                {"name": scm, "sslState": "Disabled", "hostType": "Repository"},
            ],
            "repositorySiteName": scm_name(site),
            "serverFarmId": site["plan"],
            "reserved": True,
            "sku": tier(cloud.store, site),
            "resourceGroup": site["group"],
            "siteConfig": site_config(site),
            "functionAppConfig": site["functionAppConfig"],
            "provisioningState": "Succeeded",
        },
    }


def _identity_part(cloud: Cloud, site: Document) -> Document:
    identity = site["identity"]
    if not identity:
        return {}
    if "principalId" not in identity:
        return {"identity": identity}
    return {"identity": identity | {"tenantId": cloud.credentials.tenant_id}}


async def _save_and_answer(request: Request, site: Document) -> Response:
    """Write the site; open a new one, and restart one whose worker would see a change."""
    cloud = cloud_of(request)
    before = cloud.store.get(SITES, site["id"].lower())
    save(request, site)
    if before is None:
        await cloud.hosting.open(site)
    elif before["settings"] != site["settings"]:
        await cloud.hosting.activate(site["id"])
    return JSONResponse(site_resource(cloud, find(cloud.store, SITES, site["id"])))


def _changes(site: Document | None, body: Document, plan: Document) -> Document:
    """What a PUT or PATCH writes; parts that it does not mention keep their value."""
    before = site or {}
    given = dict(body.get("properties") or {})
    _refuse_client_certificates(given)
    config, settings = read_site_config(given.get("siteConfig"))
    kind = str(body.get("kind") or before.get("kind") or "functionapp,linux")
    if "functionapp" not in kind:
        message = f"The site kind '{kind}' is not supported: this cloud runs function apps only."
        raise ArmError(400, "BadRequest", message)
    if settings is None:
        settings = before.get("settings", {})
    flex = given.get("functionAppConfig") or before.get("functionAppConfig")
    if plan["sku"]["tier"] == FLEX:
        flex = checked_flex(flex)
    check_settings(settings, plan["sku"]["tier"])
    kept = {name: value for name, value in given.items() if name not in READ_ONLY}
    return {
        "kind": kind,
        "location": plan["location"],
        "plan": plan["id"],
        "tags": tags_of(body) if "tags" in body else before.get("tags", {}),
        "identity": _identity(body, before),
        "settings": settings,
        "config": before.get("config", {}) | config,
        "functionAppConfig": flex,
        "properties": before.get("properties", {}) | kept | {"lastModifiedTimeUtc": timestamp()},
    }


def _identity(body: Document, before: Document) -> Document | None:
    """The managed identity asked for, with the principal that the directory gives it."""
    wanted = body.get("identity")
    if not wanted:
        return before.get("identity")
    if "SystemAssigned" not in str(wanted.get("type", "")):
        return wanted
    known = before.get("identity") or {}
    return wanted | {"principalId": known.get("principalId") or str(uuid.uuid4())}


def _check_app_name(store: DocumentStore, name: str, identity: str) -> None:
    if not SITE_NAME.fullmatch(name):
        message = f"The site name '{name}' must be 2 to 60 letters, digits and inner hyphens."
        raise ArmError(400, "BadRequest", message)
    owner = _owner(store, name)
    if owner and owner["id"].lower() != identity.lower():
        message = f"Website with given name {name} already exists."
        raise ArmError(409, "Conflict", message)


def _owner(store: DocumentStore, name: str) -> Document | None:
    owners = (
        site
        for _, site in store.items(SITES)
        if site["slot"] is None and site["app"].lower() == name.lower()
    )
    return next(owners, None)


def _plan_for(cloud: Cloud, group: Document, site: Document | None, body: Document) -> Document:
    """The plan a PUT names, or the one the app is on, or the region's own consumption plan."""
    wanted = (body.get("properties") or {}).get("serverFarmId") or (site or {}).get("plan")
    if wanted:
        return find(cloud.store, PLANS, _full_plan_id(cloud, group, wanted))
    region = display_name(str(body.get("location") or ""))
    name = f"{region.replace(' ', '')}LinuxDynamicPlan"
    plan_id = f"{group_id(cloud, group['name'])}/providers/{NAMESPACE}/serverfarms/{name}"
    plan = cloud.store.get(PLANS, plan_id.lower())
    if plan is None:
        plan = new_plan(plan_id, region, "Y1")
        cloud.store.put(PLANS, plan_id.lower(), plan)
    return plan


def _full_plan_id(cloud: Cloud, group: Document, wanted: str) -> str:
    """A plan in the app's own group may be named by its name alone."""
    if "/" in wanted:
        return wanted
    return f"{group_id(cloud, group['name'])}/providers/{NAMESPACE}/serverfarms/{wanted}"


def _check_capacity(store: DocumentStore, plan: Document, identity: str) -> None:
    others = [
        site["name"]
        for key, site in store.items(SITES)
        if site["plan"].lower() == plan["id"].lower()
        and site["slot"] is None
        and key != identity.lower()
    ]
    if plan["sku"]["tier"] == FLEX and others:
        message = (
            f"The Flex Consumption plan '{plan['name']}' already hosts the app '{others[0]}'; "
            "a plan of this tier hosts one app."
        )
        raise ArmError(409, "Conflict", message)


def _refuse_client_certificates(given: Document) -> None:
    # The mode alone means nothing: Azure itself gives every app one, with clientCertEnabled false.
    if given.get("clientCertEnabled"):
        message = (
            "This cloud asks no caller for a certificate, so clientCertEnabled would be a promise "
            "that it does not keep: leave it out, and let keys decide who may call."
        )
        raise ArmError(400, "BadRequest", message)


def _check_new_slot(cloud: Cloud, app: Document, plan: Document, slot: str) -> None:
    if not SLOT_NAME.fullmatch(slot) or slot.lower() == "production":
        raise ArmError(400, "BadRequest", f"'{slot}' is no name for a deployment slot.")
    sku = plan["sku"]["tier"]
    if len(_slots(cloud.store, app)) + 2 > SLOT_LIMITS[sku]:
        message = (
            "Cannot complete the operation because the site will exceed the number of slots "
            f"allowed for the '{sku}' SKU."
        )
        raise ArmError(409, "Conflict", message)


def _slots(store: DocumentStore, app: Document) -> list[Document]:
    return [slot for _, slot in store.items(SITES, f"{app['id']}/slots/".lower())]


async def _set_state(request: Request, state: str) -> Response:
    site = save(request, site_of(request) | {"state": state})
    await cloud_of(request).hosting.activate(site["id"])
    return Response(status_code=200)


ROUTES = [
    ArmRoute(SUBSCRIPTION + "/providers/Microsoft.Web/sites", list_apps),
    ArmRoute(SUBSCRIPTION + "/providers/Microsoft.Web/checkNameAvailability", check_name, "POST"),
    ArmRoute(APPS, list_group_apps),
    ArmRoute(APP, put_app, "PUT"),
    ArmRoute(SLOTS, list_slots),
    ArmRoute(SLOT, put_slot, "PUT"),
    *app_and_slot("", get_site),
    *app_and_slot("", patch_site, "PATCH"),
    *app_and_slot("", delete_site, "DELETE"),
    *app_and_slot("/start", start_site, "POST"),
    *app_and_slot("/stop", stop_site, "POST"),
    *app_and_slot("/restart", restart_site, "POST"),
]
