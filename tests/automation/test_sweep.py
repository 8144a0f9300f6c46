"""The sweep lists what nothing needs any more, deletes exactly that, and nothing of others."""

import hashlib
import json
from typing import Any

import pytest

from mc_assets.artifacts import (
    LiveEndpoint,
    ReleaseHistory,
    StagedEndpoint,
    StoredObject,
    Verdict,
)
from mc_assets.automation.orphans import References, unneeded, what_each_holds
from mc_assets.hosting import Hosting
from mc_assets.ownership import OUTLIVES_RUN_TAG, OWNER_TAG, TTL_TAG, ownership_tags, time_to_live
from mc_assets.resources.azure_group import PLANS, SITES, SLOTS, Resource
from mc_assets.resources.releases import SLOT
from planted import THEIRS, Garden, listed, rows, sweep

A, B, C = (hashlib.sha256(letter).hexdigest() for letter in (b"a", b"b", b"c"))
# Leaves a model, so that the cloud writes an archive.
SAVE = """
import os, pathlib
pathlib.Path(os.environ["SM_MODEL_DIR"], "weights").write_text("42")
"""


def test_nothing_is_listed_where_there_is_nothing(garden: Garden) -> None:
    ran = sweep(garden)
    assert ran.success
    assert rows(ran) == []


def test_jobs_of_ended_runs_are_orphans_and_others_are_not(garden: Garden) -> None:
    dead = garden.job("ours-dead", garden.tags(garden.run("FAILURE"), ttl="30d"))
    lost = garden.job("ours-lost", garden.tags("unknown-here", ttl="0d"))
    young = garden.job("ours-young", garden.tags("unknown-here", ttl="30d"))
    theirs = garden.job("theirs", {OWNER_TAG: "mc-assets/another"})
    nobodys = garden.job("nobodys", {})
    found = listed(sweep(garden))
    assert set(found) == {f"training job {dead}", f"training job {lost}"}
    assert "has ended" in found[f"training job {dead}"]
    assert "unknown here" in found[f"training job {lost}"]
    assert {garden.status(job) for job in garden.jobs} == {"InProgress"}, "a dry run touched one"
    assert sweep(garden, delete=True).success
    assert [garden.ended(job) for job in (dead, lost)] == ["Stopped", "Stopped"]
    assert {garden.status(job) for job in (young, theirs, nobodys)} == {"InProgress"}


def test_a_job_that_a_run_under_way_has_attached_to_is_left(garden: Garden) -> None:
    own = garden.job("ours-own", garden.tags(garden.run("STARTED"), ttl="0d"))
    job = garden.job("ours-attached", garden.tags(garden.run("FAILURE")))
    garden.wait_for(job)
    assert sweep(garden, delete=True).success
    assert {garden.status(each) for each in (own, job)} == {"InProgress"}


def test_a_job_that_was_to_outlive_its_run_has_its_time(garden: Garden) -> None:
    ended = garden.run("CANCELED")
    meant = {**garden.tags(ended, ttl="30d"), OUTLIVES_RUN_TAG: "true"}
    left = garden.job("ours-left", meant)
    over = garden.job("ours-over", {**meant, TTL_TAG: "0d"})
    found = listed(sweep(garden, delete=True))
    assert found == {
        f"training job {over}": f"its run {ended} has ended, and its time to live is over"
    }
    assert garden.ended(over) == "Stopped"
    assert garden.status(left) == "InProgress"


def test_apps_that_neither_yaml_nor_the_last_release_names_are_orphans(garden: Garden) -> None:
    hosting, ours = garden.hosting, garden.tags()
    garden.make_group()
    plan = garden.plan("plan-old", ours)
    garden.app("old-app", plan, ours)
    garden.app("old-app", plan, ours, slot="staging")
    shared = garden.plan("plan-shared", ours)
    garden.app("old-beside-theirs", shared, ours)
    garden.app("their-app", shared, THEIRS)
    garden.app("old-with-theirs", garden.plan("plan-with", ours), ours)
    garden.app("old-with-theirs", "", THEIRS, slot="staging")
    garden.app(hosting.app_name, garden.plan(hosting.plan_name(hosting.app_name), ours), ours)
    busy = garden.tags(garden.run("STARTED"))
    garden.app("being-made", garden.plan("plan-being-made", busy), busy)
    named = garden.plan("plan-live", ours)
    garden.app("live-before-the-rename", named, ours)
    write_live(garden, app="live-before-the-rename")
    before = garden.on_azure
    expected = {"old-app", "old-app/staging", "plan-old", "old-beside-theirs"}
    assert {row["name"] for row in rows(sweep(garden))} == expected
    assert garden.on_azure == before
    foreign = garden.foreign()
    assert sweep(garden, delete=True).success
    assert garden.on_azure == before - expected
    assert garden.foreign() == foreign
    assert rows(sweep(garden)) == []


@pytest.mark.parametrize("plan", ["flex_consumption", "consumption", "premium"])
def test_a_staging_app_goes_when_nothing_was_staged_for_its_time_to_live(
    garden: Garden, plan: str
) -> None:
    garden = garden.keeping(days=30, hosting={"plan": plan})
    later = garden.keeping(days=0, hosting={"plan": plan})
    hosting, azure = later.hosting, garden.graph.azure
    staging = hosting.staging_app_name

    def stage(hosting: Hosting) -> None:
        azure.ensure_app(hosting, hosting.app_name)
        if hosting.releases_by_slot:
            azure.ensure_slot(hosting, hosting.app_name, SLOT)
        else:
            azure.ensure_app(hosting, staging)

    stage(garden.hosting)
    write_live(garden, app=hosting.app_name)
    assert rows(sweep(later)) == [], "nothing was written down as staged: it may be under way"
    write_staged(garden)
    assert rows(sweep(garden)) == [], "its time to live has just begun"
    stage(hosting)
    before = garden.on_azure
    run = garden.graph.instance.get_run_by_id(garden.run("STARTED"))
    assert run is not None
    assert rows(sweep(later)) == [], "a run under way may be about to use it"
    garden.graph.instance.report_run_canceled(run)
    expected = {
        "flex_consumption": {f"function app {staging}", f"plan plan-{staging}"},
        "consumption": {f"function app {staging}"},  # its plan is the live app's too
        "premium": set(),  # the slot holds the version before
    }[plan]
    found = listed(sweep(later))
    assert found == dict.fromkeys(expected, "nothing was staged there for its time to live")
    assert garden.on_azure == before
    assert sweep(later, delete=True).success
    assert garden.on_azure == before - {each.rpartition(" ")[2] for each in expected}
    stage(hosting)
    assert garden.on_azure == before, "the next staging makes it anew"


def test_objects_that_nothing_refers_to_are_orphans(garden: Garden) -> None:
    name, ours = garden.graph.name, garden.tags(garden.run("SUCCESS"))
    unused = garden.object(f"{name}/packages/{A}.zip", ours)
    young = garden.object(f"{name}/packages/{B}.zip", {**ours, "mc-assets-ttl": "30d"})
    kept = garden.object(f"{name}/onnx/{C}.onnx", {**ours, "mc-assets-ttl": "none"})
    old = garden.object(f"{name}/code/{B}/sourcedir.tar.gz", garden.tags("of-another-instance"))
    theirs = garden.object(f"{name}/packages/theirs.zip", {OWNER_TAG: "mc-assets/another"})
    nobodys = garden.object(f"{name}/jobs/no-such-job/output/model.tar.gz", {})
    outside = garden.object(f"/elsewhere/{name}/{A}.zip", ours)
    neighbour = garden.object(f"{name}2/packages/{A}.zip", ours)
    expected = {f"S3 object {key}" for key in (unused, old)}
    foreign = garden.foreign()
    assert set(listed(sweep(garden))) == expected
    assert garden.has(unused)
    assert sweep(garden, delete=True).success
    assert [garden.has(key) for key in (unused, old)] == [False, False]
    assert all(garden.has(key) for key in (young, kept, theirs, nobodys, neighbour))
    assert garden.s3.head_object(Bucket=garden.bucket, Key=outside[1:])
    assert garden.foreign() == foreign


def test_what_a_rollback_may_need_is_no_orphan(garden: Garden) -> None:
    name = garden.graph.name
    before = garden.object(f"{name}/packages/{A}.zip", garden.tags())
    live = garden.object(f"{name}/packages/{B}.zip", garden.tags())
    judged = garden.object(f"{name}/onnx/{C}.onnx", garden.tags())
    first = write_live(garden, version=A)
    history = ReleaseHistory(releases=(first,))
    garden.graph.store.write_record(f"records/{name}/live_endpoint.history.json", history)
    write_live(garden, version=B)
    garden.graph.store.write_verdict(
        Verdict(
            asset_key=f"{name}/onnx_model", version=C, check="parity", blocking=True,
            passed=True, run_id="r", at="",
        )
    )  # fmt: skip
    assert rows(sweep(garden)) == []
    # A verdict holds on to what it judged for as long as things are kept; a record, for good.
    assert [row["name"] for row in rows(sweep(garden.keeping(days=0)))] == [judged]
    assert garden.has(before)
    assert garden.has(live)


def test_what_a_job_wrote_goes_with_its_job_and_not_before(garden: Garden) -> None:
    name = garden.graph.name
    short = garden.job("ours-1", garden.tags("of-another-instance"), script=SAVE)
    long = garden.job("ours-2", garden.tags("of-another-instance", ttl="30d"), script=SAVE)
    theirs = garden.job("theirs-1", {}, script=SAVE)
    running = garden.job("ours-3", garden.tags("of-another-instance", ttl="30d"))
    checkpoint = garden.object(f"{name}/checkpoints/{name}-ours/epoch-1.pt", {})
    output = garden.object(f"{name}/jobs/{running}/output/part", {})
    assert {garden.ended(job) for job in (short, long, theirs)} == {"Completed"}
    archives = {job: f"{name}/jobs/{job}/output/model.tar.gz" for job in (short, long, theirs)}
    assert all(garden.has(key) for key in archives.values())
    # As long as things are kept, a run that was lost after its job completed may adopt the archive.
    assert [row["name"] for row in rows(sweep(garden))] == [checkpoint]
    found = {row["name"] for row in rows(sweep(garden.keeping(days=0)))}
    assert found == {archives[short], checkpoint}
    assert garden.has(output)


def test_no_object_goes_while_a_run_of_the_model_is_under_way(garden: Garden) -> None:
    unused = garden.object(f"{garden.graph.name}/packages/{A}.zip", garden.tags())
    run_id = garden.run("STARTED")
    ran = sweep(garden, delete=True)
    assert ran.success
    assert rows(ran) == []
    assert any(run_id in message for message in ran.messages)
    run = garden.graph.instance.get_run_by_id(run_id)
    assert run is not None
    garden.graph.instance.report_run_canceled(run)
    assert sweep(garden, delete=True).success
    assert not garden.has(unused)


def test_contexts_of_ended_runs_are_orphans(garden: Garden) -> None:
    dead = garden.context("ours-dead", garden.run("FAILURE"))
    live = garden.context("ours-live", garden.run("STARTED"))
    training = garden.run("CANCELED")
    waited_for = garden.job("ours-trains-on", garden.tags(training))
    garden.wait_for(waited_for)
    needed = garden.context("ours-needed", training)
    theirs = garden.context("theirs", garden.run("FAILURE"), model="another")
    strange = garden.object("pipes/strange/context.json", {}, b"[1]")
    found = {row["name"] for row in rows(sweep(garden)) if row["kind"] == "Pipes context"}
    assert found == {dead}
    sweep(garden, delete=True)
    assert not garden.has(dead)
    assert all(garden.has(key) for key in (live, needed, theirs, strange))


def write_live(garden: Garden, version: str = A, app: str = "app") -> LiveEndpoint:
    live = LiveEndpoint(**endpoint(garden, version, app))
    garden.graph.store.write_latest(garden.graph.key("live_endpoint"), live)
    return live


def write_staged(garden: Garden) -> None:
    """What a staging leaves written down."""
    hosting = garden.hosting
    slot = SLOT if hosting.releases_by_slot else None
    app = hosting.app_name if slot else hosting.staging_app_name
    staged = StagedEndpoint(**{**endpoint(garden, B, app), "slot": slot})
    garden.graph.store.write_latest(garden.graph.key("staged_endpoint"), staged)


def endpoint(garden: Garden, version: str, app: str) -> dict[str, Any]:
    graph = garden.graph
    package = StoredObject(
        uri=graph.store.uri(f"{graph.name}/packages/{version}.zip"), sha256=version, size=5
    )
    return {
        "version": version,
        "lineage": {f"{graph.name}/function_package": version},
        "resource_group": garden.hosting.group_name,
        "app": app,
        "slot": None,
        "url": "https://127.0.0.1:1",
        "content_version": version,
        "package": package,
        "model": package,
    }


def test_a_time_to_live_is_read_as_written_and_in_doubt_as_for_good() -> None:
    def days(tags: dict[str, str]) -> float | None:
        left = time_to_live(tags, otherwise=7)
        return None if left is None else left.days

    assert days(ownership_tags("m", "r", 30)) == 30
    assert days(ownership_tags("m", "r", 0)) == 0
    assert days(ownership_tags("m", "r", None)) is None
    assert days({}) == 7
    assert [days({"mc-assets-ttl": odd}) for odd in ("90 days", "d", "-1d", "")] == [None] * 4


def test_references_are_addresses_folders_and_hashes_wherever_they_stand() -> None:
    text = json.dumps({"any": {"field": f"s3://b/p/m/dataset/{A}/training/"}, "lineage": [B]})
    needed = References.told_by("s3://b/p/", [text], {"s3://b/p/m/checkpoints/x"})
    for key in (
        f"m/dataset/{A}/training/images",
        f"m/packages/{B}.zip",
        "m/checkpoints/x",
        "m/checkpoints/x/epoch-1.pt",
    ):
        assert needed.covers(key), key
    for key in (f"m/packages/{C}.zip", "m/checkpoints/xy/epoch-1.pt", "m/checkpoints", "m"):
        assert not needed.covers(key), key


def test_what_holds_something_that_stays_is_not_unneeded() -> None:
    app, slot = Resource(SITES, "App", {}), Resource(SLOTS, "app/staging", {})
    plan = Resource(PLANS, "Plan", {})
    all_of_it, plans = [slot, app, plan], {"app": "plan"}
    held = what_each_holds(all_of_it, plans)
    assert unneeded(all_of_it, set(), held) == all_of_it
    assert unneeded([app, plan], set(), held) == [], "the slot is not ours"
    assert unneeded(all_of_it, {"app"}, held) == [slot]
    assert unneeded([plan], set(), what_each_holds([plan], {})) == [plan]
    assert unneeded([plan], set(), what_each_holds([plan], {"theirs": "plan"})) == []
