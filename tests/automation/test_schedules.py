"""The schedules in simulated time: what fires when, over changes of the clock; and what waits."""

import subprocess
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise, takewhile
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._core.events import EngineEventData
from dagster._core.test_utils import create_run_for_test
from dagster._utils.schedules import schedule_execution_time_iterator
from dagster.components.resolved.errors import ResolutionException

from mc_assets.definitions import build_definitions
from mc_assets.lifecycle import ModelLifecycle
from summary import tell

TITLE = "automation: what fires when"
DAYS = 90
# The clocks go forward on 29 March 2026 in Berlin and on 8 March in New York; back on 25 October
# and on 1 November.
CHANGES = [
    ("Europe/Berlin", date(2026, 2, 1)),
    ("Europe/Berlin", date(2026, 9, 1)),
    ("America/New_York", date(2026, 2, 1)),
    ("America/New_York", date(2026, 9, 1)),
]


def definitions(**automation: object) -> dg.Definitions:
    lifecycle = ModelLifecycle.from_attributes_dict(
        attributes={"name": "m", "automation": automation}
    )
    return build_definitions("local", models=lifecycle.build())


def schedule(**automation: object) -> dg.ScheduleDefinition:
    """The one schedule that these choices make."""
    [found] = definitions(**automation).schedules or []
    assert isinstance(found, dg.ScheduleDefinition)
    return found


def ticks(of: dg.ScheduleDefinition, first: date) -> list[datetime]:
    """What Dagster's own iterator says for 90 days, in the schedule's time zone."""
    assert isinstance(of.cron_schedule, str)
    zone = ZoneInfo(of.execution_timezone or "UTC")
    begin = datetime(first.year, first.month, first.day, tzinfo=zone)
    days = begin.date() + timedelta(days=DAYS)
    end = datetime(days.year, days.month, days.day, tzinfo=zone)
    found = schedule_execution_time_iterator(begin.timestamp(), of.cron_schedule, str(zone))
    return list(takewhile(lambda tick: tick < end, found))


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as made:
        yield made


def evaluate(
    of: dg.ScheduleDefinition, at: datetime, instance: dg.DagsterInstance
) -> dg.RunRequest | str:
    """One tick: the run that it asks for, or why there is none."""
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=at)
    answer = of.evaluate_tick(context)
    requests = answer.run_requests or []
    assert len(requests) == (0 if answer.skip_message else 1)
    return answer.skip_message or requests[0]


@pytest.mark.parametrize(("zone", "first"), CHANGES)
@pytest.mark.parametrize("at", ["30 2", "0 3"])
def test_a_daily_tick_comes_once_a_day_whatever_the_clocks_do(
    at: str, zone: str, first: date, pytestconfig: pytest.Config
) -> None:
    """Half past two is not there on the spring night, and there twice on the autumn one."""
    daily = schedule(live_check={"cron": f"{at} * * *", "timezone": zone})
    found = ticks(daily, first)
    assert [tick.date() for tick in found] == [first + timedelta(days=n) for n in range(DAYS)]
    minute, hour = (int(part) for part in at.split())
    odd = [tick for tick in found if (tick.hour, tick.minute) != (hour, minute)]
    spring = first.month == 2
    # What falls into the gap comes at its end.
    assert [(tick.hour, tick.minute) for tick in odd] == ([(3, 0)] if spring and hour == 2 else [])
    around = [tick for tick, after in pairwise(found) if tick.utcoffset() != after.utcoffset()]
    assert len(around) == 1
    changed = [tick for tick in found if abs(tick - around[0]) <= timedelta(days=1, hours=1)]
    said = ", ".join(tick.strftime("%d %b %H:%M%z") for tick in changed)
    tell(pytestconfig, TITLE, f"daily at {hour}:{minute:02} {zone}: {len(found)} ticks; {said}")


@pytest.mark.parametrize(("zone", "first"), CHANGES)
def test_an_hourly_tick_comes_every_hour_that_passes(zone: str, first: date) -> None:
    hourly = schedule(live_check={"cron": "0 * * * *", "timezone": zone})
    found = [tick.astimezone(UTC) for tick in ticks(hourly, first)]
    assert {after - before for before, after in pairwise(found)} == {timedelta(hours=1)}
    spring = first.month == 2
    assert len(found) == DAYS * 24 + (-1 if spring else 1)


@pytest.mark.parametrize(("zone", "first"), CHANGES)
def test_ninety_days_of_retraining_really_evaluated(
    zone: str, first: date, instance: dg.DagsterInstance, pytestconfig: pytest.Config
) -> None:
    weekly = schedule(retraining={"cron": "0 3 * * 1", "timezone": zone})
    found = ticks(weekly, first)
    mondays = [first + timedelta(days=n) for n in range(DAYS)]
    assert [tick.date() for tick in found] == [day for day in mondays if day.weekday() == 0]
    assert {(tick.hour, tick.minute) for tick in found} == {(3, 0)}
    asked = [evaluate(weekly, tick, instance) for tick in found]
    assert all(isinstance(answer, dg.RunRequest) for answer in asked)
    said = ", ".join(tick.strftime("%d %b %H:%M%z") for tick in found)
    tell(pytestconfig, TITLE, f"weekly on Monday at 3:00 {zone}: {said}")


def test_a_tick_waits_for_the_last_run_but_not_for_one_that_was_killed(
    instance: dg.DagsterInstance, pytestconfig: pytest.Config
) -> None:
    weekly = schedule(retraining={"cron": "0 3 * * 1"})
    monday = datetime(2026, 3, 2, 3, tzinfo=UTC)
    with subprocess.Popen(["sleep", "600"]) as process:
        run = create_run_for_test(
            instance, job_name="m_retraining", status=dg.DagsterRunStatus.STARTED
        )
        worker = EngineEventData(metadata={"pid": dg.MetadataValue.text(str(process.pid))})
        instance.report_engine_event("Started process for run.", run, worker)
        skipped = evaluate(weekly, monday, instance)
        process.kill()
    assert skipped == (
        f"Run {run.run_id[:8]} of m_retraining is still under way: left out this time."
    )
    tell(pytestconfig, TITLE, f"{monday:%d %b %H:%M}, the last run goes on: {skipped}")
    assert isinstance(evaluate(weekly, monday + timedelta(days=7), instance), dg.RunRequest)


def test_a_run_that_starts_counts_and_one_that_never_began_or_changes_nothing_does_not(
    instance: dg.DagsterInstance,
) -> None:
    weekly, monday = schedule(retraining={"cron": "0 3 * * 1"}), datetime(2026, 3, 2, 3, tzinfo=UTC)
    create_run_for_test(instance, status=dg.DagsterRunStatus.NOT_STARTED)
    assert isinstance(evaluate(weekly, monday, instance), dg.RunRequest)
    starting = dg.DagsterRunStatus.STARTING
    create_run_for_test(instance, job_name="m_live_check", status=starting)
    for chosen in (["m", "source"], ["other", "dataset"]):
        keys = frozenset({dg.AssetKey(chosen)})
        create_run_for_test(instance, status=starting, asset_selection=keys)
    assert isinstance(evaluate(weekly, monday, instance), dg.RunRequest)
    create_run_for_test(instance, status=starting)
    assert "still under way" in str(evaluate(weekly, monday, instance))


@pytest.mark.parametrize("retrain", [False, True])
def test_what_retraining_launches(retrain: bool, instance: dg.DagsterInstance) -> None:
    choice = {"cron": "0 3 * * 1", "retrain": retrain}
    defs = definitions(retraining=choice)
    asked = evaluate(schedule(retraining=choice), datetime(2026, 3, 2, 3, tzinfo=UTC), instance)
    assert isinstance(asked, dg.RunRequest)
    config = {"ops": {"m__trained_model": {"config": {"retrain": True}}}} if retrain else {}
    assert asked.run_config == config
    job = defs.resolve_job_def("m_retraining")
    dg.validate_run_config(job, config)
    everything = defs.resolve_asset_graph().executable_asset_keys
    assert job.asset_layer.asset_graph.executable_asset_keys == everything
    assert set(asked.asset_selection or ()) == everything


def test_everything_is_off_until_it_is_switched_on() -> None:
    defs = definitions(
        retraining={"cron": "0 3 * * 1"},
        on_change={},
        live_check={"cron": "0 6 * * *"},
        notifications={"webhook": "HOOK"},
    )
    schedules = {each.name: each for each in defs.schedules or []}
    sensors = {each.name: each for each in defs.sensors or []}
    assert set(schedules) == {"m_retraining", "m_live_check"}
    assert set(sensors) == {"m_on_change", "m_notifications"}
    statuses = {each.default_status.value for each in [*schedules.values(), *sensors.values()]}  # pyright: ignore[reportAttributeAccessIssue] all have one
    assert statuses == {"STOPPED"}


@pytest.mark.parametrize(
    ("automation", "words"),
    [
        ({"retraining": {"cron": "every Monday"}}, "is no cron line"),
        ({"retraining": {"cron": "0 3 * * 1", "timezone": "Europe/Londn"}}, "is no time zone"),
        ({"retraining": {"cron": "0 3 * * 1", "retrian": True}}, "retrian"),
        ({"freshness": {"warn_after_hours": 5, "fail_after_hours": 5}}, "has to be less"),
        ({"live_check": {"cron": "0 6 * * *", "max_drop": 2}}, "less than or equal to 1"),
        ({"notifications": {"webhook": "https://hooks.example/secret"}}, "pattern"),
    ],
)
def test_a_wrong_choice_is_named(automation: dict[str, object], words: str) -> None:
    with pytest.raises((ValueError, ResolutionException), match=words):
        definitions(**automation)


def test_freshness_is_the_live_endpoint_s() -> None:
    defs = definitions(freshness={"warn_after_hours": 192, "fail_after_hours": 360})
    graph = defs.resolve_asset_graph()
    policies = {key.path[-1]: graph.get(key).freshness_policy for key in graph.get_all_asset_keys()}
    assert policies.pop("live_endpoint") == dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=360), warn_window=timedelta(hours=192)
    )
    assert set(policies.values()) == {None}
