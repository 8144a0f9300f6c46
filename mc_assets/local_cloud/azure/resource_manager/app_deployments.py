"""Deployments of an app or slot as Resource Manager shows them, and the swap of slots."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mc_assets.local_cloud.azure.cloud import Cloud
from mc_assets.local_cloud.azure.kinds import SITES
from mc_assets.local_cloud.azure.operations import OperationError
from mc_assets.local_cloud.azure.resource_manager.app_routes import (
    app_and_slot,
    app_id,
    site_of,
)
from mc_assets.local_cloud.azure.resource_manager.arm import (
    RETRY_AFTER,
    ArmError,
    accepted,
    cloud_of,
    collection,
    find,
    get_operation_result,
    json_body,
    not_found,
)
from mc_assets.local_cloud.store import Document


async def list_deployments(request: Request) -> Response:
    site = site_of(request)
    records = cloud_of(request).deployments.list(site)
    return collection(_resource(site, record) for record in records)


async def get_deployment(request: Request) -> Response:
    site = site_of(request)
    return JSONResponse(_resource(site, _record(request, site)))


async def delete_deployment(request: Request) -> Response:
    site = site_of(request)
    deployments = cloud_of(request).deployments
    record = deployments.get(site, request.path_params["deployment"])
    if record is None:
        return Response(status_code=204)
    if record["active"] or not record["complete"]:
        raise ArmError(409, "Conflict", "A deployment that is active or under way stays.")
    deployments.delete(site, record)
    return Response(status_code=200)


async def list_deployment_log(request: Request) -> Response:
    site = site_of(request)
    record = _record(request, site)
    entries = cloud_of(request).deployments.log(record).entries()
    shown = [
        {name: entry[name] for name in ("log_time", "id", "message", "type")} for entry in entries
    ]
    return JSONResponse(_resource(site, record) | {"properties": {"entries": shown}})


async def get_deployment_status(request: Request) -> Response:
    """202 with the address to poll until the deployment has ended."""
    site = site_of(request)
    record = _record(request, site)
    body = _status(cloud_of(request), site, record)
    if record["complete"]:
        return JSONResponse(body)
    return JSONResponse(body, 202, {"Location": str(request.url), **RETRY_AFTER})


async def list_deployment_statuses(request: Request) -> Response:
    cloud, site = cloud_of(request), site_of(request)
    return collection(_status(cloud, site, record) for record in cloud.deployments.list(site))


async def swap(request: Request) -> Response:
    """Exchange a slot with the slot the body names; for an app itself, with its own production."""
    cloud, site = cloud_of(request), site_of(request)
    target = str((await json_body(request)).get("targetSlot") or "")
    if not target:
        raise ArmError(400, "BadRequest", "The body must name the targetSlot of the swap.")
    base = app_id(request)
    other_id = base if target.lower() == "production" else f"{base}/slots/{target}"
    other = find(cloud.store, SITES, other_id)
    if other["id"] == site["id"]:
        raise ArmError(409, "Conflict", "A slot cannot be swapped with itself.")
    cloud.hosting.claim(site, "swap")
    try:
        cloud.hosting.claim(other, "swap")
    except OperationError:
        cloud.hosting.release(site["volume"])
        raise
    operation = cloud.operations.start(_swap(cloud, site, other))
    return accepted(request, operation, site["id"])


async def _swap(cloud: Cloud, site: Document, other: Document) -> None:
    # Production is the target whichever way the swap was asked for.
    source, target = (site, other) if site["slot"] else (other, site)
    try:
        await cloud.hosting.swap(source["id"], target["id"])
    finally:
        cloud.hosting.release(site["volume"])
        cloud.hosting.release(other["volume"])


async def list_slot_differences(request: Request) -> Response:
    """Settings that would change for the target if the swap were made."""
    cloud, site = cloud_of(request), site_of(request)
    target = str((await json_body(request)).get("targetSlot") or "production")
    base = app_id(request)
    other_id = base if target.lower() == "production" else f"{base}/slots/{target}"
    other = find(cloud.store, SITES, other_id)
    names = sorted(site["settings"].keys() | other["settings"].keys())
    return collection(
        {
            "name": name,
            "properties": {
                "level": "Information",
                "settingType": "AppSettings",
                "diffRule": "SettingsDiffer",
                "settingName": name,
                "valueInCurrentSlot": site["settings"].get(name),
                "valueInTargetSlot": other["settings"].get(name),
                "description": "The setting differs between the slots.",
            },
        }
        for name in names
        if site["settings"].get(name) != other["settings"].get(name)
    )


def _record(request: Request, site: Document) -> Document:
    name = request.path_params["deployment"]
    record = cloud_of(request).deployments.get(site, name)
    if record is None:
        raise not_found(f"{site['id']}/deployments/{name}")
    return record


def _resource(site: Document, record: Document) -> Document:
    names = (
        "id status status_text author author_email deployer message progress received_time "
        "start_time end_time last_success_end_time complete active is_temp is_readonly site_name"
    )
    return {
        "id": f"{site['id']}/deployments/{record['id']}",
        "name": f"{site['name']}/{record['id']}",
        "type": f"{site['type']}/deployments",
        "location": site["location"],
        "properties": {name: record[name] for name in names.split()},
    }


def _status(cloud: Cloud, site: Document, record: Document) -> Document:
    phase = record["phase"]
    failed = phase in ("BuildFailed", "RuntimeFailed", "BuildAborted")
    log_url = f"{cloud.url}/scm/{record['site_name']}/api/deployments/{record['id']}/log"
    message = record["status_text"]
    return {
        "id": f"{site['id']}/deploymentStatus/{record['id']}",
        "name": record["id"],
        "type": f"{site['type']}/deploymentStatus",
        "location": site["location"],
        "properties": {
            "deploymentId": record["id"],
            "status": phase,
            "numberOfInstancesInProgress": int(phase == "RuntimeStarting"),
            "numberOfInstancesSuccessful": int(phase == "RuntimeSuccessful"),
            "numberOfInstancesFailed": int(phase == "RuntimeFailed"),
            "failedInstancesLogs": [log_url] if failed else [],
            "errors": [{"code": phase, "message": message}] if failed else [],
        },
    }


ROUTES = [
    *app_and_slot("/deployments", list_deployments),
    *app_and_slot("/deployments/{deployment}", get_deployment),
    *app_and_slot("/deployments/{deployment}", delete_deployment, "DELETE"),
    *app_and_slot("/deployments/{deployment}/log", list_deployment_log),
    *app_and_slot("/deploymentStatus", list_deployment_statuses),
    *app_and_slot("/deploymentStatus/{deployment}", get_deployment_status),
    *app_and_slot("/slotsswap", swap, "POST"),
    *app_and_slot("/slotsdiffs", list_slot_differences, "POST"),
    *app_and_slot("/operationresults/{operation}", get_operation_result),
]
