"""Plans, apps and their settings through azure-mgmt-web."""

from typing import Any

import pytest
from azure_server import WEST, AzureServer

STRINGS = [{"name": "db", "connectionString": "x", "type": "SQLAzure"}]


def test_flex_app_shows_its_plan_and_runtime(azure: AzureServer) -> None:
    app = azure.flex_app("flex", "flex-app")
    assert (app.sku, app.state, app.reserved) == ("FlexConsumption", "Running", True)
    assert app.function_app_config.runtime.version == "3.11"
    assert app.server_farm_id.endswith("/serverfarms/plan-flex-FC1")
    names = {state.host_type: state.name for state in app.host_name_ssl_states}
    assert names["Standard"] == app.default_host_name
    assert names["Repository"].endswith("/scm/flex-app")


def test_flex_refusals(azure: AzureServer) -> None:
    app = azure.flex_app("flexno", "flexno-app")
    apps = azure.web.web_apps
    with pytest.raises(azure.errors.ResourceExistsError, match="number of slots"):
        apps.begin_create_or_update_slot("flexno", "flexno-app", "staging", {"location": WEST})
    settings = {"properties": {"FUNCTIONS_WORKER_RUNTIME": "python"}}
    with pytest.raises(azure.errors.HttpResponseError, match="FUNCTIONS_WORKER_RUNTIME"):
        apps.update_application_settings("flexno", "flexno-app", settings)
    body = {"location": WEST, "kind": "functionapp,linux"}
    second = body | {"properties": {"serverFarmId": app.server_farm_id}}
    with pytest.raises(azure.errors.ResourceExistsError, match="hosts one app"):
        apps.begin_create_or_update("flexno", "flexno-second", second)
    azure.group("flexbare")
    bare = body | {"properties": {"serverFarmId": azure.plan("flexbare", "FC1")}}
    with pytest.raises(azure.errors.HttpResponseError, match=r"Deployment\.Storage"):
        apps.begin_create_or_update("flexbare", "flexbare-app", bare)


def test_flex_tells_how_its_instances_are_replaced(azure: AzureServer) -> None:
    config = azure.flex_app("flexup", "flexup-app").function_app_config.as_dict()
    assert config["siteUpdateStrategy"] == {"type": "Recreate"}

    def change(strategy: str) -> Any:
        update = config | {"siteUpdateStrategy": {"type": strategy}}
        body = {"properties": {"functionAppConfig": update}}
        return azure.web.web_apps.update("flexup", "flexup-app", body)

    site = change("rollingupdate").properties
    assert site.function_app_config.site_update_strategy.type == "RollingUpdate"
    with pytest.raises(azure.errors.HttpResponseError, match="'Canary' is not one of Recreate"):
        change("Canary")


def test_consumption_app_gets_a_plan_of_its_region(azure: AzureServer) -> None:
    azure.group("y1")
    config = {
        "linuxFxVersion": "Python|3.11",
        "appSettings": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
    }
    body = {"location": "ukwest", "kind": "functionapp,linux"}
    body |= {"properties": {"reserved": True, "httpsOnly": True, "siteConfig": config}}
    app = azure.web.web_apps.begin_create_or_update("y1", "y1-app", body).result()
    assert app.sku == "Dynamic"
    assert app.location == "UK West"
    assert app.https_only is True
    plan = azure.web.app_service_plans.get("y1", "UKWestLinuxDynamicPlan")
    assert (plan.sku.tier, plan.sku.name, plan.number_of_sites) == ("Dynamic", "Y1", 1)
    settings = azure.web.web_apps.list_application_settings("y1", "y1-app").properties
    assert settings == {"A": "1", "B": "2"}


def test_names_are_one_for_all_groups(azure: AzureServer) -> None:
    azure.premium_app("own", "single-app")
    web = azure.web
    assert not web.check_name_availability(
        {"name": "SINGLE-app", "type": "Microsoft.Web/sites"}
    ).name_available
    with pytest.raises(azure.errors.ResourceExistsError, match="already exists"):
        azure.premium_app("other", "single-app")
    azure.resource.resource_groups.begin_delete("own").result()
    assert azure.premium_app("other", "single-app").resource_group == "other"


def test_a_put_without_settings_keeps_them(azure: AzureServer) -> None:
    app = azure.premium_app("kept", "kept-app", A="1")
    body = {"location": WEST, "kind": app.kind, "tags": {"owner": "me"}}
    body |= {"properties": {"serverFarmId": app.server_farm_id, "httpsOnly": False}}
    again = azure.web.web_apps.begin_create_or_update("kept", "kept-app", body).result()
    assert again.default_host_name == app.default_host_name
    assert (again.https_only, again.tags) == (False, {"owner": "me"})
    settings = azure.web.web_apps.list_application_settings("kept", "kept-app").properties
    assert settings["A"] == "1"
    patched = azure.web.web_apps.update("kept", "kept-app", {"properties": {"httpsOnly": True}})
    assert (patched.https_only, patched.tags) == (True, {"owner": "me"})


def test_settings_replace_the_whole_dictionary(azure: AzureServer) -> None:
    azure.premium_app("settings", "settings-app", A="1")
    apps = azure.web.web_apps
    written = {"properties": {"C": "3"}}
    assert apps.update_application_settings("settings", "settings-app", written).properties == {
        "C": "3"
    }
    assert azure.scm("GET", "settings-app", "/settings").json() == {"C": "3"}
    path = f"{_site_path(azure, 'settings', 'settings-app')}/config/appsettings"
    reply = azure.arm("PUT", path, json={"properties": {"N": 7}})
    assert (reply.status_code, "'N'" in reply.json()["error"]["message"]) == (400, True)


def test_configuration_parts(azure: AzureServer) -> None:
    azure.premium_app("config", "config-app")
    apps = azure.web.web_apps
    scope = ("config", "config-app")
    hardened = {"properties": {"ftpsState": "Disabled", "minTlsVersion": "1.3"}}
    apps.update_configuration(*scope, hardened)
    config = apps.get_configuration(*scope)
    assert (config.ftps_state, config.min_tls_version) == ("Disabled", "1.3")
    assert config.linux_fx_version == "Python|3.11"
    names = {"properties": {"appSettingNames": ["SLOT"]}}
    apps.update_slot_configuration_names(*scope, names)
    assert apps.list_slot_configuration_names(*scope).app_setting_names == ["SLOT"]
    apps.update_metadata(*scope, {"properties": {"CURRENT_STACK": "python"}})
    assert apps.list_metadata(*scope).properties == {"CURRENT_STACK": "python"}
    level = {"properties": {"applicationLogs": {"fileSystem": {"level": "Warning"}}}}
    apps.update_diagnostic_logs_config(*scope, level)
    logs = apps.get_diagnostic_logs_configuration(*scope)
    assert logs.application_logs.file_system.level == "Warning"


def test_keys_can_be_added_and_taken_away(azure: AzureServer) -> None:
    azure.premium_app("keys", "keys-app")
    apps, scope = azure.web.web_apps, ("keys", "keys-app")
    before = apps.list_host_keys(*scope)
    assert before.master_key != before.function_keys["default"]
    given = {"name": "mine", "value": "chosen"}
    apps.create_or_update_host_secret(*scope, "functionKeys", "mine", given)
    assert apps.list_host_keys(*scope).function_keys["mine"] == "chosen"
    apps.delete_host_secret(*scope, "functionKeys", "mine")
    assert apps.list_host_keys(*scope) == before
    with pytest.raises(azure.errors.ResourceNotFoundError):
        apps.delete_host_secret(*scope, "functionKeys", "mine")


def test_sync_answers_as_the_sdk_wants(azure: AzureServer) -> None:
    azure.premium_app("sync", "sync-app")
    azure.web.web_apps.sync_function_triggers("sync", "sync-app")
    azure.web.web_apps.sync_functions("sync", "sync-app")


def test_plan_and_app_deletion(azure: AzureServer) -> None:
    azure.premium_app("gone", "gone-app")
    plans, apps = azure.web.app_service_plans, azure.web.web_apps
    with pytest.raises(azure.errors.ResourceExistsError, match="gone-app"):
        plans.delete("gone", "plan-gone-EP1")
    apps.delete("gone", "gone-app", delete_empty_server_farm=False)
    assert plans.get("gone", "plan-gone-EP1").number_of_sites == 0
    with pytest.raises(azure.errors.ResourceNotFoundError) as missing:
        apps.get("gone", "gone-app")
    assert missing.value.error.code == "ResourceNotFound"
    azure.premium_app("gone", "gone-app")
    apps.delete("gone", "gone-app")
    assert not list(plans.list_by_resource_group("gone"))


@pytest.mark.parametrize(
    ("name", "change", "code"),
    [
        ("x", {}, "BadRequest"),
        ("-lead", {}, "BadRequest"),
        ("plain-web", {"kind": "app,linux"}, "BadRequest"),
        ("nowhere", {"location": "atlantis"}, "LocationNotAvailableForResourceType"),
        ("planless", {"properties": {"serverFarmId": "none"}}, "ResourceNotFound"),
        ("setting", {"properties": {"siteConfig": {"appSettings": ["A"]}}}, "BadRequest"),
    ],
)
def test_bad_apps(azure: AzureServer, name: str, change: dict[str, Any], code: str) -> None:
    azure.group("badapps")
    body = {"location": WEST, "kind": "functionapp,linux", "properties": {}} | change
    reply = azure.arm("PUT", _site_path(azure, "badapps", name), json=body)
    assert reply.json()["error"]["code"] == code
    assert azure.arm("GET", _site_path(azure, "badapps", name)).status_code == 404


def test_what_the_region_and_runtime_pickers_read(azure: AzureServer) -> None:
    regions = [region.name for region in azure.web.list_geo_regions(sku="Dynamic")]
    assert "West Europe" in regions
    stack = next(iter(azure.web.provider.get_function_app_stacks()))
    minors = stack.major_versions[0].minor_versions
    versions = [minor.value for minor in minors]
    assert versions == ["3.9", "3.10", "3.11", "3.12", "3.13", "3.14"]
    settings = [minor.stack_settings.linux_runtime_settings for minor in minors]
    ends = [each.end_of_life_date and each.end_of_life_date.year for each in settings]
    assert ends == [None, 2026, 2027, 2028, 2029, 2030]


def test_host_names_and_networks_of_an_app(azure: AzureServer) -> None:
    app = azure.premium_app("named", "named-app")
    apps = azure.web.web_apps
    (binding,) = apps.list_host_name_bindings("named", "named-app")
    assert binding.name == f"named-app/{app.default_host_name}"
    assert apps.list_vnet_connections("named", "named-app") == []


def test_connection_strings_are_refused_not_dropped(azure: AzureServer) -> None:
    azure.premium_app("strings", "strings-app")
    apps = azure.web.web_apps
    assert apps.update_connection_strings("strings", "strings-app", {"properties": {}})
    body = {"properties": {"db": {"value": "x", "type": "SQLAzure"}}}
    with pytest.raises(azure.errors.HttpResponseError, match="use app settings"):
        apps.update_connection_strings("strings", "strings-app", body)
    assert not apps.list_connection_strings("strings", "strings-app").properties


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "", {"siteConfig": {"connectionStrings": STRINGS}}),
        ("PATCH", "", {"siteConfig": {"connectionStrings": STRINGS}}),
        ("PUT", "/slots/staging", {"siteConfig": {"connectionStrings": STRINGS}}),
        ("PUT", "/config/web", {"connectionStrings": STRINGS}),
        ("PATCH", "/config/web", {"connectionStrings": STRINGS}),
    ],
)
def test_connection_strings_are_refused_within_a_site_config(
    azure: AzureServer, method: str, path: str, body: dict[str, Any]
) -> None:
    app = azure.premium_app("inner", "inner-app")
    url = _site_path(azure, "inner", "inner-app") + path
    about = {"location": WEST, "kind": app.kind}
    refused = azure.arm(method, url, json=about | {"properties": body})
    assert refused.status_code == 400
    assert "use app settings" in refused.json()["error"]["message"]
    assert (
        azure.arm("GET", _site_path(azure, "inner", "inner-app/slots/staging")).status_code == 404
    )
    empty = azure.arm(
        "PATCH",
        _site_path(azure, "inner", "inner-app"),
        json={"properties": {"siteConfig": {"connectionStrings": []}}},
    )
    assert "connectionStrings" not in empty.json()["properties"]["siteConfig"]


def test_client_certificates_are_refused_not_forgotten(azure: AzureServer) -> None:
    app = azure.premium_app("certs", "certs-app")
    apps = azure.web.web_apps
    required = {"clientCertEnabled": True, "clientCertMode": "Required"}
    with pytest.raises(azure.errors.HttpResponseError, match="asks no caller for a certificate"):
        apps.update("certs", "certs-app", {"properties": required})
    body = {"location": WEST, "kind": app.kind, "properties": required}
    with pytest.raises(azure.errors.HttpResponseError, match="asks no caller for a certificate"):
        apps.begin_create_or_update("certs", "certs-other", body)
    assert [each.name for each in apps.list_by_resource_group("certs")] == ["certs-app"]
    # What Azure's own answers say of an app that asks nobody, as clients send it back.
    given = {"clientCertEnabled": False, "clientCertMode": "Required"}
    kept = apps.update("certs", "certs-app", {"properties": given})
    assert (kept.client_cert_enabled, kept.client_cert_mode) == (False, "Required")


def test_an_identity_taken_away_leaves_no_principal(azure: AzureServer) -> None:
    azure.premium_app("someone", "someone-app")
    apps = azure.web.web_apps
    given = apps.update("someone", "someone-app", {"identity": {"type": "SystemAssigned"}})
    assert given.identity.tenant_id == azure.credentials.tenant_id
    assert given.identity.principal_id
    taken = apps.update("someone", "someone-app", {"identity": {"type": "None"}})
    assert (taken.identity.principal_id, taken.identity.tenant_id) == (None, None)


def _site_path(azure: AzureServer, group: str, app: str) -> str:
    base = f"/subscriptions/{azure.credentials.subscription_id}/resourceGroups/{group}"
    return f"{base}/providers/Microsoft.Web/sites/{app}"
