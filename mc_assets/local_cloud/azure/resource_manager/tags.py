"""Tags of any resource: Microsoft.Resources/tags, read and written at a scope."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mc_assets.local_cloud.azure.cloud import Cloud
from mc_assets.local_cloud.azure.kinds import ACCOUNTS, GROUPS, PLANS, SITES
from mc_assets.local_cloud.azure.resource_manager.arm import (
    ArmError,
    ArmRoute,
    cloud_of,
    json_body,
    not_found,
    tags_of,
)
from mc_assets.local_cloud.store import Document

TAGS = "/{scope:path}/providers/Microsoft.Resources/tags/default"


async def get_tags(request: Request) -> Response:
    _, resource = resource_at(cloud_of(request), f"/{request.path_params['scope']}")
    return _answer(resource)


async def put_tags(request: Request) -> Response:
    given = tags_of((await json_body(request)).get("properties") or {})
    return _write(request, "replace", given)


async def patch_tags(request: Request) -> Response:
    body = await json_body(request)
    given = tags_of(body.get("properties") or {})
    return _write(request, str(body.get("operation", "")).lower(), given)


async def delete_tags(request: Request) -> Response:
    _write(request, "replace", {})
    return Response(status_code=200)


def _write(request: Request, operation: str, given: dict[str, str]) -> Response:
    store = cloud_of(request).store
    kind, resource = resource_at(cloud_of(request), f"/{request.path_params['scope']}")
    current = resource.get("tags") or {}
    match operation:
        case "replace":
            resource["tags"] = given
        case "merge":
            resource["tags"] = current | given
        case "delete":
            resource["tags"] = {name: current[name] for name in current.keys() - given.keys()}
        case _:
            message = "The tags operation must be one of Merge, Replace and Delete."
            raise ArmError(400, "InvalidTagsOperation", message)
    store.put(kind, resource["id"].lower(), resource)
    return _answer(resource)


def resource_at(cloud: Cloud, scope: str) -> tuple[str, Document]:
    """Kind and document of the group or resource with this id."""
    for kind in (GROUPS, ACCOUNTS, PLANS, SITES):
        resource = cloud.store.get(kind, scope.lower())
        if resource is not None:
            return kind, resource
    raise not_found(scope)


def _answer(resource: Document) -> Response:
    return JSONResponse(
        {
            "id": f"{resource['id']}/providers/Microsoft.Resources/tags/default",
            "name": "default",
            "type": "Microsoft.Resources/tags",
            "properties": {"tags": resource.get("tags") or {}},
        }
    )


ROUTES = [
    ArmRoute(TAGS, get_tags),
    ArmRoute(TAGS, put_tags, "PUT"),
    ArmRoute(TAGS, patch_tags, "PATCH"),
    ArmRoute(TAGS, delete_tags, "DELETE"),
]
