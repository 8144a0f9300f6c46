"""The functionAppConfig of an app on Flex Consumption."""

from mc_assets.local_cloud.azure.resource_manager.arm import ArmError
from mc_assets.local_cloud.store import Document

# How instances are replaced; the first unless the app says so. Here either way lets calls end that
# are being answered, and no two versions answer at a time.
SITE_UPDATES = ("Recreate", "RollingUpdate")


def checked_flex(config: Document | None) -> Document:
    """What the app is asked to be, its defaults filled in.

    Raises:
        ArmError: it does not say where its packages go and what runs them, or names an update
            strategy that there is not.
    """
    given = config or {}
    storage = (given.get("deployment") or {}).get("storage") or {}
    runtime = given.get("runtime") or {}
    if not storage.get("value") or storage.get("type", "").lower() != "blobcontainer":
        message = "Site.FunctionAppConfig.Deployment.Storage must name a blob container."
        raise ArmError(400, "BadRequest", message)
    if runtime.get("name") != "python" or not runtime.get("version"):
        message = "Site.FunctionAppConfig.Runtime must be python with a version."
        raise ArmError(400, "BadRequest", message)
    return given | {"siteUpdateStrategy": {"type": _site_update(given)}}


def _site_update(given: Document) -> str:
    wanted = str((given.get("siteUpdateStrategy") or {}).get("type") or SITE_UPDATES[0])
    for known in SITE_UPDATES:
        if known.lower() == wanted.lower():
            return known
    message = (
        f"Site.FunctionAppConfig.SiteUpdateStrategy.Type '{wanted}' is not one of "
        f"{', '.join(SITE_UPDATES)}."
    )
    raise ArmError(400, "BadRequest", message)
