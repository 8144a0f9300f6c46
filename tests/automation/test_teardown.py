"""The teardown: all that is the model's goes, also after it failed halfway; nothing of others."""

import pytest

from graph_runs import Graph, Ran
from mc_assets.ownership import OWNER_TAG, RUN_TAG, TTL_TAG
from planted import THEIRS, Garden


def failure(ran: Ran, graph: Graph) -> str:
    return ran.failure(f"{graph.name}_delete_azure_resources")


def test_a_teardown_stops_what_trains_and_says_what_stays(garden: Garden) -> None:
    name = garden.graph.name
    ours = garden.job("ours", garden.tags(garden.run("STARTED"), ttl="none"))
    theirs = garden.job("theirs", {OWNER_TAG: "mc-assets/another"})
    kept = garden.object(f"{name}/packages/a.zip", garden.tags())
    foreign = garden.foreign()
    ran = garden.graph.run_job("teardown")
    assert ran.success
    assert garden.ended(ours) == "Stopped"
    assert garden.status(theirs) == "InProgress"
    assert garden.foreign() == foreign
    assert garden.has(kept)
    address = garden.graph.store.uri(f"{name}/")
    said = f"S3 keeps {address}: `aws s3 rm --recursive {address}` deletes it."
    assert said in ran.messages


def test_a_teardown_deletes_the_group_with_all_in_it(garden: Garden) -> None:
    garden.make_group()
    plan = garden.plan("plan-ours", garden.tags())
    garden.app(f"{garden.graph.name}-app", plan, garden.tags())
    foreign = garden.foreign()
    assert garden.graph.run_job("teardown").success
    assert not garden.group_exists
    foreign.pop(garden.group_key)
    assert garden.foreign() == foreign
    again = garden.graph.run_job("teardown")
    assert again.success
    assert f"There is no resource group {garden.hosting.group_name}: nothing to remove." in (
        again.messages
    )


def test_what_others_have_in_the_group_stays_and_so_does_the_group(garden: Garden) -> None:
    name = garden.graph.name
    garden.make_group()
    ours, theirs = garden.plan("plan-ours", garden.tags()), garden.plan("plan-theirs", THEIRS)
    garden.app(f"{name}-ours", ours, garden.tags())
    garden.app(f"{name}-ours", ours, garden.tags(), slot="staging")
    garden.app(f"{name}-theirs", theirs, THEIRS)
    garden.app(f"{name}-on-their-plan", theirs, garden.tags())
    foreign = garden.foreign()
    ran = garden.graph.run_job("teardown")
    assert ran.success, ran.messages
    assert garden.on_azure == {"plan-theirs", f"{name}-theirs"}
    assert garden.foreign() == foreign
    assert any("holds what is not ours, which stays" in line for line in ran.messages)


def test_a_teardown_that_is_refused_halfway_is_finished_by_the_next(garden: Garden) -> None:
    """Azure keeps a plan as long as an app, here somebody else's, is on it."""
    name = garden.graph.name
    garden.make_group()
    shared = garden.plan("plan-shared", garden.tags())
    garden.app(f"{name}-ours", shared, garden.tags())
    garden.app(f"{name}-theirs", shared, THEIRS)
    foreign = garden.foreign()
    ran = garden.graph.run_job("teardown")
    assert not ran.success
    assert "plan-shared' cannot be deleted because it has" in failure(ran, garden.graph)
    assert "Still there in" in failure(ran, garden.graph)
    assert garden.on_azure == {"plan-shared", f"{name}-theirs"}
    assert garden.foreign() == foreign
    apps = garden.graph.azure.web.web_apps
    apps.delete(garden.hosting.group_name, f"{name}-theirs", delete_empty_server_farm=False)
    assert garden.graph.run_job("teardown").success
    assert not garden.group_exists


def test_an_app_is_kept_for_a_slot_that_is_not_ours(garden: Garden) -> None:
    name = garden.graph.name
    garden.make_group()
    garden.app(f"{name}-ours", garden.plan("plan-ours", garden.tags()), garden.tags())
    garden.app(f"{name}-ours", "", THEIRS, slot="theirs")
    before = garden.on_azure
    ran = garden.graph.run_job("teardown")
    assert f"{name}-ours/theirs would go with it" in failure(ran, garden.graph)
    assert garden.on_azure == before


@pytest.mark.parametrize("plan", ["flex_consumption", "consumption", "premium"])
def test_all_that_is_made_on_azure_says_whose_it_is_and_how_long_it_may_stay(
    garden: Garden, plan: str
) -> None:
    hosting = garden.hosting_on(plan)
    azure, staging = garden.graph.azure, hosting.staging_app_name
    azure.ensure_app(hosting, hosting.app_name)
    if hosting.releases_by_slot:
        # It holds the version before: it stays.
        azure.ensure_slot(hosting, hosting.app_name, "staging")
    else:
        azure.ensure_app(hosting, staging)
    group = azure.own_group(hosting)
    assert group.tags == garden.tags("", "none")
    for_staging = {staging, f"plan-{staging}"}
    found = garden.group.resources()
    assert {"Microsoft.Storage/storageAccounts", "Microsoft.Web/sites"} < {x.type for x in found}
    for resource in found:
        ttl = "30d" if resource.name in for_staging else "none"
        tags = {tag: resource.tags.get(tag) for tag in (OWNER_TAG, RUN_TAG, TTL_TAG)}
        assert tags == garden.tags("", ttl), resource
