"""What all Resource Manager routes share: authentication, errors, ids and the shape of answers."""

import json
import re
import uuid
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NoReturn, cast

import jwt
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mc_assets.local_cloud.azure.cloud import Cloud
from mc_assets.local_cloud.azure.kinds import GROUPS, PROVIDERS
from mc_assets.local_cloud.azure.operations import FAILED, RUNNING
from mc_assets.local_cloud.store import Document, DocumentStore

Endpoint = Callable[[Request], Awaitable[Response]]

SUBSCRIPTION = "/subscriptions/{subscription}"
GROUP = SUBSCRIPTION + "/resourceGroups/{group}"
# azure-core takes a Retry-After of 0 for none at all, and then waits 30 s.
RETRY_AFTER = {"Retry-After": "1"}


class ArmError(Exception):
    """An error answer; source: the Resource Manager error contract, {"error": {code, message}}."""

    def __init__(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers


class ArmRoute(Route):
    """A route whose path is matched in any letter case, behind the checks of Resource Manager."""

    def __init__(self, path: str, endpoint: Endpoint, *methods: str, new_group: bool = False):
        super().__init__(path, _guarded(endpoint, new_group), methods=list(methods) or ["GET"])
        self.path_regex = re.compile(self.path_regex.pattern, re.IGNORECASE)


def cloud_of(request: Request) -> Cloud:
    return cast(Cloud, request.app.state.cloud)


def error_response(_: Request, error: Exception) -> Response:
    """The handler of ArmError for the whole application."""
    arm = cast(ArmError, error)
    body = {"error": {"code": arm.code, "message": arm.message, "details": []}}
    return JSONResponse(body, arm.status, arm.headers)


def authenticate(request: Request) -> None:
    """Demand a bearer token of ours.

    Raises:
        ArmError: 401, with the header that names the authority.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        _unauthenticated(request, "AuthenticationFailed", "The 'Authorization' header is missing.")
    try:
        cloud_of(request).tokens.verify(token)
    except jwt.ExpiredSignatureError:
        _unauthenticated(request, "ExpiredAuthenticationToken", "The access token has expired.")
    except jwt.InvalidTokenError:
        _unauthenticated(request, "InvalidAuthenticationToken", "The access token is invalid.")


async def json_body(request: Request) -> Document:
    raw = await request.body()
    try:
        body = json.loads(raw or b"{}")
    except ValueError as error:
        message = f"The request content was invalid and could not be deserialized: {error}."
        raise ArmError(400, "InvalidRequestContent", message) from error
    if not isinstance(body, dict):
        raise ArmError(400, "InvalidRequestContent", "The request content must be a JSON object.")
    return body


def group_id(cloud: Cloud, name: str) -> str:
    return f"/subscriptions/{cloud.credentials.subscription_id}/resourceGroups/{name}"


def provider_id(request: Request, namespace: str, *names: str) -> str:
    """The id of a resource in the request's group: names alternate type and name."""
    group = find_group(cloud_of(request), request.path_params["group"])
    return "/".join([group["id"], "providers", namespace, *names])


def find_group(cloud: Cloud, name: str) -> Document:
    group = cloud.store.get(GROUPS, group_id(cloud, name).lower())
    if group is None:
        message = f"Resource group '{name}' could not be found."
        raise ArmError(404, "ResourceGroupNotFound", message)
    return group


def find(store: DocumentStore, kind: str, resource_id: str) -> Document:
    document = store.get(kind, resource_id.lower())
    if document is None:
        raise not_found(resource_id)
    return document


def not_found(resource_id: str) -> ArmError:
    group, _, resource = resource_id.partition("/providers/")
    message = (
        f"The Resource '{resource}' under resource group '{group.rpartition('/')[2]}' "
        "was not found."
    )
    return ArmError(404, "ResourceNotFound", message)


def writable_group(request: Request, namespace: str) -> Document:
    """The request's group, if a resource of the namespace may be written into it now."""
    cloud = cloud_of(request)
    group = find_group(cloud, request.path_params["group"])
    if group["properties"]["provisioningState"] == "Deleting":
        message = f"The resource group '{group['name']}' is being deleted."
        raise ArmError(409, "ResourceGroupBeingDeleted", message)
    state = cloud.store.get(PROVIDERS, namespace.lower()) or {}
    if state.get("registrationState") == "NotRegistered":
        # Clients read the namespace out of the single quotes to register it by themselves.
        message = f"The subscription is not registered to use namespace '{namespace}'."
        raise ArmError(409, "MissingSubscriptionRegistration", message)
    return group


def in_group(cloud: Cloud, kind: str, group: str) -> list[Document]:
    prefix = f"{group_id(cloud, group)}/".lower()
    return [document for _, document in cloud.store.items(kind, prefix)]


def collection(values: Iterable[Any]) -> Response:
    return JSONResponse({"value": list(values)})


def tags_of(body: Document) -> dict[str, str]:
    tags = body.get("tags") or {}
    if not isinstance(tags, dict) or len(tags) > 50:
        raise ArmError(400, "InvalidTagValue", "Tags must be an object of at most 50 names.")
    return {str(name): str(value) for name, value in tags.items()}


def accepted(request: Request, operation: str, under: str) -> Response:
    """202 with the address to poll, which is all that clients of today's API get."""
    cloud = cloud_of(request)
    version = request.query_params["api-version"]
    location = f"{cloud.url}{under}/operationresults/{operation}?api-version={version}"
    return Response(status_code=202, headers={"Location": location, **RETRY_AFTER})


async def get_operation_result(request: Request) -> Response:
    operation = cloud_of(request).operations.get(request.path_params["operation"])
    if operation is None:
        raise ArmError(404, "NotFound", "There is no such operation.")
    if operation["status"] == RUNNING:
        headers = {"Location": str(request.url), **RETRY_AFTER}
        return Response(status_code=202, headers=headers)
    if operation["status"] == FAILED:
        raise ArmError(409, **operation["error"])
    result = operation.get("result")
    return Response(status_code=200) if result is None else JSONResponse(result)


def _guarded(endpoint: Endpoint, new_group: bool) -> Endpoint:
    async def answer(request: Request) -> Response:
        authenticate(request)
        _check_query(request)
        _check_scope(request, new_group)
        response = await endpoint(request)
        response.headers["x-ms-request-id"] = str(uuid.uuid4())
        return response

    return answer


def _check_query(request: Request) -> None:
    if not request.query_params.get("api-version"):
        message = "The api-version query parameter (?api-version=) is required for all requests."
        raise ArmError(400, "MissingApiVersionParameter", message)


def _check_scope(request: Request, new_group: bool) -> None:
    cloud = cloud_of(request)
    subscription = request.path_params.get("subscription")
    if subscription and subscription.lower() != cloud.credentials.subscription_id.lower():
        message = f"The subscription '{subscription}' could not be found."
        raise ArmError(404, "SubscriptionNotFound", message)
    group = request.path_params.get("group")
    if group and not new_group:
        find_group(cloud, group)


def _unauthenticated(request: Request, code: str, message: str) -> NoReturn:
    tokens = cloud_of(request).tokens
    authority = f"{tokens.url}/{tokens.credentials.tenant_id}"
    challenge = f'Bearer authorization_uri="{authority}", error="invalid_token"'
    raise ArmError(401, code, message, {"WWW-Authenticate": challenge})
