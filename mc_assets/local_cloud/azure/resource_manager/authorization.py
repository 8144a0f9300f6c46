"""Role assignments at a resource: kept and answered, but nothing is allowed or refused by them."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mc_assets.local_cloud.azure.kinds import ROLE_ASSIGNMENTS
from mc_assets.local_cloud.azure.resource_manager.arm import (
    ArmError,
    ArmRoute,
    cloud_of,
    collection,
    find,
    json_body,
)
from mc_assets.local_cloud.azure.resource_manager.tags import resource_at
from mc_assets.local_cloud.store import Document

ASSIGNMENTS = "/{scope:path}/providers/Microsoft.Authorization/roleAssignments"


async def put_assignment(request: Request) -> Response:
    """201 for a new one; another assignment of the same role to the same principal is refused."""
    store, scope = cloud_of(request).store, f"/{request.path_params['scope']}"
    resource_at(cloud_of(request), scope)
    given = (await json_body(request)).get("properties") or {}
    for name in ("roleDefinitionId", "principalId"):
        if not given.get(name):
            message = f"The role assignment's property '{name}' is missing."
            raise ArmError(400, "InvalidRequestContent", message)
    identity = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{_name(request)}"
    existing = store.get(ROLE_ASSIGNMENTS, identity.lower())
    if any(_same(given, other) for other in _at(request) if other["name"] != _name(request)):
        raise ArmError(409, "RoleAssignmentExists", "The role assignment already exists.")
    assignment = {
        "id": identity,
        "name": _name(request),
        "type": "Microsoft.Authorization/roleAssignments",
        "properties": {**given, "scope": scope},
    }
    store.put(ROLE_ASSIGNMENTS, identity.lower(), assignment)
    return JSONResponse(assignment, 200 if existing else 201)


async def get_assignment(request: Request) -> Response:
    return JSONResponse(find(cloud_of(request).store, ROLE_ASSIGNMENTS, request.url.path))


async def list_assignments(request: Request) -> Response:
    return collection(_at(request))


async def delete_assignment(request: Request) -> Response:
    found = cloud_of(request).store.delete(ROLE_ASSIGNMENTS, request.url.path.lower())
    return Response(status_code=200 if found else 204)


def _name(request: Request) -> str:
    return request.path_params["name"]


def _at(request: Request) -> list[Document]:
    prefix = f"/{request.path_params['scope']}/providers/Microsoft.Authorization/".lower()
    return [found for _, found in cloud_of(request).store.items(ROLE_ASSIGNMENTS, prefix)]


def _same(given: Document, other: Document) -> bool:
    return all(
        given[name].lower() == other["properties"][name].lower()
        for name in ("roleDefinitionId", "principalId")
    )


ROUTES = [
    ArmRoute(f"{ASSIGNMENTS}/{{name}}", get_assignment),
    ArmRoute(f"{ASSIGNMENTS}/{{name}}", put_assignment, "PUT"),
    ArmRoute(f"{ASSIGNMENTS}/{{name}}", delete_assignment, "DELETE"),
    ArmRoute(ASSIGNMENTS, list_assignments),
]
