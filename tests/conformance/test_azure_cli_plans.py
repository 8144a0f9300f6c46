"""What an unmodified Azure CLI does on each hosting plan: Flex Consumption, Premium and its slots.

Two commands take their minute by themselves, so they run beside the other tests.
"""

from collections.abc import Iterator
from concurrent.futures import Future

import pytest
from azure_cli import QUIET, AzureCli, hello_zip
from client_environments import Client
from terminal import Open, Ran

GROUP = "-g plans"
FLEX, PREMIUM, UNBUILT = (f"{GROUP} -n plans-{name}" for name in ("flex", "premium", "unbuilt"))
LIVE, STAGED = "plans-premium", "staging"


@pytest.fixture(scope="module")
def az(client: Client, open_terminal: Open) -> Iterator[AzureCli]:
    """Signed in, with a group, a storage account and packages at hand."""
    az = AzureCli.opened(client, open_terminal).apart().sign_in()
    for version in ("v1", "v2", "v3"):
        az.write(f"{version}.zip", hello_zip(version))
    az("group create -n plans -l ukwest")
    az(f"storage account create {GROUP} -n plansstore -l ukwest --sku Standard_LRS")
    yield az
    az("group delete -n plans --yes")


@pytest.fixture(scope="module")
def flex_deployment(az: AzureCli) -> Future[Ran]:
    """Under way; `az` itself waits 60 s at its end, for triggers to be synchronised."""
    az(
        f"functionapp create {FLEX} --storage-account plansstore {QUIET} "
        "--flexconsumption-location ukwest --runtime python"
    )
    return az.start(f"functionapp deployment source config-zip {FLEX} --src v1.zip")


@pytest.fixture(scope="module")
def upload_to_blob(az: AzureCli) -> Future[Ran]:
    """Under way; `az` tries for more than a minute to reach an account's blobs."""
    az(
        f"functionapp create {UNBUILT} --storage-account plansstore {QUIET} "
        "--consumption-plan-location ukwest --os-type Linux --runtime python "
        "--functions-version 4"
    )
    return az.start(f"functionapp deployment source config-zip {UNBUILT} --src v1.zip")


@pytest.fixture(scope="module", autouse=True)
def _begin_what_takes_long(flex_deployment: Future[Ran], upload_to_blob: Future[Ran]) -> None: ...


@pytest.fixture(scope="module")
def premium(az: AzureCli) -> str:
    """The host of an app on an Elastic Premium plan that serves v1."""
    plan = az(
        f"functionapp plan create {GROUP} -n plans-ep -l ukwest --sku EP1 --is-linux true"
    ).json
    assert (plan["sku"]["tier"], plan["reserved"]) == ("ElasticPremium", True)
    app = az(
        f"functionapp create {PREMIUM} --plan plans-ep --storage-account plansstore {QUIET} "
        "--os-type Linux --runtime python --functions-version 4"
    ).json
    assert app["sku"] == "ElasticPremium"
    az(f"functionapp deployment source config-zip {PREMIUM} --src v1.zip --build-remote true")
    return app["defaultHostName"]


def test_a_slot_is_swapped_into_production(az: AzureCli, premium: str) -> None:
    az(f"functionapp config appsettings set {PREMIUM} --settings GREETING=hello")
    slot = az(
        f"functionapp deployment slot create {PREMIUM} -s {STAGED} --configuration-source {LIVE}"
    ).json
    assert (slot["name"], slot["defaultHostName"] != premium) == (STAGED, True)
    listed = az(f"functionapp deployment slot list {PREMIUM}").json
    assert [each["name"] for each in listed] == [STAGED]
    az(
        f"functionapp deployment source config-zip {PREMIUM} -s {STAGED} --src v2.zip "
        "--build-remote true"
    )
    key = az.key(PREMIUM)
    assert az.call(premium, "/api/hello", key).text == "v1 hello"
    az(f"functionapp deployment slot swap {PREMIUM} -s {STAGED} --target-slot production")
    assert az.call(premium, "/api/hello", key).text == "v2 hello"
    az(f"functionapp deployment slot delete {PREMIUM} -s {STAGED}")
    assert az(f"functionapp deployment slot list {PREMIUM}").json == []


def test_a_premium_app_takes_one_deploy(az: AzureCli, premium: str) -> None:
    done = az(f"functionapp deploy {PREMIUM} --src-path v3.zip --type zip").json
    assert (done["status"], done["active"]) == (4, True)
    assert az.call(premium, "/api/hello", az.key(PREMIUM)).text.startswith("v3 ")
    refusal = az.fails(f"functionapp deploy {PREMIUM} --src-path v3.zip --type static")
    assert "Status Code: 400" in refusal
    assert "type=zip" in refusal


def test_plans_are_shown_and_kept_while_in_use(az: AzureCli, premium: str) -> None:
    listed = az(f"functionapp plan list {GROUP}").json
    tiers = {plan["name"]: plan["sku"]["tier"] for plan in listed}
    assert tiers["plans-ep"] == "ElasticPremium"
    assert tiers["UKWestLinuxDynamicPlan"] == "Dynamic"
    assert "FlexConsumption" in tiers.values()
    assert az(f"functionapp plan show {GROUP} -n plans-ep").json["numberOfSites"] == 1
    refusal = az.fails(f"functionapp plan delete {GROUP} -n plans-ep --yes")
    assert f"has web app(s) {LIVE} assigned to it" in refusal


def test_what_a_user_may_choose_from(az: AzureCli) -> None:
    runtimes = az("functionapp list-runtimes --os linux").json
    assert {"Python|3.9", "Python|3.14"} <= {each["linux_fx_version"] for each in runtimes}
    flex = az("functionapp list-flexconsumption-runtimes -l ukwest --runtime python").json
    assert [each["version"] for each in flex if each["default"]] == ["3.12"]
    for plan in ("consumption", "flexconsumption"):
        regions = az(f"functionapp list-{plan}-locations").json
        assert "ukwest" in [each["name"] for each in regions]


def test_flex_consumption_from_creation_to_a_call(
    az: AzureCli, flex_deployment: Future[Ran]
) -> None:
    done = flex_deployment.result()
    assert done.exit_code == 0, str(done)
    assert done.json == "Deployment was successful."
    shown = az(f"functionapp show {FLEX}").json["properties"]
    assert (shown["sku"], shown["functionAppConfig"]["runtime"]["name"]) == (
        "FlexConsumption",
        "python",
    )
    assert az.call(shown["defaultHostName"], "/api/hello", az.key(FLEX)).text == "v1 -"
    scaled = az(f"functionapp scale config set {FLEX} --maximum-instance-count 60").json
    assert scaled["maximumInstanceCount"] == 60


def test_flex_consumption_has_no_slots(az: AzureCli) -> None:
    refusal = az.fails(f"functionapp deployment slot create {FLEX} -s {STAGED}")
    assert "not currently supported for Azure Functions on the Flex Consumption plan" in refusal


def test_a_package_that_needs_blobs_fails_by_naming_what_is_missing(
    upload_to_blob: Future[Ran],
) -> None:
    done = upload_to_blob.result()
    assert done.exit_code == 1, str(done)
    assert "plansstore.blob.no-storage-data-plane.invalid" in done.stderr
