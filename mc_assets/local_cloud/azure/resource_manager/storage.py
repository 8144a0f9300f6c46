"""Microsoft.Storage: accounts, their keys and their blob containers; the control plane alone."""

import re
import secrets
from base64 import b64encode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mc_assets.local_cloud.azure.clock import timestamp
from mc_assets.local_cloud.azure.cloud import Cloud
from mc_assets.local_cloud.azure.kinds import ACCOUNTS, CONTAINERS, STORAGE_KEYS
from mc_assets.local_cloud.azure.resource_manager.arm import (
    GROUP,
    SUBSCRIPTION,
    ArmError,
    ArmRoute,
    accepted,
    cloud_of,
    collection,
    find,
    get_operation_result,
    in_group,
    json_body,
    not_found,
    provider_id,
    tags_of,
    writable_group,
)
from mc_assets.local_cloud.azure.resource_manager.locations import short_name
from mc_assets.local_cloud.store import Document, DocumentStore

NAMESPACE = "Microsoft.Storage"
ACCOUNT_NAME = re.compile(r"[a-z0-9]{3,24}")
CONTAINER_NAME = re.compile(r"(?!.*--)[a-z0-9$][a-z0-9-]{1,61}[a-z0-9]")
SKUS = frozenset(
    f"Standard_{kind}" for kind in ("LRS", "GRS", "RAGRS", "ZRS", "GZRS", "RAGZRS")
) | {"Premium_LRS", "Premium_ZRS"}


async def check_name(request: Request) -> Response:
    name = str((await json_body(request)).get("name", ""))
    if not ACCOUNT_NAME.fullmatch(name):
        return _unavailable("AccountNameInvalid", f"{name} is not a valid storage account name.")
    if _owner(cloud_of(request).store, name):
        return _unavailable("AlreadyExists", f"The storage account named {name} is already taken.")
    return JSONResponse({"nameAvailable": True})


async def put_account(request: Request) -> Response:
    cloud, name = cloud_of(request), request.path_params["account"]
    body = await json_body(request)
    writable_group(request, NAMESPACE)
    location, sku = short_name(body.get("location")), _sku(body)
    account_id = provider_id(request, NAMESPACE, "storageAccounts", name)
    existing = _check_name(cloud.store, name, account_id, location)
    account = existing or _new_account(cloud, account_id, name, location)
    account |= {"sku": sku, "kind": body.get("kind", "StorageV2"), "tags": tags_of(body)}
    account["properties"] |= body.get("properties") or {}
    _save(cloud.store, account)
    if existing:
        return JSONResponse(account)
    operation = cloud.operations.succeeded(account)
    under = f"{_base(cloud)}/providers/{NAMESPACE}/locations/{location}"
    response = accepted(request, operation, under)
    response.headers["Content-Type"] = "text/plain; charset=utf-8"
    return response


async def patch_account(request: Request) -> Response:
    cloud, account, body = cloud_of(request), _account(request), await json_body(request)
    if "tags" in body:
        account["tags"] = tags_of(body)
    if "sku" in body:
        account["sku"] = _sku(body)
    account["properties"] |= body.get("properties") or {}
    _save(cloud.store, account)
    return JSONResponse(account)


async def get_account(request: Request) -> Response:
    return JSONResponse(_account(request))


async def list_group_accounts(request: Request) -> Response:
    return collection(in_group(cloud_of(request), ACCOUNTS, request.path_params["group"]))


async def list_accounts(request: Request) -> Response:
    return collection(account for _, account in cloud_of(request).store.items(ACCOUNTS))


async def remove_account(request: Request) -> Response:
    cloud = cloud_of(request)
    account_id = _account_id(request)
    if cloud.store.get(ACCOUNTS, account_id.lower()) is None:
        return Response(status_code=204)
    delete_account(cloud, account_id)
    return Response(status_code=200)


async def list_keys(request: Request) -> Response:
    account = _account(request)
    return JSONResponse(cloud_of(request).store.get(STORAGE_KEYS, account["id"].lower()))


async def regenerate_key(request: Request) -> Response:
    store, account = cloud_of(request).store, _account(request)
    name = str((await json_body(request)).get("keyName"))
    keys = find(store, STORAGE_KEYS, account["id"])
    if name not in [key["keyName"] for key in keys["keys"]]:
        raise ArmError(400, "InvalidKeyName", f"The account has no key named '{name}'.")
    renewed = [_new_key(name) if key["keyName"] == name else key for key in keys["keys"]]
    store.put(STORAGE_KEYS, account["id"].lower(), {"keys": renewed})
    return JSONResponse({"keys": renewed})


async def put_container(request: Request) -> Response:
    store, account = cloud_of(request).store, _account(request)
    name = request.path_params["container"]
    if not CONTAINER_NAME.fullmatch(name):
        raise ArmError(400, "InvalidResourceName", f"'{name}' is no name for a blob container.")
    container_id = f"{account['id']}/blobServices/default/containers/{name}"
    existing = store.get(CONTAINERS, container_id.lower())
    properties = (await json_body(request)).get("properties") or {}
    container = {
        "id": container_id,
        "name": name,
        "type": "Microsoft.Storage/storageAccounts/blobServices/containers",
        "properties": {"publicAccess": "None", **properties},
    }
    store.put(CONTAINERS, container_id.lower(), container)
    return JSONResponse(container, 200 if existing else 201)


async def get_container(request: Request) -> Response:
    return JSONResponse(find(cloud_of(request).store, CONTAINERS, _container_id(request)))


async def list_containers(request: Request) -> Response:
    prefix = f"{_account(request)['id']}/".lower()
    found = cloud_of(request).store.items(CONTAINERS, prefix)
    return collection(container for _, container in found)


async def remove_container(request: Request) -> Response:
    existed = cloud_of(request).store.delete(CONTAINERS, _container_id(request).lower())
    return Response(status_code=200 if existed else 204)


def delete_account(cloud: Cloud, account_id: str) -> None:
    key = account_id.lower()
    with cloud.store.transaction():
        for container, _ in cloud.store.items(CONTAINERS, f"{key}/"):
            cloud.store.delete(CONTAINERS, container)
        cloud.store.delete(STORAGE_KEYS, key)
        cloud.store.delete(ACCOUNTS, key)


def _save(store: DocumentStore, account: Document) -> None:
    key = account["id"].lower()
    with store.transaction():
        if store.get(STORAGE_KEYS, key) is None:
            store.put(STORAGE_KEYS, key, {"keys": [_new_key("key1"), _new_key("key2")]})
        store.put(ACCOUNTS, key, account)


def _new_key(name: str) -> Document:
    value = b64encode(secrets.token_bytes(64)).decode()
    return {
        "keyName": name,
        "value": value,
        "permissions": "FULL",
        "creationTime": timestamp(),
    }


def _new_account(cloud: Cloud, account_id: str, name: str, location: str) -> Document:
    services = ("blob", "queue", "table", "file", "dfs", "web")
    return {
        "id": account_id,
        "name": name,
        "type": "Microsoft.Storage/storageAccounts",
        "location": location,
        "properties": {
            "provisioningState": "Succeeded",
            "creationTime": timestamp(),
            "primaryLocation": location,
            "statusOfPrimary": "available",
            "primaryEndpoints": {
                service: f"{cloud.url}/storage/{name}/{service}/" for service in services
            },
            "publicNetworkAccess": "Enabled",
            "networkAcls": {"defaultAction": "Allow", "bypass": "AzureServices"},
            "supportsHttpsTrafficOnly": True,
            "minimumTlsVersion": "TLS1_2",
            "allowBlobPublicAccess": False,
        },
    }


def _sku(body: Document) -> Document:
    name = (body.get("sku") or {}).get("name")
    if name not in SKUS:
        raise ArmError(400, "InvalidAccountType", f"The account type '{name}' is invalid.")
    return {"name": name, "tier": name.partition("_")[0]}


def _check_name(store: DocumentStore, name: str, account_id: str, location: str) -> Document | None:
    if not ACCOUNT_NAME.fullmatch(name):
        message = (
            f"{name} is not a valid storage account name: it must be 3 to 24 characters, "
            "lower-case letters and digits only."
        )
        raise ArmError(400, "AccountNameInvalid", message)
    owner = _owner(store, name)
    if owner and owner["id"].lower() != account_id.lower():
        message = f"The storage account named {name} is already taken."
        raise ArmError(409, "StorageAccountAlreadyTaken", message)
    if owner and owner["location"] != location:
        message = f"The resource '{name}' already exists in location '{owner['location']}'."
        raise ArmError(409, "InvalidResourceLocation", message)
    return owner


def _owner(store: DocumentStore, name: str) -> Document | None:
    owners = (account for _, account in store.items(ACCOUNTS) if account["name"] == name)
    return next(owners, None)


def _unavailable(reason: str, message: str) -> Response:
    return JSONResponse({"nameAvailable": False, "reason": reason, "message": message})


def _base(cloud: Cloud) -> str:
    return f"/subscriptions/{cloud.credentials.subscription_id}"


def _account_id(request: Request) -> str:
    return provider_id(request, NAMESPACE, "storageAccounts", request.path_params["account"])


def _account(request: Request) -> Document:
    return find(cloud_of(request).store, ACCOUNTS, _account_id(request))


def _container_id(request: Request) -> str:
    container = request.path_params["container"]
    if cloud_of(request).store.get(ACCOUNTS, _account_id(request).lower()) is None:
        raise not_found(_account_id(request))
    return f"{_account_id(request)}/blobServices/default/containers/{container}"


STORAGE = SUBSCRIPTION + "/providers/Microsoft.Storage"
IN_GROUP = GROUP + "/providers/Microsoft.Storage/storageAccounts"
ACCOUNT = IN_GROUP + "/{account}"
BLOBS = ACCOUNT + "/blobServices/default/containers"
CONTAINER = BLOBS + "/{container}"

ROUTES = [
    ArmRoute(STORAGE + "/checkNameAvailability", check_name, "POST"),
    ArmRoute(STORAGE + "/storageAccounts", list_accounts),
    ArmRoute(STORAGE + "/locations/{location}/operationresults/{operation}", get_operation_result),
    ArmRoute(IN_GROUP, list_group_accounts),
    ArmRoute(ACCOUNT, put_account, "PUT"),
    ArmRoute(ACCOUNT, patch_account, "PATCH"),
    ArmRoute(ACCOUNT, get_account),
    ArmRoute(ACCOUNT, remove_account, "DELETE"),
    ArmRoute(ACCOUNT + "/listKeys", list_keys, "POST"),
    ArmRoute(ACCOUNT + "/regenerateKey", regenerate_key, "POST"),
    ArmRoute(BLOBS, list_containers),
    ArmRoute(CONTAINER, put_container, "PUT"),
    ArmRoute(CONTAINER, get_container),
    ArmRoute(CONTAINER, remove_container, "DELETE"),
]
