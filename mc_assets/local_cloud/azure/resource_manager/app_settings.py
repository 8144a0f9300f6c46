"""The configuration of an app or slot: settings, site config, logs, metadata, policies."""

from xml.etree import ElementTree as ET

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mc_assets.local_cloud.azure.resource_manager.app_routes import (
    APP,
    app_and_slot,
    config_resource,
    save,
    site_of,
)
from mc_assets.local_cloud.azure.resource_manager.arm import (
    ArmError,
    ArmRoute,
    cloud_of,
    collection,
    json_body,
)
from mc_assets.local_cloud.azure.sites import FLEX, STICKY_NAMES, scm_name, site_host, tier
from mc_assets.local_cloud.store import Document

# What Flex Consumption has taken over into functionAppConfig, and refuses as a setting.
NOT_ON_FLEX = frozenset(
    (
        "ENABLE_ORYX_BUILD",
        "FUNCTIONS_EXTENSION_VERSION",
        "FUNCTIONS_WORKER_RUNTIME",
        "SCM_DO_BUILD_DURING_DEPLOYMENT",
        "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING",
        "WEBSITE_CONTENTSHARE",
        "WEBSITE_RUN_FROM_PACKAGE",
    )
)
CONFIG_DEFAULTS = {
    "numberOfWorkers": 1,
    "linuxFxVersion": "",
    "alwaysOn": False,
    "http20Enabled": False,
    "minTlsVersion": "1.2",
    "scmMinTlsVersion": "1.2",
    "ftpsState": "FtpsOnly",
    "use32BitWorkerProcess": False,
    "remoteDebuggingEnabled": False,
}
LOG_DEFAULTS = {
    "applicationLogs": {"fileSystem": {"level": "Off"}},
    "httpLogs": {"fileSystem": {"enabled": False, "retentionInMb": 35, "retentionInDays": None}},
    "failedRequestsTracing": {"enabled": False},
    "detailedErrorMessages": {"enabled": False},
}


async def list_settings(request: Request) -> Response:
    site = site_of(request)
    return JSONResponse(config_resource(site, "appsettings", site["settings"]))


async def put_settings(request: Request) -> Response:
    """Replace all settings, and restart the app with the new ones before answering."""
    body, site = await json_body(request), site_of(request)
    settings = _strings(body.get("properties") or {})
    check_settings(settings, tier(cloud_of(request).store, site))
    save(request, site | {"settings": settings})
    await cloud_of(request).hosting.activate(site["id"])
    return JSONResponse(config_resource(site, "appsettings", settings))


async def list_connection_strings(request: Request) -> Response:
    return JSONResponse(config_resource(site_of(request), "connectionstrings", {}))


async def put_connection_strings(request: Request) -> Response:
    """Takes an empty set alone, as clients write it that copy a configuration to a slot."""
    _refuse_connection_strings((await json_body(request)).get("properties"))
    return await list_connection_strings(request)


async def get_config(request: Request) -> Response:
    site = site_of(request)
    return JSONResponse(config_resource(site, "web", site_config(site)))


async def put_config(request: Request) -> Response:
    """Write the parts of the site config that are sent; settings within them replace all others."""
    given, settings = read_site_config((await json_body(request)).get("properties"))
    site = site_of(request)
    if settings is not None:
        site["settings"] = settings
        check_settings(settings, tier(cloud_of(request).store, site))
    site["config"] |= given
    save(request, site)
    await cloud_of(request).hosting.activate(site["id"])
    return JSONResponse(config_resource(site, "web", site_config(site)))


async def get_logs(request: Request) -> Response:
    site = site_of(request)
    return JSONResponse(config_resource(site, "logs", LOG_DEFAULTS | site["logs"]))


async def put_logs(request: Request) -> Response:
    given = (await json_body(request)).get("properties") or {}
    site = site_of(request)
    save(request, site | {"logs": site["logs"] | given})
    return JSONResponse(config_resource(site, "logs", LOG_DEFAULTS | site["logs"] | given))


async def list_metadata(request: Request) -> Response:
    site = site_of(request)
    return JSONResponse(config_resource(site, "metadata", site["metadata"]))


async def put_metadata(request: Request) -> Response:
    metadata = _strings((await json_body(request)).get("properties") or {})
    site = save(request, site_of(request) | {"metadata": metadata})
    return JSONResponse(config_resource(site, "metadata", metadata))


async def get_sticky_names(request: Request) -> Response:
    site = site_of(request)
    return JSONResponse(config_resource(site, "slotConfigNames", site["sticky"]))


async def put_sticky_names(request: Request) -> Response:
    given = (await json_body(request)).get("properties") or {}
    sticky = {name: given.get(name) for name in STICKY_NAMES}
    site = save(request, site_of(request) | {"sticky": sticky})
    return JSONResponse(config_resource(site, "slotConfigNames", sticky))


async def list_publishing_credentials(request: Request) -> Response:
    site = site_of(request)
    user, password = f"${scm_name(site)}", site["publishing_password"]
    base = cloud_of(request).url.removeprefix("https://")
    properties = {
        "publishingUserName": user,
        "publishingPassword": password,
        "scmUri": f"https://{user}:{password}@{base}/scm/{scm_name(site)}",
    }
    return JSONResponse(config_resource(site, "publishingcredentials", properties))


async def list_publishing_profiles(request: Request) -> Response:
    """The credentials once more, as the XML that desktop tools read."""
    site = site_of(request)
    host = cloud_of(request).url.removeprefix("https://")
    profiles = ET.Element("publishData")
    for method in ("MSDeploy", "ZipDeploy"):
        attributes = {
            "profileName": f"{scm_name(site)} - {method}",
            "publishMethod": method,
            "publishUrl": f"{host}/scm/{scm_name(site)}",
            "userName": f"${scm_name(site)}",
            "userPWD": site["publishing_password"],
            "destinationAppUrl": f"https://{site_host(site)}",
        }
        ET.SubElement(profiles, "publishProfile", attributes)
    return Response(ET.tostring(profiles), media_type="application/xml")


async def list_policies(request: Request) -> Response:
    site = site_of(request)
    return collection(_policy(site, name) for name in site["policies"])


async def get_policy(request: Request) -> Response:
    return JSONResponse(_policy(site_of(request), request.path_params["policy"].lower()))


async def put_policy(request: Request) -> Response:
    given = (await json_body(request)).get("properties") or {}
    site, name = site_of(request), request.path_params["policy"].lower()
    _policy(site, name)
    if not isinstance(given.get("allow"), bool):
        raise ArmError(400, "BadRequest", "The policy needs properties.allow, true or false.")
    site["policies"][name] = given["allow"]
    save(request, site)
    return JSONResponse(_policy(site, name))


def site_config(site: Document) -> Document:
    """The site config with its defaults; settings, which hold secrets, are read on their own."""
    given = {name: value for name, value in site["config"].items() if value is not None}
    return CONFIG_DEFAULTS | given


def read_site_config(given: Document | None) -> tuple[Document, dict[str, str] | None]:
    """The parts of a site config that are kept, and the settings within it, None if it has none.

    Raises:
        ArmError: 400, naming what cannot be taken.
    """
    config = dict(given or {})
    _refuse_connection_strings(config.pop("connectionStrings", None))
    listed = config.pop("appSettings", None)
    return config, None if listed is None else _settings_from_list(listed)


def check_settings(settings: dict[str, str], sku: str) -> None:
    """Refuse what the plan refuses.

    Raises:
        ArmError: 400, naming the first setting in the way.
    """
    refused = sorted(NOT_ON_FLEX & settings.keys()) if sku == FLEX else []
    if refused:
        message = (
            f"The following app setting (Site.SiteConfig.AppSettings.{refused[0]}) for Flex "
            "Consumption sites is invalid. Please remove or rename it before retrying."
        )
        raise ArmError(400, "BadRequest", message)


def _settings_from_list(listed: object) -> dict[str, str]:
    """[{name, value}, ...] as site bodies carry settings -> {name: value}."""
    if not isinstance(listed, list) or not all(isinstance(pair, dict) for pair in listed):
        raise ArmError(400, "BadRequest", "siteConfig.appSettings must list names and values.")
    return _strings({pair.get("name"): pair.get("value") for pair in listed})


def _refuse_connection_strings(given: object) -> None:
    if given:
        message = (
            "This cloud keeps no connection strings: use app settings, as functions read them."
        )
        raise ArmError(400, "BadRequest", message)


def _strings(given: object) -> dict[str, str]:
    if not isinstance(given, dict) or not all(isinstance(name, str) and name for name in given):
        raise ArmError(400, "BadRequest", "Settings must be an object with non-empty names.")
    wrong = [name for name, value in given.items() if not isinstance(value, str | None)]
    if wrong:
        raise ArmError(400, "BadRequest", f"The setting '{wrong[0]}' must be a string.")
    return {name: value for name, value in given.items() if value is not None}


def _policy(site: Document, name: str) -> Document:
    if name not in site["policies"]:
        raise ArmError(404, "NotFound", f"There is no publishing credentials policy '{name}'.")
    return {
        "id": f"{site['id']}/basicPublishingCredentialsPolicies/{name}",
        "name": name,
        "type": f"{site['type']}/basicPublishingCredentialsPolicies",
        "location": site["location"],
        "properties": {"allow": site["policies"][name]},
    }


POLICIES = "/basicPublishingCredentialsPolicies"

ROUTES = [
    *app_and_slot("/config/appsettings/list", list_settings, "POST"),
    *app_and_slot("/config/appsettings", put_settings, "PUT"),
    *app_and_slot("/config/connectionstrings/list", list_connection_strings, "POST"),
    *app_and_slot("/config/connectionstrings", put_connection_strings, "PUT"),
    *app_and_slot("/config/web", get_config),
    *app_and_slot("/config/web", put_config, "PUT", "PATCH"),
    *app_and_slot("/config/logs", get_logs),
    *app_and_slot("/config/logs", put_logs, "PUT"),
    *app_and_slot("/config/metadata/list", list_metadata, "POST"),
    *app_and_slot("/config/metadata", put_metadata, "PUT"),
    *app_and_slot("/config/publishingcredentials/list", list_publishing_credentials, "POST"),
    ArmRoute(APP + "/config/slotConfigNames", get_sticky_names),
    ArmRoute(APP + "/config/slotConfigNames", put_sticky_names, "PUT"),
    *app_and_slot("/publishxml", list_publishing_profiles, "POST"),
    *app_and_slot(POLICIES, list_policies),
    *app_and_slot(POLICIES + "/{policy}", get_policy),
    *app_and_slot(POLICIES + "/{policy}", put_policy, "PUT"),
]
