"""Following changes: the real conditions, ticked through simulated days, on stand-ins that run."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from stand_ins import STAGES, World

from mc_assets.definitions import build_definitions
from mc_assets.lifecycle import ModelLifecycle
from summary import tell

BERLIN = ZoneInfo("Europe/Berlin")
BEGIN = datetime(2026, 2, 1, tzinfo=UTC)
DAYS = 90
TICKS_A_DAY = 2


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Everything made once, by hand, and the sensor switched on; nothing changes yet."""
    made = World.of(tmp_path, "0 23 * * *", "Europe/Berlin")
    assert made.by_hand("source", *STAGES, at=BEGIN)
    made.within.clear()
    assert made.tick(at(0)) == ()
    return made


def at(day: int, tick: int = 0) -> datetime:
    return BEGIN + timedelta(days=day, hours=24 / TICKS_A_DAY * tick, minutes=5)


def ticked(world: World, first: int, days: int = 3) -> list[tuple[str, ...]]:
    """What some days' ticks ask for, where they ask for anything."""
    asked = [
        world.tick(at(day, tick))
        for day in range(first, first + days)
        for tick in range(TICKS_A_DAY)
    ]
    return [stages for stages in asked if stages]


def test_nothing_is_asked_for_while_nothing_changes(world: World) -> None:
    assert ticked(world, 1, days=5) == []
    assert len(world.observed) == 5


def test_a_changed_source_has_everything_made_anew_in_one_run(world: World) -> None:
    world.source = "second"
    assert ticked(world, 1) == [STAGES]
    assert world.within == []


def test_changed_training_code_leaves_the_dataset_alone(world: World) -> None:
    world.code["trained_model"] = "second"
    assert ticked(world, 1) == [STAGES[1:]]


def test_a_changed_function_is_packed_and_released_and_nothing_is_trained(world: World) -> None:
    world.code["function_package"] = "second"
    assert ticked(world, 1) == [STAGES[3:]]


def test_a_source_that_is_touched_but_equal_changes_nothing(world: World) -> None:
    assert world.by_hand("source", at=at(1))
    assert world.by_hand("dataset", at=at(1))
    assert ticked(world, 1) == []


@pytest.mark.parametrize("check", ["files_and_shapes"])
def test_what_a_failed_check_holds_back_goes_on_once_it_has_passed(
    world: World, check: str
) -> None:
    """A dataset made by hand: its followers come by themselves, or wait for its check."""
    world.source, world.refused = "second", {f"dataset {check}"}
    assert world.by_hand("source", "dataset", at=at(1)) is False
    assert ticked(world, 1) == []
    world.refused.clear()
    assert world.check_by_hand("dataset", at=at(4))
    assert ticked(world, 4) == [STAGES[1:]]


def test_a_check_that_warns_holds_nothing_back(world: World) -> None:
    world.source, world.refused = "second", {"dataset class_balance"}
    assert world.by_hand("source", "dataset", at=at(1))
    assert ticked(world, 1) == [STAGES[1:]]


def test_after_a_failed_check_the_next_change_is_followed_to_the_end(world: World) -> None:
    world.source, world.refused = "second", {"onnx_model test_accuracy"}
    assert ticked(world, 1) == [STAGES]
    assert world.runs[-1][2] is False
    world.source, world.refused = "third", set()
    assert ticked(world, 4) == [STAGES]
    assert world.runs[-1][2] is True


def test_ninety_days(world: World, pytestconfig: pytest.Config) -> None:
    """Each change is tried once, however long what is broken stays so."""
    events: dict[int, tuple[str, Callable[[], object]]] = {
        10: ("new data", lambda: setattr(world, "source", "second")),
        20: ("new training code", lambda: world.code.update(trained_model="second")),
        30: ("new data that fails its check", lambda: _change(world, "bad", refuse="dataset")),
        40: ("the data is put right", lambda: _change(world, "third")),
        50: ("new data, and training is broken", lambda: _change(world, "fourth", "trained_model")),
        70: ("its code is mended", lambda: _mend(world)),
        80: ("new function", lambda: world.code.update(function_package="second")),
    }
    for day in range(1, DAYS):
        if day in events:
            events[day][1]()
        for tick in range(TICKS_A_DAY):
            world.tick(at(day, tick))
    found = [((when - BEGIN).days, stages, ok) for when, stages, ok in world.runs]
    assert found == [
        (10, STAGES, True),
        (20, STAGES[1:], True),
        (30, STAGES, False),
        (40, STAGES, True),
        (50, STAGES, False),
        (70, STAGES[1:], True),
        (80, STAGES[3:], True),
    ]
    assert world.within == []
    days = [when.astimezone(BERLIN).date() for when in world.observed]
    assert {after - before for before, after in pairwise(days)} == {timedelta(days=1)}
    ticks = (DAYS - 1) * TICKS_A_DAY
    title = "automation: what was followed in 90 days"
    tell(pytestconfig, title, f"{ticks} ticks, {len(days)} looks at the source")
    for when, stages, ok in world.runs:
        what = f"{events[(when - BEGIN).days][0]}: {stages[0]} to {stages[-1]}"
        tell(pytestconfig, title, f"{when:%d %b %H:%M} {what}: {'well' if ok else 'failed'}")


def test_the_public_files_are_not_looked_at_again_and_again() -> None:
    lifecycle = ModelLifecycle.from_attributes_dict(
        attributes={"name": "m", "automation": {"on_change": {}}}
    )
    graph = build_definitions("local", models=lifecycle.build()).resolve_asset_graph()
    conditions = {
        key.path[-1]: graph.get(key).automation_condition for key in graph.get_all_asset_keys()
    }
    assert [name for name, condition in conditions.items() if condition is None] == ["source"]


def _change(world: World, source: str, broken: str = "", refuse: str = "") -> None:
    world.source = source
    world.broken = {broken} if broken else set()
    world.refused = {f"{refuse} files_and_shapes"} if refuse else set()


def _mend(world: World) -> None:
    world.broken = set()
    world.code["trained_model"] = "third"
