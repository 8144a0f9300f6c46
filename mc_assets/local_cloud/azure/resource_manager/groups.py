"""Resource groups, what they hold, and their deletion with everything in them."""

import re

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mc_assets.local_cloud.azure.cloud import Cloud
from mc_assets.local_cloud.azure.kinds import ACCOUNTS, GROUPS, PLANS, ROLE_ASSIGNMENTS, SITES
from mc_assets.local_cloud.azure.resource_manager.arm import (
    GROUP,
    SUBSCRIPTION,
    ArmError,
    ArmRoute,
    accepted,
    cloud_of,
    collection,
    find_group,
    get_operation_result,
    group_id,
    in_group,
    json_body,
    tags_of,
)
from mc_assets.local_cloud.azure.resource_manager.locations import short_name
from mc_assets.local_cloud.azure.resource_manager.storage import delete_account
from mc_assets.local_cloud.store import Document

RESOURCE_KINDS = (ACCOUNTS, PLANS, SITES)
# Lists of resources spell a plan's type otherwise than the plan itself does; clients that compare
# letter by letter miss it (azure-cli issue 23938).
OWN_SPELLING, LISTED_SPELLING = "Microsoft.Web/serverfarms", "Microsoft.Web/serverFarms"
GROUP_NAME = re.compile(r"[\w().-]{0,89}[\w()-]")
FILTER = re.compile(
    r"(resourceGroup|resourceType|tagName|tagValue|name|location) eq '([^']*)'", re.IGNORECASE
)


async def put_group(request: Request) -> Response:
    cloud, name = cloud_of(request), request.path_params["group"]
    body = await json_body(request)
    location = short_name(body.get("location"), "LocationNotAvailableForResourceGroup")
    if not GROUP_NAME.fullmatch(name):
        raise ArmError(400, "InvalidResourceGroup", f"'{name}' is no name for a resource group.")
    key = group_id(cloud, name).lower()
    existing = cloud.store.get(GROUPS, key)
    _check_update(existing, location)
    group = {
        "id": group_id(cloud, existing["name"] if existing else name),
        "name": existing["name"] if existing else name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": location,
        "tags": tags_of(body),
        "properties": {"provisioningState": "Succeeded"},
    }
    if "managedBy" in body:
        group["managedBy"] = body["managedBy"]
    cloud.store.put(GROUPS, key, group)
    return JSONResponse(group, 200 if existing else 201)


async def patch_group(request: Request) -> Response:
    cloud = cloud_of(request)
    group = find_group(cloud, request.path_params["group"])
    body = await json_body(request)
    if "tags" in body:
        group["tags"] = tags_of(body)
    cloud.store.put(GROUPS, group["id"].lower(), group)
    return JSONResponse(group)


async def get_group(request: Request) -> Response:
    return JSONResponse(find_group(cloud_of(request), request.path_params["group"]))


async def head_group(request: Request) -> Response:
    cloud = cloud_of(request)
    known = cloud.store.get(GROUPS, group_id(cloud, request.path_params["group"]).lower())
    return Response(status_code=204 if known else 404)


async def list_groups(request: Request) -> Response:
    return collection(group for _, group in cloud_of(request).store.items(GROUPS))


async def delete_group(request: Request) -> Response:
    cloud = cloud_of(request)
    group = find_group(cloud, request.path_params["group"])
    group["properties"]["provisioningState"] = "Deleting"
    cloud.store.put(GROUPS, group["id"].lower(), group)
    operation = cloud.operations.start(empty_and_forget(cloud, group["name"]))
    subscription = f"/subscriptions/{cloud.credentials.subscription_id}"
    return accepted(request, operation, subscription)


async def empty_and_forget(cloud: Cloud, name: str) -> None:
    """Delete everything in a group, then the group; can be begun again wherever it stopped."""
    # Slots sort after their app, and go before it.
    for site in reversed(in_group(cloud, SITES, name)):
        await cloud.deployments.cancel(site["volume"])
        await cloud.hosting.remove(site["id"])
    for plan in in_group(cloud, PLANS, name):
        cloud.store.delete(PLANS, plan["id"].lower())
    for account in in_group(cloud, ACCOUNTS, name):
        delete_account(cloud, account["id"])
    for assignment in in_group(cloud, ROLE_ASSIGNMENTS, name):
        cloud.store.delete(ROLE_ASSIGNMENTS, assignment["id"].lower())
    cloud.store.delete(GROUPS, group_id(cloud, name).lower())


async def finish_deletions(cloud: Cloud) -> None:
    """Carry on the deletions an earlier process had acknowledged."""
    for _, group in cloud.store.items(GROUPS):
        if group["properties"]["provisioningState"] == "Deleting":
            await empty_and_forget(cloud, group["name"])


async def list_group_resources(request: Request) -> Response:
    cloud, name = cloud_of(request), request.path_params["group"]
    found = [_summary(item) for kind in RESOURCE_KINDS for item in in_group(cloud, kind, name)]
    return collection(_filtered(found, request.query_params.get("$filter", "")))


async def list_resources(request: Request) -> Response:
    store = cloud_of(request).store
    found = [_summary(item) for kind in RESOURCE_KINDS for _, item in store.items(kind)]
    return collection(_filtered(found, request.query_params.get("$filter", "")))


def _check_update(existing: Document | None, location: str) -> None:
    if existing is None:
        return
    name = existing["name"]
    if existing["properties"]["provisioningState"] == "Deleting":
        message = f"The resource group '{name}' is being deleted."
        raise ArmError(409, "ResourceGroupBeingDeleted", message)
    if existing["location"] != location:
        message = (
            f"Invalid resource group location '{location}'. The resource group '{name}' "
            f"already exists in location '{existing['location']}'."
        )
        raise ArmError(409, "InvalidResourceGroupLocation", message)


def _summary(item: Document) -> Document:
    names = ("id", "name", "type", "kind", "location", "tags", "sku", "identity")
    respelt = {name: item[name].replace(OWN_SPELLING, LISTED_SPELLING) for name in ("id", "type")}
    return {name: item[name] for name in names if name in item} | respelt


def _group_of(item: Document) -> str:
    return item["id"].split("/")[4].lower()


def _filtered(found: list[Document], text: str) -> list[Document]:
    """Apply a $filter of `eq` terms joined by `and`; any other is refused rather than ignored."""
    terms = {name.lower(): value for name, value in FILTER.findall(text)}
    if FILTER.sub("", text).replace("and", "").strip():
        raise ArmError(400, "InvalidFilterInQueryString", f"Invalid $filter '{text}'.")
    return [item for item in found if _matches(item, terms)]


def _matches(item: Document, terms: dict[str, str]) -> bool:
    tags = item.get("tags") or {}
    if "tagname" in terms and terms["tagname"] not in tags:
        return False
    if "tagvalue" in terms and tags.get(terms.get("tagname", "")) != terms["tagvalue"]:
        return False
    if "resourcegroup" in terms and _group_of(item) != terms["resourcegroup"].lower():
        return False
    if "resourcetype" in terms and item["type"].lower() != terms["resourcetype"].lower():
        return False
    return all(item[name] == terms[name] for name in ("name", "location") if name in terms)


ROUTES = [
    ArmRoute(SUBSCRIPTION + "/resourceGroups", list_groups),
    ArmRoute(GROUP, head_group, "HEAD", new_group=True),
    ArmRoute(GROUP, put_group, "PUT", new_group=True),
    ArmRoute(GROUP, get_group),
    ArmRoute(GROUP, patch_group, "PATCH"),
    ArmRoute(GROUP, delete_group, "DELETE"),
    ArmRoute(GROUP + "/resources", list_group_resources),
    ArmRoute(SUBSCRIPTION + "/resources", list_resources),
    ArmRoute(SUBSCRIPTION + "/operationresults/{operation}", get_operation_result),
]
