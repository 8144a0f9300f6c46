"""What Azure is asked to create for one model: names, plans and Resource Manager's bodies."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from mc_assets.ownership import RETENTION_DAYS, ownership_tags

PlanKind = Literal["flex_consumption", "consumption", "premium"]
PLAN_KINDS: tuple[PlanKind, ...] = get_args(PlanKind)
SiteUpdateStrategy = Literal["rolling_update", "recreate"]

# Written last: an app without it, or with another value, is not yet as defs.yaml wants it.
CONFIGURED_TAG = "mc-assets-configured"
# Storage Blob Data Owner: what AzureWebJobsStorage by identity needs, and deployments too.
# Source: learn.microsoft.com, "Azure built-in roles" and "Connecting to host storage".
BLOB_DATA_OWNER = "b7e6dc6d-f1e8-4753-8033-0f276bb0955b"

_SKUS: dict[PlanKind, dict[str, Any]] = {
    "flex_consumption": {"name": "FC1", "tier": "FlexConsumption"},
    "consumption": {"name": "Y1", "tier": "Dynamic"},
    "premium": {"name": "EP1", "tier": "ElasticPremium"},
}
# What the function's pinned requirements install on; azure-functions 1.x ends at 3.12, and so does
# Linux Consumption.
RUNTIMES = ("python|3.11", "python|3.12")
FLEX_MEMORY_MB = (512, 2048, 4096)
# As Azure writes them. Recreate, its own default, ends every call that is being answered, and
# nobody is answered until an instance has started; a rolling update drains one batch after another.
# source: learn.microsoft.com, "Site update strategies in Flex Consumption".
SITE_UPDATES: Mapping[SiteUpdateStrategy, str] = {
    "rolling_update": "RollingUpdate",
    "recreate": "Recreate",
}
MAX_APP_NAME = 50

_KEPT_SETTINGS = frozenset({"WEBSITE_CONTENTSHARE", "WEBSITE_RUN_FROM_PACKAGE"})


class HostingError(Exception):
    """A choice of hosting that Azure does not have; its text is the whole message."""


@dataclass(frozen=True)
class Hosting:
    """Where and how one model's function app runs.

    Names that Azure wants unique in the world end in eight digits made from the subscription.
    """

    model: str
    subscription_id: str
    plan: PlanKind = "flex_consumption"
    location: str = "ukwest"
    resource_group: str = ""
    app: str = ""
    runtime: str = "python|3.12"
    instance_memory_mb: int = 2048
    maximum_instances: int = 40
    site_update_strategy: SiteUpdateStrategy = "rolling_update"
    settings: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    retention_days: int = RETENTION_DAYS

    def __post_init__(self) -> None:
        if self.plan not in PLAN_KINDS:
            raise HostingError(f"The plan {self.plan!r} is not one of {', '.join(PLAN_KINDS)}.")
        if self.runtime not in RUNTIMES:
            raise HostingError(f"The runtime {self.runtime!r} is not one of {', '.join(RUNTIMES)}.")
        if self.instance_memory_mb not in FLEX_MEMORY_MB:
            raise HostingError(
                f"Flex Consumption has no instances of {self.instance_memory_mb} MB: "
                f"instance_memory_mb can be {', '.join(map(str, FLEX_MEMORY_MB))}."
            )
        if self.site_update_strategy not in SITE_UPDATES:
            raise HostingError(
                f"The site_update_strategy {self.site_update_strategy!r} is not one of "
                f"{', '.join(SITE_UPDATES)}."
            )
        if len(self.app_name) > MAX_APP_NAME:
            raise HostingError(
                f"The app name {self.app_name} has {len(self.app_name)} characters; Azure's 60 "
                f"leave {MAX_APP_NAME}, with what is put behind it for staging."
            )

    @property
    def python_version(self) -> str:
        return self.runtime.partition("|")[2]

    @property
    def group_name(self) -> str:
        return self.resource_group or f"rg-mc-{self.model}"

    @property
    def app_name(self) -> str:
        return self.app or f"mc-{self.model}-{self._unique}"

    @property
    def staging_app_name(self) -> str:
        return f"{self.app_name}-staging"

    @property
    def storage_name(self) -> str:
        letters = "".join(character for character in self.model if character.isalnum())
        return f"mc{letters[:12]}{self._unique}".lower()

    @property
    def releases_by_slot(self) -> bool:
        """Slots where the plan has them; elsewhere a staging app stands beside the live one.

        Flex Consumption has no slots, and Azure's own texts disagree on Linux Consumption's.
        """
        return self.plan == "premium"

    @property
    def is_flex(self) -> bool:
        return self.plan == "flex_consumption"

    def site_update_of(self, app: str) -> SiteUpdateStrategy:
        """How the app takes a new package. No user calls the staging app, and what is judged there
        must be one version at a time."""
        return "recreate" if app == self.staging_app_name else self.site_update_strategy

    @property
    def versions_overlap(self) -> bool:
        """Whether the version before may still answer a while after the live app was updated."""
        return self.is_flex and self.site_update_strategy == "rolling_update"

    def tags_of(self, app: str, run_id: str) -> dict[str, str]:
        """The tags of what a run makes for an app; a staging app may go again.

        A slot may not: it holds the version before, which a rollback swaps back.
        """
        may_go = app == self.staging_app_name and not self.releases_by_slot
        days = self.retention_days if may_go else None
        return {**self.tags, **ownership_tags(self.model, run_id, days)}

    def plan_name(self, app: str) -> str:
        # Flex takes one app a plan; the others share.
        return f"plan-{app}" if self.is_flex else f"plan-{self.app_name}"

    def container_name(self, app: str) -> str:
        return f"app-package-{app}"[:63]

    @property
    def _unique(self) -> str:
        return hashlib.sha256(self.subscription_id.encode()).hexdigest()[:8]


def plan_body(hosting: Hosting) -> dict[str, Any]:
    """`PUT serverfarms`: Linux is `reserved`."""
    return {
        "location": hosting.location,
        "kind": "functionapp" if hosting.plan != "premium" else "elastic",
        "sku": _SKUS[hosting.plan],
        "properties": {"reserved": True},
    }


def storage_body(hosting: Hosting) -> dict[str, Any]:
    """`PUT storageAccounts`, locked down; shared keys only where the plan has a file share."""
    return {
        "location": hosting.location,
        "kind": "StorageV2",
        "sku": {"name": "Standard_LRS"},
        "properties": {
            "minimumTlsVersion": "TLS1_2",
            "allowBlobPublicAccess": False,
            "allowSharedKeyAccess": not hosting.is_flex,
            "supportsHttpsTrafficOnly": True,
        },
    }


def site_body(
    hosting: Hosting, app: str, plan_id: str, settings: Mapping[str, str], package_container: str
) -> dict[str, Any]:
    """`PUT sites` or `PUT slots`: HTTPS only, TLS 1.2, no FTP, an identity of its own."""
    site_config: dict[str, Any] = {
        "ftpsState": "Disabled",
        "minTlsVersion": "1.2",
        "scmMinTlsVersion": "1.2",
        "http20Enabled": True,
        "appSettings": [{"name": name, "value": value} for name, value in settings.items()],
    }
    properties: dict[str, Any] = {
        "serverFarmId": plan_id,
        "reserved": True,
        "httpsOnly": True,
        "siteConfig": site_config,
    }
    if hosting.is_flex:
        properties["functionAppConfig"] = _flex_config(hosting, app, package_container)
    else:
        site_config["linuxFxVersion"] = f"Python|{hosting.python_version}"
        site_config["use32BitWorkerProcess"] = False
    return {
        "location": hosting.location,
        "kind": "functionapp,linux",
        "identity": {"type": "SystemAssigned"},
        "properties": properties,
    }


def app_settings(
    hosting: Hosting, app: str, storage_connection_string: str | None
) -> dict[str, str]:
    """The settings that the plan needs, then the user's.

    Flex reads its storage by identity; Consumption and Premium mount a file share, which takes the
    account's key.
    """
    settings: dict[str, str] = {}
    if storage_connection_string is None:
        settings["AzureWebJobsStorage__accountName"] = hosting.storage_name
        settings["AzureWebJobsStorage__credential"] = "managedidentity"
    else:
        settings |= {
            "AzureWebJobsStorage": storage_connection_string,
            "FUNCTIONS_EXTENSION_VERSION": "~4",
            "FUNCTIONS_WORKER_RUNTIME": "python",
            "SCM_DO_BUILD_DURING_DEPLOYMENT": "true",
            "ENABLE_ORYX_BUILD": "true",
            "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING": storage_connection_string,
            "WEBSITE_CONTENTSHARE": app[:60].lower(),
        }
    return settings | dict(hosting.settings)


def merged_settings(current: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """The settings to write to an app that is there already: Azure's write replaces all of them.

    What deployments and swaps have put there stays: the build writes the package's address, and a
    swap exchanges the shares, so writing a share's first name again would mount the other slot's.
    """
    kept = {name: value for name, value in current.items() if name in _KEPT_SETTINGS}
    return {**current, **wanted, **kept}


def configuration(hosting: Hosting, app: str) -> str:
    """Twelve digits for all that an app is asked to be, whichever run asks, without its secrets and
    its package."""
    secret = None if hosting.is_flex else ""
    bodies = (
        hosting.tags_of(app, run_id=""),
        plan_body(hosting),
        storage_body(hosting),
        site_body(hosting, app, "", app_settings(hosting, app, secret), ""),
    )
    return hashlib.sha256(json.dumps(bodies, sort_keys=True).encode()).hexdigest()[:12]


def role_assignment(
    hosting: Hosting, storage_id: str, principal_id: str
) -> tuple[str, dict[str, Any]]:
    """Resource id and body of the app's right to its own storage; the id is made from the two, so
    asking twice makes one."""
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"{storage_id}/{principal_id}/{BLOB_DATA_OWNER}")
    definitions = (
        f"/subscriptions/{hosting.subscription_id}/providers/Microsoft.Authorization"
        "/roleDefinitions"
    )
    body = {
        "properties": {
            "roleDefinitionId": f"{definitions}/{BLOB_DATA_OWNER}",
            "principalId": principal_id,
            "principalType": "ServicePrincipal",
        }
    }
    return f"{storage_id}/providers/Microsoft.Authorization/roleAssignments/{name}", body


def _flex_config(hosting: Hosting, app: str, package_container: str) -> dict[str, Any]:
    return {
        "deployment": {
            "storage": {
                "type": "blobContainer",
                "value": package_container,
                "authentication": {"type": "SystemAssignedIdentity"},
            }
        },
        "runtime": {"name": "python", "version": hosting.python_version},
        "scaleAndConcurrency": {
            "maximumInstanceCount": hosting.maximum_instances,
            "instanceMemoryMB": hosting.instance_memory_mb,
        },
        "siteUpdateStrategy": {"type": SITE_UPDATES[hosting.site_update_of(app)]},
    }
