"""Functions of an app or slot, the keys that open them, and the request to read them anew."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mc_assets.local_cloud.azure.function_host import FunctionInfo
from mc_assets.local_cloud.azure.resource_manager.app_routes import app_and_slot, save, site_of
from mc_assets.local_cloud.azure.resource_manager.arm import (
    ArmError,
    cloud_of,
    collection,
    json_body,
    not_found,
)
from mc_assets.local_cloud.azure.sites import new_key, site_host
from mc_assets.local_cloud.store import Document

KEY_TYPES = {"functionkeys": "host", "systemkeys": "system"}


async def list_functions(request: Request) -> Response:
    site = site_of(request)
    return collection(_resource(request, site, info) for info in _functions(request, site))


async def get_function(request: Request) -> Response:
    site = site_of(request)
    return JSONResponse(_resource(request, site, _function(request, site)))


async def list_function_keys(request: Request) -> Response:
    site = site_of(request)
    name = _function(request, site).name
    return JSONResponse(site["keys"]["function"].get(name, {}))


async def list_function_secrets(request: Request) -> Response:
    site = site_of(request)
    info = _function(request, site)
    key = site["keys"]["function"].get(info.name, {}).get("default", "")
    return JSONResponse(
        {"key": key, "trigger_url": f"{_invoke_url(request, site, info)}?code={key}"}
    )


async def put_function_key(request: Request) -> Response:
    value = await _chosen_key(request)
    site = site_of(request)
    keys = site["keys"]["function"].setdefault(_function(request, site).name, {})
    return _put_key(request, site, keys, value)


async def delete_function_key(request: Request) -> Response:
    site = site_of(request)
    keys = site["keys"]["function"].get(_function(request, site).name, {})
    return _delete_key(request, site, keys)


async def list_host_keys(request: Request) -> Response:
    keys = site_of(request)["keys"]
    return JSONResponse(
        {
            "masterKey": keys["master"],
            "functionKeys": keys["host"],
            "systemKeys": keys["system"],
        }
    )


async def put_host_key(request: Request) -> Response:
    value = await _chosen_key(request)
    site = site_of(request)
    if request.path_params["type"].lower() == "masterkey":
        site["keys"]["master"] = value
        _apply(request, site)
        return JSONResponse({"name": "_master", "value": value})
    return _put_key(request, site, _host_keys(request, site), value)


async def delete_host_key(request: Request) -> Response:
    site = site_of(request)
    return _delete_key(request, site, _host_keys(request, site))


async def sync_triggers(request: Request) -> Response:
    # The SDK takes nothing but 204 here.
    site_of(request)
    return Response(status_code=204)


def _put_key(request: Request, site: Document, keys: dict[str, str], value: str) -> Response:
    name = request.path_params["key"]
    known = name in keys
    keys[name] = value
    _apply(request, site)
    body = {"name": name, "value": value}
    return JSONResponse(body | {"properties": body}, 200 if known else 201)


def _delete_key(request: Request, site: Document, keys: dict[str, str]) -> Response:
    name = request.path_params["key"]
    if keys.pop(name, None) is None:
        raise not_found(f"{site['id']}/keys/{name}")
    _apply(request, site)
    return Response(status_code=204)


def _apply(request: Request, site: Document) -> None:
    cloud_of(request).hosting.refresh_keys(save(request, site))


async def _chosen_key(request: Request) -> str:
    """The value a client chose, bare or under properties by API version; else one of ours."""
    body = await json_body(request)
    value: Any = (body.get("properties") or body).get("value")
    if value is not None and not (isinstance(value, str) and value):
        raise ArmError(400, "BadRequest", "A key's value must be a non-empty string.")
    return value or new_key()


def _host_keys(request: Request, site: Document) -> dict[str, str]:
    kind = request.path_params["type"].lower()
    if kind not in KEY_TYPES:
        raise ArmError(400, "BadRequest", f"'{kind}' is no type of host key.")
    return site["keys"][KEY_TYPES[kind]]


def _functions(request: Request, site: Document) -> tuple[FunctionInfo, ...]:
    index = cloud_of(request).hosting.index(site)
    return index.functions if index else ()


def _function(request: Request, site: Document) -> FunctionInfo:
    name = request.path_params["function"]
    for info in _functions(request, site):
        if info.name.lower() == name.lower():
            return info
    raise not_found(f"{site['id']}/functions/{name}")


def _invoke_url(request: Request, site: Document, info: FunctionInfo) -> str:
    prefix = cloud_of(request).hosting.route_prefix(site)
    path = f"{prefix}/{info.route.lstrip('/')}".lstrip("/")
    return f"https://{site_host(site)}/{path}"


def _resource(request: Request, site: Document, info: FunctionInfo) -> Document:
    admin = f"https://{site_host(site)}/admin/functions/{info.name}"
    return {
        "id": f"{site['id']}/functions/{info.name}",
        "name": f"{site['name']}/{info.name}",
        "type": f"{site['type']}/functions",
        "location": site["location"],
        "properties": {
            "name": info.name,
            "function_app_id": site["id"],
            "script_href": f"https://{site_host(site)}/admin/vfs/{info.script_file}",
            "config_href": None,
            "href": admin,
            "config": {
                "name": info.name,
                "scriptFile": info.script_file,
                "bindings": list(info.bindings),
            },
            "language": "python",
            "isDisabled": info.is_disabled,
            "invoke_url_template": _invoke_url(request, site, info) if info.is_http else None,
            "test_data": "",
            "files": None,
        },
    }


FUNCTION = "/functions/{function}"

ROUTES = [
    *app_and_slot("/functions", list_functions),
    *app_and_slot(FUNCTION, get_function),
    *app_and_slot(FUNCTION + "/listkeys", list_function_keys, "POST"),
    *app_and_slot(FUNCTION + "/listsecrets", list_function_secrets, "POST"),
    *app_and_slot(FUNCTION + "/keys/{key}", put_function_key, "PUT"),
    *app_and_slot(FUNCTION + "/keys/{key}", delete_function_key, "DELETE"),
    *app_and_slot("/host/default/listkeys", list_host_keys, "POST"),
    *app_and_slot("/host/default/sync", sync_triggers, "POST"),
    *app_and_slot("/host/default/listsyncstatus", sync_triggers, "POST"),
    *app_and_slot("/syncfunctiontriggers", sync_triggers, "POST"),
    *app_and_slot("/host/default/{type}/{key}", put_host_key, "PUT"),
    *app_and_slot("/host/default/{type}/{key}", delete_host_key, "DELETE"),
]
