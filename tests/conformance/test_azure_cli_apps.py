"""The commands of a function app's daily life, typed to an unmodified Azure CLI."""

import base64
import json
from collections.abc import Iterator
from xml.etree import ElementTree as ET

import jwt
import pytest
from azure_cli import QUIET, AzureCli, hello_zip
from client_environments import Client
from terminal import Open

GROUP, APP = "-g daily", "-g daily -n daily-app"
SITE = "resourceGroups/daily/providers/Microsoft.Web/sites/daily-app"


@pytest.fixture(scope="module")
def az(client: Client, open_terminal: Open) -> Iterator[AzureCli]:
    """Signed in, with an app on a consumption plan that serves GET /api/hello."""
    az = AzureCli.opened(client, open_terminal).apart().sign_in()
    az.write("hello.zip", hello_zip("v1"))
    az("group create -n daily -l ukwest --tags owner=me")
    az(f"storage account create {GROUP} -n dailystore -l ukwest --sku Standard_LRS")
    az(
        f"functionapp create {APP} --storage-account dailystore {QUIET} --os-type Linux "
        "--runtime python --functions-version 4 --consumption-plan-location ukwest"
    )
    az(f"functionapp deployment source config-zip {APP} --src hello.zip --build-remote true")
    yield az
    az("group delete -n daily --yes")


@pytest.fixture(scope="module")
def host(az: AzureCli) -> str:
    return az.host(APP)


def test_who_is_signed_in_and_to_what(az: AzureCli) -> None:
    environment = az.terminal.environment
    account = az("account show").json
    assert (account["id"], account["tenantId"]) == (
        environment["AZURE_SUBSCRIPTION_ID"],
        environment["AZURE_TENANT_ID"],
    )
    assert [each["isDefault"] for each in az("account list").json] == [True]
    token = az("account get-access-token").json
    claims = jwt.decode(token["accessToken"], options={"verify_signature": False})
    assert (token["tokenType"], claims["appid"]) == ("Bearer", environment["AZURE_CLIENT_ID"])
    provider = az("provider show -n Microsoft.Web").json
    assert provider["registrationState"] == "Registered"


def test_groups_and_what_they_hold(az: AzureCli) -> None:
    group = az("group show -n daily").json
    assert (group["location"], group["tags"]) == ("ukwest", {"owner": "me"})
    assert "daily" in [each["name"] for each in az("group list").json]
    assert az("group exists -n daily").json is True
    held = az(f"resource list {GROUP}").json
    assert {each["name"]: each["type"] for each in held} == {
        "daily-app": "Microsoft.Web/sites",
        "dailystore": "Microsoft.Storage/storageAccounts",
        "UKWestLinuxDynamicPlan": "Microsoft.Web/serverFarms",
    }
    named = f"{GROUP} -n daily-app --resource-type Microsoft.Web/sites"
    assert az(f"resource tag {named} --tags tier=web").json["tags"] == {"tier": "web"}
    assert az(f"resource show {named}").json["tags"] == {"tier": "web"}
    rest = "rest --method get --url /subscriptions/{subscriptionId}/"
    assert az(f"{rest}{SITE}?api-version=2025-05-01").json["name"] == "daily-app"


def test_storage_accounts(az: AzureCli) -> None:
    assert "dailystore" in [each["name"] for each in az("storage account list").json]
    account = az(f"storage account show {GROUP} -n dailystore").json
    assert (account["kind"], account["minimumTlsVersion"]) == ("StorageV2", "TLS1_2")
    keys = az(f"storage account keys list {GROUP} -n dailystore").json
    assert [(key["keyName"], key["permissions"]) for key in keys] == [
        ("key1", "FULL"),
        ("key2", "FULL"),
    ]
    assert all(len(base64.b64decode(key["value"])) == 64 for key in keys)


def test_the_app_and_its_list(az: AzureCli, host: str) -> None:
    listed = az(f"functionapp list {GROUP}").json
    assert [(each["name"], each["defaultHostName"]) for each in listed] == [("daily-app", host)]
    shown = az(f"functionapp show {APP}").json
    assert (shown["state"], shown["sku"], shown["kind"]) == (
        "Running",
        "Dynamic",
        "functionapp,linux",
    )
    assert shown["hostNameSslStates"][0]["name"] == host
    names = az(f"functionapp config hostname list {GROUP} --webapp-name daily-app").json
    assert [each["name"] for each in names] == [host]


def test_functions_and_the_keys_that_open_them(az: AzureCli, host: str) -> None:
    (function,) = az(f"functionapp function list {APP}").json
    assert function["name"] == "daily-app/hello"
    hello = f"{APP} --function-name hello"
    shown = az(f"functionapp function show {hello}").json
    assert shown["invokeUrlTemplate"] == f"https://{host}/api/hello"
    assert shown["config"]["bindings"][0]["type"] == "httpTrigger"
    default = az(f"functionapp function keys list {hello}").json["default"]
    assert az.call(host, "/api/hello", default).status_code == 200
    az(f"functionapp function keys set {hello} --key-name mine --key-value my-own-key")
    assert az.call(host, "/api/hello", "my-own-key").text == "v1 -"
    az(f"functionapp function keys delete {hello} --key-name mine")
    assert az.call(host, "/api/hello", "my-own-key").status_code == 401
    az(f"functionapp keys set {APP} --key-type functionKeys --key-name host --key-value for-all")
    assert az(f"functionapp keys list {APP}").json["functionKeys"]["host"] == "for-all"
    assert az.call(host, "/api/hello", "for-all").status_code == 200
    az(f"functionapp keys delete {APP} --key-type functionKeys --key-name host")
    assert az.call(host, "/api/hello", "for-all").status_code == 401


def test_settings_are_set_listed_and_deleted(az: AzureCli, host: str) -> None:
    settings = [{"name": "GREETING", "value": "hello", "slotSetting": True}]
    az.write("settings.json", json.dumps(settings).encode())
    key = az.key(APP)
    az(f"functionapp config appsettings set {APP} --settings @settings.json")
    assert az.call(host, "/api/hello", key).text == "v1 hello"
    listed = az(f"functionapp config appsettings list {APP}").json
    assert settings[0] in listed
    az(f"functionapp config appsettings delete {APP} --setting-names GREETING")
    assert az.call(host, "/api/hello", key).text == "v1 -"


def test_stop_start_and_restart(az: AzureCli, host: str) -> None:
    key = az.key(APP)
    az(f"functionapp stop {APP}")
    assert az(f"functionapp show {APP} --query state").json == "Stopped"
    assert az.call(host, "/api/hello", key).status_code == 403
    az(f"functionapp start {APP}")
    assert az.call(host, "/api/hello", key).status_code == 200
    az(f"functionapp restart {APP}")
    assert az.call(host, "/api/hello", key).status_code == 200


def test_configuration(az: AzureCli) -> None:
    assert az(f"functionapp config show {APP}").json["linuxFxVersion"].startswith("Python|3.")
    az(f"functionapp config set {APP} --min-tls-version 1.3 --ftps-state Disabled")
    shown = az(f"functionapp config show {APP}").json
    assert (shown["minTlsVersion"], shown["ftpsState"]) == ("1.3", "Disabled")
    az(f"functionapp cors add {APP} --allowed-origins https://example.org")
    assert az(f"functionapp cors show {APP}").json["allowedOrigins"] == ["https://example.org"]
    assert az(f"functionapp update {APP} --set httpsOnly=true").json["httpsOnly"] is True
    assert az(f"functionapp show {APP}").json["httpsOnly"] is True


def test_managed_identity(az: AzureCli) -> None:
    assigned = az(f"functionapp identity assign {APP}").json
    assert assigned["type"] == "SystemAssigned"
    assert assigned["tenantId"] == az.terminal.environment["AZURE_TENANT_ID"]
    assert az(f"functionapp identity show {APP}").json == assigned
    role = az(
        f"role assignment create --assignee-object-id {assigned['principalId']} "
        '--assignee-principal-type ServicePrincipal --role "Storage Blob Data Reader" '
        f"--scope {az('group show -n daily').json['id']}"
    ).json
    assert role["principalId"] == assigned["principalId"]
    assert role["roleDefinitionId"].endswith("2a2b9908-6ea1-4ae2-8e65-a410df84e7d1")
    removed = az(f"functionapp identity remove {APP}").json
    assert (removed["type"], removed["principalId"]) == ("None", None)


def test_publishing_profiles_and_credentials(az: AzureCli) -> None:
    profiles = az(f"functionapp deployment list-publishing-profiles {APP}").json
    credentials = az(f"functionapp deployment list-publishing-credentials {APP}").json
    assert {each["publishMethod"] for each in profiles} == {"MSDeploy", "ZipDeploy"}
    for profile in profiles:
        assert profile["userName"] == credentials["publishingUserName"] == "$daily-app"
        assert profile["userPWD"] == credentials["publishingPassword"]
    written = az(f"functionapp deployment list-publishing-profiles {APP} --xml").stdout
    assert {each.get("userName") for each in ET.fromstring(written)} == {"$daily-app"}


def test_the_log_of_a_deployment(az: AzureCli) -> None:
    (deployment,) = az(f"functionapp log deployment list {APP}").json
    assert (deployment["status"], deployment["active"]) == (4, True)
    shown = az(f"functionapp log deployment show {APP} --deployment-id {deployment['id']}").json
    assert [entry["message"] for entry in shown][-1] == "Deployment successful."


def test_an_app_is_deleted_with_its_plan(az: AzureCli) -> None:
    doomed = f"{GROUP} -n daily-doomed"
    az(
        f"functionapp create {doomed} --storage-account dailystore {QUIET} --os-type Linux "
        "--runtime python --functions-version 4 --consumption-plan-location uksouth"
    )
    az(f"functionapp delete {doomed}")
    assert "daily-doomed" in az.fails(f"functionapp show {doomed}", exit_code=3)
    plans = az(f"functionapp plan list {GROUP}").json
    assert [plan["name"] for plan in plans] == ["UKWestLinuxDynamicPlan"]
