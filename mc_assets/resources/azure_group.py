"""The model's resource group on Azure: what is in it, whose that is, and how it is deleted."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dagster as dg

from mc_assets.hosting import Hosting
from mc_assets.ownership import is_owned
from mc_assets.resources.azure_failures import azure_failures_named
from mc_assets.resources.azure_functions import AzureFunctions

SLOTS = "Microsoft.Web/sites/slots"
SITES = "Microsoft.Web/sites"
PLANS = "Microsoft.Web/serverfarms"
ACCOUNTS = "Microsoft.Storage/storageAccounts"
# An app goes before the plan it is on: Azure refuses to delete a plan with apps.
ORDER = (SLOTS, SITES, PLANS, ACCOUNTS)
DELETION_SECONDS = 1800

Log = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing in the group, as Resource Manager lists it."""

    type: str
    name: str
    tags: dict[str, str]

    def __str__(self) -> str:
        return f"{self.type} {self.name}"

    @property
    def app(self) -> str:
        """Of a slot, the app it belongs to."""
        return self.name.partition("/")[0]


@dataclass(frozen=True, slots=True)
class ResourceGroup:
    """One model's group; whatever in it does not carry the model's owner tag is left alone."""

    azure: AzureFunctions
    hosting: Hosting

    @property
    def name(self) -> str:
        return self.hosting.group_name

    def resources(self) -> list[Resource]:
        """Everything in the group, if it is there, in the order in which it can be deleted."""
        from azure.core.exceptions import ResourceNotFoundError

        with azure_failures_named(f"the content of resource group {self.name}"):
            try:
                found = list(self.azure.resources.resources.list_by_resource_group(self.name))
            except ResourceNotFoundError:
                return []
        held = [Resource(_spelt(each.type), each.name, dict(each.tags or {})) for each in found]
        return sorted(held, key=lambda each: (_place(each), each.name))

    def plans_by_app(self) -> dict[str, str]:
        """Which plan each app in the group is on; all names in small letters."""
        from azure.core.exceptions import ResourceNotFoundError

        with azure_failures_named(f"the apps of resource group {self.name}"):
            try:
                apps = list(self.azure.web.web_apps.list_by_resource_group(self.name))
            except ResourceNotFoundError:
                return {}
        return {
            app.name.lower(): app.properties.server_farm_id.rpartition("/")[2].lower()
            for app in apps
        }

    def slots_of(self, app: Resource, among: list[Resource]) -> list[Resource]:
        """The app's slots among these: its deletion takes them with it."""
        if app.type != SITES:
            return []
        return [
            each for each in among if each.type == SLOTS and each.app.lower() == app.name.lower()
        ]

    def is_ours(self, resource: Resource) -> bool:
        return is_owned(resource.tags, self.hosting.model)

    def delete(self, resource: Resource) -> None:
        """Delete one thing; one that is gone already is as good."""
        from azure.core.exceptions import ResourceNotFoundError

        with azure_failures_named(f"the deletion of {resource}"):
            try:
                self._delete(resource)
            except ResourceNotFoundError:
                return

    def delete_all(self, log: Log) -> list[str]:
        """Delete all that is ours, and the group unless others have something in it.

        Can be begun again wherever it stopped.

        Returns:
            what was deleted; nothing when there is no group.

        Raises:
            dagster.Failure: something of ours is still there; says what.
        """
        with azure_failures_named(f"resource group {self.name}"):
            group = self.azure.own_group(self.hosting)
        if group is None:
            return []
        held = self.resources()
        if group.properties.provisioning_state == "Deleting":
            log(f"{self.name} was being deleted already. Left of it: {_listed(held)}.")
        foreign = [resource for resource in held if not self.is_ours(resource)]
        try:
            if foreign:
                log(
                    f"{self.name} holds what is not ours, which stays, and so does the group: "
                    f"{_listed(foreign)}."
                )
                return self._delete_each([each for each in held if self.is_ours(each)], foreign)
            log(f"Deleting {self.name} with all in it: {_listed(held)}.")
            self._delete_group()
        except dg.Failure as failure:
            left = [resource for resource in self.resources() if self.is_ours(resource)]
            raise dg.Failure(
                f"{failure.description} Still there in {self.name}: {_listed(left)}. Run the "
                "teardown again: it goes on from there.",
                allow_retries=failure.allow_retries,
            ) from failure
        return [*map(str, held), f"Microsoft.Resources/resourceGroups {self.name}"]

    def _delete_group(self) -> None:
        from azure.core.exceptions import ResourceNotFoundError

        with azure_failures_named(f"the deletion of resource group {self.name}"):
            try:
                deletion = self.azure.resources.resource_groups.begin_delete(self.name)
                deletion.wait(DELETION_SECONDS)
            except ResourceNotFoundError:
                return
        if not deletion.done():
            raise dg.Failure(
                f"Azure has not finished deleting {self.name} within {DELETION_SECONDS} s.",
                allow_retries=False,
            )

    def _delete_each(self, ours: list[Resource], foreign: list[Resource]) -> list[str]:
        deleted, problems, worth_a_retry = [], [], True
        for resource in ours:
            try:
                self._require_alone(resource, foreign)
                self.delete(resource)
            except dg.Failure as failure:
                problems.append(str(failure.description))
                worth_a_retry = worth_a_retry and failure.allow_retries
            else:
                deleted.append(str(resource))
        if problems:
            raise dg.Failure(" ".join(problems), allow_retries=worth_a_retry)
        return deleted

    def _require_alone(self, resource: Resource, foreign: list[Resource]) -> None:
        theirs = self.slots_of(resource, foreign)
        if theirs:
            raise dg.Failure(
                f"{resource} was not deleted: {_listed(theirs)} would go with it, and is not ours.",
                allow_retries=False,
            )

    def _delete(self, resource: Resource) -> Any:
        apps, group = self.azure.web.web_apps, self.name
        if resource.type == SLOTS:
            app, _, slot = resource.name.partition("/")
            # Never the plan with its last app: it goes, or stays, for its own reasons.
            return apps.delete_slot(group, app, slot, delete_empty_server_farm=False)
        if resource.type == SITES:
            return apps.delete(group, resource.name, delete_empty_server_farm=False)
        if resource.type == PLANS:
            return self.azure.web.app_service_plans.delete(group, resource.name)
        if resource.type == ACCOUNTS:
            return self.azure.storage.storage_accounts.delete(group, resource.name)
        raise dg.Failure(
            f"{resource} is of a kind that is never made here: delete it by hand.",
            allow_retries=False,
        )


def _spelt(kind: Any) -> str:
    """A type as it is spelt here: a group's list says `Microsoft.Web/serverFarms` of what calls
    itself `Microsoft.Web/serverfarms` (azure-cli issue 23938)."""
    return next((known for known in ORDER if known.lower() == kind.lower()), kind)


def _place(resource: Resource) -> int:
    return ORDER.index(resource.type) if resource.type in ORDER else len(ORDER)


def _listed(resources: list[Resource]) -> str:
    return ", ".join(map(str, resources)) or "nothing"
