"""Roles and their assignments: kept and answered, but nothing is allowed or refused by them."""

import re

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
DEFINITIONS = "/{scope:path}/providers/Microsoft.Authorization/roleDefinitions"
# source: Microsoft Learn, "Azure built-in roles": those that a function app's identity is given.
ROLES = {
    "Owner": "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
    "Contributor": "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "Reader": "acdd72a7-3385-48ef-bd42-f606fba81ae7",
    "Storage Account Contributor": "17d1049b-9a84-46fb-8f53-869881c3d3ab",
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Storage Blob Data Reader": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    "Storage Queue Data Contributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "Website Contributor": "de139f84-1756-47ae-9be6-808fbbe84772",
}
ROLE_NAME = re.compile(r"roleName eq '([^']*)'")


async def put_assignment(request: Request) -> Response:
    """201 for a new one; another assignment of the same role to the same principal is refused."""
    store, scope = cloud_of(request).store, f"/{request.path_params['scope']}"
    resource_at(cloud_of(request), scope)
    given = (await json_body(request)).get("properties") or {}
    for name in ("roleDefinitionId", "principalId"):
        if not given.get(name):
            message = f"The role assignment's property '{name}' is missing."
            raise ArmError(400, "InvalidRequestContent", message)
    identity = _id(request)
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
    return JSONResponse(find(cloud_of(request).store, ROLE_ASSIGNMENTS, _id(request)))


async def list_assignments(request: Request) -> Response:
    return collection(_at(request))


async def delete_assignment(request: Request) -> Response:
    found = cloud_of(request).store.delete(ROLE_ASSIGNMENTS, _id(request).lower())
    return Response(status_code=200 if found else 204)


async def list_definitions(request: Request) -> Response:
    """All roles, or the one that a $filter names."""
    text = request.query_params.get("$filter", "")
    wanted = ROLE_NAME.fullmatch(text)
    if text and not wanted:
        raise ArmError(400, "InvalidFilterInQueryString", f"Invalid $filter '{text}'.")
    names = [name for name in ROLES if wanted is None or name == wanted[1]]
    return collection(_definition(request, name) for name in names)


def _definition(request: Request, name: str) -> Document:
    role = ROLES[name]
    subscription = cloud_of(request).credentials.subscription_id
    parent = f"/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions"
    return {
        "id": f"{parent}/{role}",
        "name": role,
        "type": "Microsoft.Authorization/roleDefinitions",
        "properties": {"roleName": name, "type": "BuiltInRole", "assignableScopes": ["/"]},
    }


def _name(request: Request) -> str:
    return request.path_params["name"]


def _id(request: Request) -> str:
    scope, name = request.path_params["scope"], _name(request)
    return f"/{scope}/providers/Microsoft.Authorization/roleAssignments/{name}"


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
    ArmRoute(DEFINITIONS, list_definitions),
]
