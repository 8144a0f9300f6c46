"""Azure's control plane as the graph uses it: ensure the function apps, swap, read keys, delete."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import dagster as dg

from mc_assets.hosting import (
    CONFIGURED_TAG,
    OWNER_TAG,
    Hosting,
    app_settings,
    plan_body,
    role_assignment,
    site_body,
    storage_body,
)
from mc_assets.target import CloudTarget

PROVIDERS = ("Microsoft.Web", "Microsoft.Storage")
ROLE_ASSIGNMENT_API = "2022-04-01"
# Hosts whose issuers azure-identity knows; any other is asked for directly.
PUBLIC_AUTHORITIES = frozenset(
    {"login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn"}
)


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

    @cached_property
    def credential(self) -> Any:
        """azure-identity's default chain: environment, workload or managed identity, Azure CLI."""
        import os

        from azure.identity import DefaultAzureCredential

        _ = self.target.connection
        authority = urlsplit(os.environ.get("AZURE_AUTHORITY_HOST", "")).hostname
        unknown = authority is not None and authority not in PUBLIC_AUTHORITIES
        return DefaultAzureCredential(disable_instance_discovery=unknown)

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
        return self.credential.get_token(self._scope()).token

    def ensure_group(self, hosting: Hosting) -> None:
        """Have the resource group and the providers; refuse a group that is not ours."""
        with _failures_named(f"resource group {hosting.group_name}"):
            for namespace in PROVIDERS:
                if self.resources.providers.get(namespace).registration_state != "Registered":
                    self.resources.providers.register(namespace)
            if self._own_group(hosting) is None:
                self.resources.resource_groups.create_or_update(
                    hosting.group_name, {"location": hosting.location, "tags": hosting.all_tags}
                )

    def ensure_app(self, hosting: Hosting, name: str) -> FunctionApp:
        """Have the function app with its plan and storage, locked down; as Azure has it now."""
        self.ensure_group(hosting)
        with _failures_named(f"function app {name}"):
            existing = self.find_app(hosting, name)
            if existing is not None and existing.configuration == hosting.configuration:
                return existing
            storage = self._ensure_storage(hosting)
            plan = self.web.app_service_plans.begin_create_or_update(
                hosting.group_name, hosting.plan_name(name), plan_body(hosting)
            ).result()
            settings = app_settings(hosting, name, self._connection_string(hosting))
            body = site_body(
                hosting, plan.id, settings, self._ensure_container(hosting, storage, name)
            )
            site = self.web.web_apps.begin_create_or_update(hosting.group_name, name, body).result()
            self._allow_own_storage(hosting, storage, site)
            self._forbid_basic_auth(hosting, name)
            self._mark_configured(hosting, site.id)
            return _as_app(hosting, self.web.web_apps.get(hosting.group_name, name), None)

    def ensure_slot(self, hosting: Hosting, name: str, slot: str) -> FunctionApp:
        """Have a slot of the app; the slot as Azure has it now."""
        with _failures_named(f"slot {name}/{slot}"):
            existing = self.find_app(hosting, name, slot)
            if existing is not None and existing.configuration == hosting.configuration:
                return existing
            live = self.web.web_apps.get(hosting.group_name, name)
            settings = app_settings(hosting, f"{name}-{slot}", self._connection_string(hosting))
            body = site_body(hosting, live.properties.server_farm_id, settings, "")
            self.web.web_apps.begin_create_or_update_slot(
                hosting.group_name, name, slot, body
            ).result()
            policy = {"properties": {"allow": False}}
            self.web.web_apps.update_scm_allowed_slot(hosting.group_name, name, slot, policy)
            self.web.web_apps.update_ftp_allowed_slot(hosting.group_name, name, slot, policy)
            found = self.web.web_apps.get_slot(hosting.group_name, name, slot)
            self._mark_configured(hosting, found.id)
            found = self.web.web_apps.get_slot(hosting.group_name, name, slot)
            return _as_app(hosting, found, slot)

    def find_app(self, hosting: Hosting, name: str, slot: str | None = None) -> FunctionApp | None:
        """The app or slot as Azure has it now, or None.

        Raises:
            dagster.Failure: an app of that name is there, but not ours.
        """
        from azure.core.exceptions import ResourceNotFoundError

        apps = self.web.web_apps
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

    def function_names(self, app: FunctionApp) -> list[str]:
        """The functions Azure found in the app, sorted; none if it cannot be imported."""
        apps = self.web.web_apps
        found = (
            apps.list_instance_functions_slot(app.group, app.name, app.slot)
            if app.slot
            else apps.list_functions(app.group, app.name)
        )
        return sorted(function.name.rpartition("/")[2] for function in found)

    def sync_triggers(self, app: FunctionApp) -> None:
        """Have Azure read the app's functions anew."""
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

    def function_key(self, group: str, name: str, slot: str | None) -> str:
        """The app's default host key: opens every function-level function, nothing else."""
        apps = self.web.web_apps
        with _failures_named(f"keys of {name}"):
            keys = (
                apps.list_host_keys_slot(group, name, slot)
                if slot
                else apps.list_host_keys(group, name)
            )
            return keys.function_keys["default"]

    def swap(self, app: FunctionApp) -> None:
        """Exchange a slot with production."""
        with _failures_named(f"swap of {app.label}"):
            self.web.web_apps.begin_swap_slot_with_production(
                app.group, app.name, {"targetSlot": app.slot, "preserveVnet": True}
            ).result()

    def delete_group(self, hosting: Hosting) -> list[str]:
        """Delete the resource group and all in it; what it held, empty when there was no group."""
        with _failures_named(f"resource group {hosting.group_name}"):
            group = self._own_group(hosting)
            if group is None:
                return []
            held = sorted(
                f"{resource.type} {resource.name}"
                for resource in self.resources.resources.list_by_resource_group(hosting.group_name)
            )
            self.resources.resource_groups.begin_delete(hosting.group_name).result()
            return [*held, f"Microsoft.Resources/resourceGroups {hosting.group_name}"]

    def _own_group(self, hosting: Hosting) -> Any:
        from azure.core.exceptions import ResourceNotFoundError

        try:
            group = self.resources.resource_groups.get(hosting.group_name)
        except ResourceNotFoundError:
            return None
        _refuse_foreign("resource group", hosting.group_name, group.tags, hosting)
        return group

    def _ensure_storage(self, hosting: Hosting) -> Any:
        return self.storage.storage_accounts.begin_create(
            hosting.group_name, hosting.storage_name, storage_body(hosting)
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

    def _forbid_basic_auth(self, hosting: Hosting, name: str) -> None:
        policy = {"properties": {"allow": False}}
        self.web.web_apps.update_scm_allowed(hosting.group_name, name, policy)
        self.web.web_apps.update_ftp_allowed(hosting.group_name, name, policy)

    def _mark_configured(self, hosting: Hosting, resource_id: str) -> None:
        tags = {CONFIGURED_TAG: hosting.configuration}
        self.resources.tags.begin_update_at_scope(
            resource_id, {"operation": "Merge", "properties": {"tags": tags}}
        ).result()

    def _client_arguments(self) -> dict[str, Any]:
        connection = self.target.connection
        return {
            "credential": self.credential,
            "subscription_id": connection.subscription_id,
            "base_url": connection.resource_manager_url,
            "credential_scopes": [self._scope()],
            "polling_interval": self.polling_interval,
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
    wanted = hosting.all_tags[OWNER_TAG]
    found = (tags or {}).get(OWNER_TAG)
    if found != wanted:
        raise dg.Failure(
            f"There is a {kind} named {name} already that is not ours: its tag {OWNER_TAG} is "
            f"{found!r}, not {wanted!r}. Choose another name in defs.yaml, or delete it.",
            allow_retries=False,
        )


@contextmanager
def _failures_named(what: str) -> Iterator[None]:
    """Azure's own message, with what it was about; a refusal by the client is not worth a retry."""
    from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

    try:
        yield
    except ClientAuthenticationError as error:
        raise dg.Failure(
            f"Azure did not accept the credentials for {what}: {error.message}",
            allow_retries=False,
        ) from error
    except HttpResponseError as error:
        raise dg.Failure(
            f"Azure refused {what}: {error.message}",
            allow_retries=error.status_code in {408, 429} or (error.status_code or 500) >= 500,
        ) from error
    except AzureError as error:
        raise dg.Failure(f"Azure could not be reached for {what}: {error.message}") from error
