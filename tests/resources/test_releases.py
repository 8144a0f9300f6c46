"""Staging and promoting packages on every plan, and refusing what is not ours."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import requests
from release_lab import ReleaseLab, candidate

from mc_assets.hosting import PLAN_KINDS, PlanKind
from mc_assets.ownership import OWNER_TAG
from mc_assets.resources.azure_functions import FunctionApp
from mc_assets.resources.azure_group import ResourceGroup
from mc_assets.resources.endpoint_client import serving
from mc_assets.resources.releases import Candidate, Release


@dataclass
class Released:
    """What one plan's model looks like with its first version live."""

    lab: ReleaseLab
    package: Candidate
    staged: Release
    live: Release

    @property
    def apps(self) -> tuple[FunctionApp, FunctionApp]:
        return self.staged.app, self.live.app


@pytest.fixture
def package(tmp_path: Path) -> Candidate:
    return candidate(tmp_path, "one")


@pytest.fixture
def successor(tmp_path: Path) -> Candidate:
    return candidate(tmp_path, "two")


@pytest.fixture(scope="module", params=PLAN_KINDS)
def released(
    resources: Mapping[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Released]:
    """On every plan; its tests leave the live app serving this package."""
    plan: PlanKind = request.param
    lab = ReleaseLab.of(resources["azure_functions"], f"released{plan[:4]}", plan)
    package = candidate(tmp_path_factory.mktemp("released"), "one")
    with lab.removed_at_the_end():
        yield Released(lab, package, lab.stage(package), lab.promote(package))


def test_a_package_is_staged_where_no_user_looks_and_then_live(released: Released) -> None:
    staged, live = released.staged, released.live
    assert staged.how == "deployed"
    assert staged.deployment is not None
    assert staged.app.url != live.app.url
    assert (live.app.name, live.app.slot) == (released.lab.hosting.app_name, None)
    assert serving(live.app.url) == released.package.content_version
    keyless = requests.post(f"{live.app.url}/api/classify", timeout=10)
    assert keyless.status_code == 401


def test_a_second_time_nothing_is_done(released: Released) -> None:
    released.lab.stage(released.package)
    again = released.lab.stage(released.package), released.lab.promote(released.package)
    word = "already live" if released.lab.hosting.plan == "premium" else "already serving"
    assert [release.how for release in again] == [word, word]
    assert [release.deployment for release in again] == [None, None]


def test_everything_is_locked_down(released: Released) -> None:
    lab = released.lab
    for app in released.apps:
        site, config = lab.site(app, "get"), lab.site(app, "get_configuration")
        assert site.properties.https_only is True
        assert site.identity.type == "SystemAssigned"
        label = f"{app.name}-{app.slot}" if app.slot else app.name
        assert site.tags.items() >= lab.hosting.tags_of(label, run_id="").items()
        found = config.properties
        assert (found.min_tls_version, found.scm_min_tls_version) == ("1.2", "1.2")
        assert found.ftps_state == "Disabled"
        assert lab.site(app, "get_scm_allowed").properties.allow is False
        assert lab.site(app, "get_ftp_allowed").properties.allow is False


def test_the_storage_is_locked_down_as_far_as_the_plan_allows(released: Released) -> None:
    hosting = released.lab.hosting
    account = released.lab.azure.storage.storage_accounts.get_properties(
        hosting.group_name, hosting.storage_name
    )
    assert account.minimum_tls_version == "TLS1_2"
    assert account.allow_blob_public_access is False
    assert account.enable_https_traffic_only is True
    assert account.allow_shared_key_access is (hosting.plan != "flex_consumption")


def test_no_secret_is_said(released: Released) -> None:
    lab = released.lab
    keys = lab.azure.storage.storage_accounts.list_keys(
        lab.hosting.group_name, lab.hosting.storage_name
    )
    secrets = [
        os.environ["AZURE_CLIENT_SECRET"],
        keys.keys_property[0].value,
        *(lab.azure.function_key(app.group, app.name, app.slot) for app in released.apps),
    ]
    said = lab.as_stored(released.staged, released.live)
    assert len(lab.lines) > 4
    assert [secret for secret in secrets if secret in said] == []


def test_a_key_that_somebody_deleted_is_named_with_the_way_to_make_it(released: Released) -> None:
    azure, app = released.lab.azure, released.live.app
    key = azure.function_key(app.group, app.name, None)
    secrets = azure.web.web_apps
    secrets.delete_host_secret(app.group, app.name, "functionKeys", "default")
    try:
        with pytest.raises(dg.Failure, match="has no function key named default"):
            azure.function_key(app.group, app.name, None)
    finally:
        value = {"name": "default", "value": key}
        secrets.create_or_update_host_secret(
            app.group, app.name, "functionKeys", "default", {"properties": value}
        )
    assert azure.function_key(app.group, app.name, None) == key


def test_a_package_that_cannot_be_imported_is_refused_with_its_traceback(
    released: Released, tmp_path: Path
) -> None:
    broken = candidate(tmp_path, "broken", code="raise LookupError('no weights to be found')")
    with pytest.raises(dg.Failure) as refused:
        released.lab.stage(broken)
    assert "Traceback" in str(refused.value)
    assert "LookupError: no weights to be found" in str(refused.value)
    assert not refused.value.allow_retries
    assert serving(released.live.app.url) == released.package.content_version


def test_a_build_that_fails_is_refused_with_its_log(released: Released, tmp_path: Path) -> None:
    unknown = candidate(tmp_path, "unknown", requirements="azure-functions==0.0.999\n")
    with pytest.raises(dg.Failure) as refused:
        released.lab.stage(unknown)
    assert "azure-functions==0.0.999" in str(refused.value)
    assert "exited with" in str(refused.value)
    assert not refused.value.allow_retries
    assert serving(released.live.app.url) == released.package.content_version


@pytest.mark.parametrize("plan", ["flex_consumption", "premium"])
def test_a_second_version_replaces_the_first(
    lab: ReleaseLab, plan: str, package: Candidate, successor: Candidate
) -> None:
    lab.stage(package)
    live = lab.promote(package).app
    staged = lab.stage(successor).app
    assert serving(staged.url) == successor.content_version
    assert serving(live.url) == package.content_version, "users saw what was only staged"
    assert lab.promote(successor).how == ("swapped" if plan == "premium" else "deployed")
    assert serving(live.url) == successor.content_version
    # A swap leaves the version before in the slot; a staging app keeps the same package.
    left = package if plan == "premium" else successor
    assert serving(staged.url) == left.content_version


def test_redeploy_is_asked_for(lab: ReleaseLab, package: Candidate) -> None:
    first = lab.stage(package).deployment
    second = lab.stage(package, redeploy=True).deployment
    assert first is not None
    assert second is not None
    assert first.id != second.id


def test_a_changed_setting_reaches_the_app_that_is_there(lab: ReleaseLab) -> None:
    def settings() -> Any:
        app = lab.azure.ensure_app(lab.hosting, lab.hosting.app_name)
        return lab.site(app, "list_application_settings").properties

    assert "DIGITS" not in settings()
    lab.hosting = replace(lab.hosting, settings={"DIGITS": "10"})
    assert settings()["DIGITS"] == "10"


def test_an_app_that_was_left_half_made_is_finished(lab: ReleaseLab) -> None:
    app = lab.azure.ensure_app(lab.hosting, lab.hosting.app_name)
    open_again = {"properties": {"allow": True}}
    lab.azure.web.web_apps.update_scm_allowed(app.group, app.name, open_again)
    site = lab.site(app, "get")
    left = {"tags": lab.hosting.tags_of(app.name, run_id="")}
    lab.azure.resources.tags.begin_update_at_scope(
        site.id, {"operation": "Replace", "properties": left}
    ).result()
    lab.azure.ensure_app(lab.hosting, lab.hosting.app_name)
    assert lab.site(app, "get_scm_allowed").properties.allow is False


def test_a_group_that_is_not_ours_is_refused_and_left_alone(lab: ReleaseLab) -> None:
    lab.create_group({"team": "somebody else"})
    name = lab.hosting.group_name
    for act in (
        lambda: lab.azure.ensure_app(lab.hosting, lab.hosting.app_name),
        lambda: ResourceGroup(lab.azure, lab.hosting).delete_all(lab.lines.append),
    ):
        with pytest.raises(dg.Failure, match=f"resource group named {name} already") as refused:
            act()
        assert not refused.value.allow_retries
    assert lab.azure.resources.resource_groups.get(name).tags == {"team": "somebody else"}
    assert list(lab.azure.resources.resources.list_by_resource_group(name)) == []


def foreign_app(lab: ReleaseLab) -> Any:
    """An app of our name in our group, made by somebody else."""
    lab.create_group(lab.hosting.tags_of(lab.hosting.app_name, run_id=""))
    plan = lab.azure.web.app_service_plans.begin_create_or_update(
        lab.hosting.group_name,
        "theirs",
        {
            "location": lab.hosting.location,
            "kind": "elastic",
            "sku": {"name": "EP1", "tier": "ElasticPremium"},
            "properties": {"reserved": True},
        },
    ).result()
    body = {
        "location": lab.hosting.location,
        "kind": "functionapp,linux",
        "tags": {OWNER_TAG: "mc-assets/another"},
        "properties": {
            "serverFarmId": plan.id,
            "reserved": True,
            "siteConfig": {
                "linuxFxVersion": "Python|3.11",
                "appSettings": [{"name": "THEIRS", "value": "yes"}],
            },
        },
    }
    return lab.azure.web.web_apps.begin_create_or_update(
        lab.hosting.group_name, lab.hosting.app_name, body
    ).result()


@pytest.mark.parametrize("plan", ["premium"])
def test_an_app_that_is_not_ours_is_refused_and_left_alone(
    lab: ReleaseLab, plan: str, package: Candidate
) -> None:
    foreign = foreign_app(lab)
    for release in (lab.stage, lab.promote):
        with pytest.raises(dg.Failure, match="not ours") as refused:
            release(package)
        assert "mc-assets/another" in str(refused.value)
        assert not refused.value.allow_retries
    apps = lab.azure.web.web_apps
    now = apps.get(lab.hosting.group_name, lab.hosting.app_name)
    assert now.as_dict() == foreign.as_dict()
    settings = apps.list_application_settings(lab.hosting.group_name, lab.hosting.app_name)
    assert settings.properties == {"THEIRS": "yes"}


def test_deleting_the_group_tells_what_it_held_and_then_that_there_is_none(
    lab: ReleaseLab, package: Candidate
) -> None:
    url = lab.stage(package).app.url
    group = ResourceGroup(lab.azure, lab.hosting)
    removed = group.delete_all(lab.lines.append)
    app = lab.hosting.staging_app_name
    assert removed == [
        f"Microsoft.Web/sites {app}",
        f"Microsoft.Web/serverfarms plan-{app}",
        f"Microsoft.Storage/storageAccounts {lab.hosting.storage_name}",
        f"Microsoft.Resources/resourceGroups {lab.hosting.group_name}",
    ]
    assert serving(url) is None
    assert group.delete_all(lab.lines.append) == []
