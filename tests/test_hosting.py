"""What Azure is asked for: plans, locked-down bodies, names; what it does not have is refused."""

import re
from dataclasses import replace
from typing import Any

import pytest

from mc_assets.hosting import (
    BLOB_DATA_OWNER,
    PLAN_KINDS,
    Hosting,
    HostingError,
    PlanKind,
    app_settings,
    configuration,
    merged_settings,
    plan_body,
    role_assignment,
    site_body,
    storage_body,
)

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"


def hosting(plan: PlanKind = "flex_consumption") -> Hosting:
    return Hosting(model="mnist", subscription_id=SUBSCRIPTION, plan=plan)


@pytest.mark.parametrize("plan", PLAN_KINDS)
def test_every_app_is_locked_down(plan: PlanKind) -> None:
    body = site_body(hosting(plan), "app", "/plans/p", {}, "https://account/container")
    config = body["properties"]["siteConfig"]
    assert body["properties"]["httpsOnly"] is True
    assert config["ftpsState"] == "Disabled"
    assert config["minTlsVersion"] == config["scmMinTlsVersion"] == "1.2"
    storage = storage_body(hosting(plan))["properties"]
    assert storage["minimumTlsVersion"] == "TLS1_2"
    assert storage["allowBlobPublicAccess"] is False


def test_flex_reads_its_storage_by_identity_and_holds_no_secret() -> None:
    settings = app_settings(hosting(), "app", None)
    assert not any("AccountKey" in value for value in settings.values())
    assert "FUNCTIONS_WORKER_RUNTIME" not in settings
    assert storage_body(hosting())["properties"]["allowSharedKeyAccess"] is False
    config = site_body(hosting(), "app", "/plans/p", settings, "https://account/c")["properties"]
    assert config["functionAppConfig"]["runtime"] == {"name": "python", "version": "3.12"}
    assert "linuxFxVersion" not in config["siteConfig"]


def test_flex_replaces_the_live_app_without_ending_calls() -> None:
    def update(wanted: Hosting, app: str) -> Any:
        body = site_body(wanted, app, "/plans/p", {}, "https://account/c")
        return body["properties"]["functionAppConfig"]["siteUpdateStrategy"]

    usual = hosting()
    assert update(usual, usual.app_name) == {"type": "RollingUpdate"}
    assert update(usual, usual.staging_app_name) == {"type": "Recreate"}
    assert usual.versions_overlap
    chosen = replace(usual, site_update_strategy="recreate")
    assert update(chosen, chosen.app_name) == {"type": "Recreate"}
    assert not chosen.versions_overlap
    assert not hosting("premium").versions_overlap
    with pytest.raises(HostingError, match="'rolling' is not one of rolling_update, recreate"):
        replace(usual, site_update_strategy="rolling")


def test_classic_plans_get_runtime_and_remote_build() -> None:
    settings = app_settings(hosting("consumption"), "app", "AccountKey=k")
    assert settings["SCM_DO_BUILD_DURING_DEPLOYMENT"] == "true"
    assert settings["FUNCTIONS_WORKER_RUNTIME"] == "python"
    body = site_body(hosting("consumption"), "app", "/plans/p", settings, "")
    assert body["properties"]["siteConfig"]["linuxFxVersion"] == "Python|3.12"


def test_only_premium_releases_by_slot() -> None:
    assert [plan for plan in PLAN_KINDS if hosting(plan).releases_by_slot] == ["premium"]
    assert {plan_body(hosting(plan))["sku"]["name"] for plan in PLAN_KINDS} == {"FC1", "Y1", "EP1"}


def test_names_are_stable_and_fit_azures_rules() -> None:
    one, same = hosting(), hosting()
    assert one.app_name == same.app_name
    assert re.fullmatch(r"[a-z0-9-]{2,60}", one.staging_app_name)
    assert re.fullmatch(r"[a-z0-9]{3,24}", one.storage_name)
    other = Hosting(model="mnist", subscription_id="another")
    assert other.app_name != one.app_name


def test_writing_settings_again_keeps_what_deployments_and_swaps_put_there() -> None:
    current = {"WEBSITE_RUN_FROM_PACKAGE": "https://blob", "WEBSITE_CONTENTSHARE": "b", "MINE": "1"}
    wanted = {"WEBSITE_CONTENTSHARE": "a", "NEW": "2"}
    assert merged_settings(current, wanted) == current | {"NEW": "2"}


def test_the_configuration_tells_every_choice_apart_but_no_secret() -> None:
    base = configuration(hosting(), "app")
    assert base == configuration(hosting(), "app")
    changed = Hosting("mnist", SUBSCRIPTION, instance_memory_mb=4096)
    assert configuration(changed, "app") != base
    assert configuration(hosting("premium"), "app") != base


def test_asking_twice_for_the_role_makes_one_assignment() -> None:
    first = role_assignment(hosting(), "/storage/s", "principal")
    assert first == role_assignment(hosting(), "/storage/s", "principal")
    assert first[0] != role_assignment(hosting(), "/storage/s", "other")[0]
    assert first[1]["properties"]["roleDefinitionId"].endswith(BLOB_DATA_OWNER)


def test_choices_azure_does_not_have_are_refused() -> None:
    with pytest.raises(HostingError, match=r"python\|3\.11, python\|3\.12"):
        Hosting("mnist", SUBSCRIPTION, runtime="python|3.13")
    with pytest.raises(HostingError, match="512, 2048, 4096"):
        Hosting("mnist", SUBSCRIPTION, instance_memory_mb=1024)
    with pytest.raises(HostingError, match="51 characters"):
        Hosting("mnist", SUBSCRIPTION, app="a" * 51)
    with pytest.raises(HostingError, match="flex_consumption, consumption, premium"):
        Hosting("mnist", SUBSCRIPTION, plan="dedicated")  # pyright: ignore[reportArgumentType] the point
