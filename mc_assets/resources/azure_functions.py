"""Azure's control plane as the graph uses it: ensure the function apps, swap, read keys."""

import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dagster as dg

from mc_assets.hosting import (
    CONFIGURED_TAG,
    Hosting,
    app_settings,
    configuration,
    merged_settings,
    plan_body,
    role_assignment,
    site_body,
    storage_body,
)
from mc_assets.ownership import OWNER_TAG, current_run, is_owned, owner_of
from mc_assets.resources.azure_failures import azure_failures_named
from mc_assets.target import CloudTarget, azure_credential

REGISTRATION_SECONDS = 300
PROVIDERS = ("Microsoft.Web", "Microsoft.Storage")
ROLE_ASSIGNMENT_API = "2022-04-01"


@dataclass(frozen=True, slots=True)
class FunctionApp:
    """A function app, or one slot of it, as Resource Manager last described it."""

    group: str
    name: str
    slot: str | None
    url: str
    scm_url: str
    is_flex: bool
    configuration: str

    @property
    def label(self) -> str:
        return f"{self.name}/{self.slot}" if self.slot else self.name


class AzureFunctions(dg.ConfigurableResource):
    """Function apps by azure-mgmt-*: every step is an idempotent create-or-update.

    Resources of the same name that are not ours are refused, never adopted: Azure's create is an
    update for whatever is there already.
    """

    target: dg.ResourceDependency[CloudTarget]
    polling_interval: int = 1
    # Of each answer. azure-core's own five minutes, four times over, look like a hang.
    answer_seconds: int = 120

    @cached_property
    def credential(self) -> Any:
        _ = self.target.connection
        return azure_credential()

    @cached_property
    def web(self) -> Any:
        from azure.mgmt.web import WebSiteManagementClient

        return WebSiteManagementClient(**self._client_arguments())

    @cached_property
    def resources(self) -> Any:
        from azure.mgmt.resource.resources import ResourceManagementClient

        return ResourceManagementClient(**self._client_arguments())

    @cached_property
    def storage(self) -> Any:
        from azure.mgmt.storage import StorageManagementClient

        return StorageManagementClient(**self._client_arguments())

    def scm_token(self) -> str:
        """A bearer token that SCM sites accept: Resource Manager's audience."""
        with azure_failures_named("a token for the SCM sites"):
            return self.credential.get_token(self._scope()).token

    def ensure_group(self, hosting: Hosting) -> None:
        """Have the resource group and the providers; refuse a group that is not ours."""
        with azure_failures_named(f"resource group {hosting.group_name}"):
            for namespace in PROVIDERS:
                self._ensure_registered(namespace)
            if self.own_group(hosting) is None:
                body = self._tagged(hosting, hosting.app_name, {"location": hosting.location})
                self.resources.resource_groups.create_or_update(hosting.group_name, body)

    def ensure_app(self, hosting: Hosting, name: str) -> FunctionApp:
        """Have the function app with its plan and storage, locked down; as Azure has it now.

        An app whose tag says that it is as wanted is only locked down again.
        """
        self.ensure_group(hosting)
        with azure_failures_named(f"function app {name}"):
            app = self.find_app(hosting, name)
            if app is None or app.configuration != configuration(hosting, name):
                self._configure_app(hosting, name, app)
            policy = {"properties": {"allow": False}}
            self.web.web_apps.update_scm_allowed(hosting.group_name, name, policy)
            self.web.web_apps.update_ftp_allowed(hosting.group_name, name, policy)
            return _as_app(hosting, self.web.web_apps.get(hosting.group_name, name), None)

    def ensure_slot(self, hosting: Hosting, name: str, slot: str) -> FunctionApp:
        """Have a slot of the app, locked down; as Azure has it now."""
        with azure_failures_named(f"slot {name}/{slot}"):
            found = self.find_app(hosting, name, slot)
            if found is None or found.configuration != configuration(hosting, f"{name}-{slot}"):
                self._configure_slot(hosting, name, slot, found)
            policy = {"properties": {"allow": False}}
            self.web.web_apps.update_scm_allowed_slot(hosting.group_name, name, slot, policy)
            self.web.web_apps.update_ftp_allowed_slot(hosting.group_name, name, slot, policy)
            return _as_app(
                hosting, self.web.web_apps.get_slot(hosting.group_name, name, slot), slot
            )

    def find_app(self, hosting: Hosting, name: str, slot: str | None = None) -> FunctionApp | None:
        """The app or slot as Azure has it now, or None.

        Raises:
            dagster.Failure: an app of that name is there, but not ours.
        """
        from azure.core.exceptions import ResourceNotFoundError

        apps = self.web.web_apps
        with azure_failures_named(f"slot {name}/{slot}" if slot else f"function app {name}"):
            try:
                site = (
                    apps.get_slot(hosting.group_name, name, slot)
                    if slot
                    else apps.get(hosting.group_name, name)
                )
            except ResourceNotFoundError:
                return None
        _refuse_foreign("function app", name, site.tags, hosting)
        return _as_app(hosting, site, slot)

    def url_of(self, group: str, name: str) -> str:
        """The app's own address, out of any slot."""
        with azure_failures_named(f"function app {name}"):
            return f"https://{self.web.web_apps.get(group, name).properties.default_host_name}"

    def function_names(self, app: FunctionApp) -> list[str]:
        """Have Azure read the app's functions anew; their names, none if it cannot be imported."""
        with azure_failures_named(f"functions of {app.label}"):
            self._sync_triggers(app)
            apps = self.web.web_apps
            found = (
                apps.list_instance_functions_slot(app.group, app.name, app.slot)
                if app.slot
                else apps.list_functions(app.group, app.name)
            )
            return sorted(function.name.rpartition("/")[2] for function in found)

    def function_key(self, group: str, name: str, slot: str | None) -> str:
        """The app's default host key: opens every function-level function, nothing else."""
        apps = self.web.web_apps
        with azure_failures_named(f"keys of {name}"):
            keys = (
                apps.list_host_keys_slot(group, name, slot)
                if slot
                else apps.list_host_keys(group, name)
            )
        key = (keys.function_keys or {}).get("default")
        if key is None:
            raise dg.Failure(
                f"{name} has no function key named default, which its checks call it with: `az "
                f"functionapp keys set -g {group} -n {name} --key-type functionKeys --key-name "
                "default` makes one.",
                allow_retries=False,
            )
        return key

    def swap(self, app: FunctionApp) -> None:
        """Exchange a slot with production."""
        with azure_failures_named(f"swap of {app.label}"):
            self.web.web_apps.begin_swap_slot_with_production(
                app.group, app.name, {"targetSlot": app.slot, "preserveVnet": True}
            ).result()

    def own_group(self, hosting: Hosting) -> Any:
        """The model's resource group as Azure has it now, or None.

        Raises:
            dagster.Failure: a group of that name is there, but not ours.
        """
        from azure.core.exceptions import ResourceNotFoundError

        try:
            group = self.resources.resource_groups.get(hosting.group_name)
        except ResourceNotFoundError:
            return None
        _refuse_foreign("resource group", hosting.group_name, group.tags, hosting)
        return group

    def _sync_triggers(self, app: FunctionApp) -> None:
        from azure.core.exceptions import HttpResponseError

        apps = self.web.web_apps
        try:
            if app.slot:
                apps.sync_function_triggers_slot(app.group, app.name, app.slot)
            else:
                apps.sync_function_triggers(app.group, app.name)
        except HttpResponseError as error:
            # The service answers 200 where its own specification, and so the SDK, has 204.
            if error.status_code != 200:
                raise

    def _ensure_storage(self, hosting: Hosting) -> Any:
        body = self._tagged(hosting, hosting.app_name, storage_body(hosting))
        return self.storage.storage_accounts.begin_create(
            hosting.group_name, hosting.storage_name, body
        ).result()

    def _ensure_container(self, hosting: Hosting, storage: Any, app: str) -> str:
        name = hosting.container_name(app)
        self.storage.blob_containers.create(hosting.group_name, hosting.storage_name, name, {})
        return f"{storage.primary_endpoints.blob}{name}"

    def _connection_string(self, hosting: Hosting) -> str | None:
        if hosting.is_flex:
            return None
        keys = self.storage.storage_accounts.list_keys(hosting.group_name, hosting.storage_name)
        key = keys.keys_property[0].value
        account = self.storage.storage_accounts.get_properties(
            hosting.group_name, hosting.storage_name
        )
        suffix = account.primary_endpoints.blob.split(".blob.")[-1].rstrip("/")
        return (
            f"DefaultEndpointsProtocol=https;AccountName={hosting.storage_name};"
            f"AccountKey={key};EndpointSuffix={suffix}"
        )

    def _allow_own_storage(self, hosting: Hosting, storage: Any, site: Any) -> None:
        if hosting.is_flex:
            resource_id, body = role_assignment(hosting, storage.id, site.identity.principal_id)
            self.resources.resources.begin_create_or_update_by_id(
                resource_id, body, api_version=ROLE_ASSIGNMENT_API
            ).result()

    def _configure_app(self, hosting: Hosting, name: str, existing: FunctionApp | None) -> None:
        storage = self._ensure_storage(hosting)
        # Where apps share a plan it serves users, whichever of them is made first.
        body = self._tagged(
            hosting, name if hosting.is_flex else hosting.app_name, plan_body(hosting)
        )
        plan = self.web.app_service_plans.begin_create_or_update(
            hosting.group_name, hosting.plan_name(name), body
        ).result()
        settings = app_settings(hosting, name, self._connection_string(hosting))
        if existing is not None:
            current = self.web.web_apps.list_application_settings(hosting.group_name, name)
            settings = merged_settings(current.properties or {}, settings)
        container = self._ensure_container(hosting, storage, name)
        body = self._tagged(hosting, name, site_body(hosting, name, plan.id, settings, container))
        site = self.web.web_apps.begin_create_or_update(hosting.group_name, name, body).result()
        self._allow_own_storage(hosting, storage, site)
        self._mark_configured(site.id, configuration(hosting, name))

    def _configure_slot(
        self, hosting: Hosting, name: str, slot: str, existing: FunctionApp | None
    ) -> None:
        apps, label = self.web.web_apps, f"{name}-{slot}"
        plan_id = apps.get(hosting.group_name, name).properties.server_farm_id
        settings = app_settings(hosting, label, self._connection_string(hosting))
        if existing is not None:
            current = apps.list_application_settings_slot(hosting.group_name, name, slot)
            settings = merged_settings(current.properties or {}, settings)
        body = self._tagged(hosting, label, site_body(hosting, label, plan_id, settings, ""))
        site = apps.begin_create_or_update_slot(hosting.group_name, name, slot, body).result()
        self._mark_configured(site.id, configuration(hosting, label))

    def _tagged(self, hosting: Hosting, app: str, body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "tags": hosting.tags_of(app, current_run(self))}

    def _ensure_registered(self, namespace: str) -> None:
        """Registering takes a minute or more, and nothing of the namespace can be made before."""
        deadline = time.monotonic() + REGISTRATION_SECONDS
        if self.resources.providers.get(namespace).registration_state == "Registered":
            return
        self.resources.providers.register(namespace)
        while self.resources.providers.get(namespace).registration_state != "Registered":
            if time.monotonic() > deadline:
                raise dg.Failure(
                    f"The provider {namespace} was not registered within {REGISTRATION_SECONDS} s. "
                    f"Watch it with `az provider show -n {namespace}`, then run again."
                )
            time.sleep(2)

    def _mark_configured(self, resource_id: str, value: str) -> None:
        self.resources.tags.begin_update_at_scope(
            resource_id, {"operation": "Merge", "properties": {"tags": {CONFIGURED_TAG: value}}}
        ).result()

    def _client_arguments(self) -> dict[str, Any]:
        connection = self.target.connection
        return {
            "credential": self.credential,
            "subscription_id": connection.subscription_id,
            "base_url": connection.resource_manager_url,
            "credential_scopes": [self._scope()],
            "polling_interval": self.polling_interval,
            "read_timeout": self.answer_seconds,
        }

    def _scope(self) -> str:
        return f"{self.target.connection.resource_manager_url}/.default"


def _as_app(hosting: Hosting, site: Any, slot: str | None) -> FunctionApp:
    hosts = {state.host_type: state.name for state in site.properties.host_name_ssl_states}
    return FunctionApp(
        group=hosting.group_name,
        name=site.name.partition("/")[0],
        slot=slot,
        url=f"https://{site.properties.default_host_name}",
        scm_url=f"https://{hosts['Repository']}",
        is_flex=hosting.is_flex,
        configuration=(site.tags or {}).get(CONFIGURED_TAG, ""),
    )


def _refuse_foreign(kind: str, name: str, tags: dict[str, str] | None, hosting: Hosting) -> None:
    if not is_owned(tags, hosting.model):
        found = (tags or {}).get(OWNER_TAG)
        raise dg.Failure(
            f"There is a {kind} named {name} already that is not ours: its tag {OWNER_TAG} is "
            f"{found!r}, not {owner_of(hosting.model)!r}. Choose another name in defs.yaml, or "
            "delete it.",
            allow_retries=False,
        )
