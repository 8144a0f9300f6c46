"""Which version a rollback goes back to, by the history alone."""

import dagster as dg
import pytest

from mc_assets.artifacts import LiveEndpoint, ReleaseHistory, StoredObject
from mc_assets.automation.rollback import choose


def release(number: int, letter: str, previous: str = "") -> LiveEndpoint:
    """A release of the version of that letter, which took the place of another."""
    return LiveEndpoint(
        version=letter * 64,
        lineage={},
        resource_group="g",
        app="a",
        slot=None,
        url="https://127.0.0.1:1",
        content_version=letter.upper() * 64,
        package=stored(letter),
        model=stored(letter),
        previous=stored(previous) if previous else None,
        number=number,
        since=f"day {number}",
    )


def stored(letter: str) -> StoredObject:
    return StoredObject(uri=f"s3://b/{letter}", sha256=letter * 64, size=1)


def refusal(history: ReleaseHistory, live: LiveEndpoint, to_version: str = "") -> str:
    with pytest.raises(dg.Failure) as refused:
        choose(history, live, to_version)
    assert not refused.value.allow_retries
    return str(refused.value.description)


def test_step_by_step_back_to_the_first() -> None:
    one, two, three = release(1, "a"), release(2, "b", "a"), release(3, "c", "b")
    history = ReleaseHistory(releases=(one, two, three))
    assert choose(history, three, "") == two
    assert choose(history, two, "") == one
    assert "Nothing was live before aaaaaaaaaaaa" in refusal(history, one)


def test_a_version_that_was_live_twice_is_no_circle() -> None:
    one, two, again = release(1, "a"), release(2, "b", "a"), release(3, "a", "b")
    history = ReleaseHistory(releases=(one, two, again))
    assert choose(history, again, "") == two
    assert choose(history, two, "") == one


def test_what_was_released_after_a_rollback_leads_back_past_what_was_left() -> None:
    one, left, three = release(1, "a"), release(2, "b", "a"), release(3, "c", "a")
    assert choose(ReleaseHistory(releases=(one, left, three)), three, "") == one


def test_the_same_files_with_another_lineage_are_no_step_back() -> None:
    one, two = release(1, "a"), release(2, "b", "a")
    again = release(3, "c", "b").model_copy(update={"content_version": two.content_version})
    history = ReleaseHistory(releases=(one, two, again))
    assert choose(history, again, "") == one
    only = ReleaseHistory(releases=(two.model_copy(update={"previous": None}), again))
    assert "Nothing was live before cccccccccccc" in refusal(only, again)


def test_a_version_is_named_by_its_first_digits() -> None:
    one, two = release(1, "a"), release(2, "b", "a")
    history = ReleaseHistory(releases=(one, two))
    assert choose(history, two, "a" * 8) == one
    assert choose(history, one, "b" * 64) == two
    assert choose(history, two, "A" * 12) == one, "as the endpoint names it"


@pytest.mark.parametrize("digits", ["aaaaaaa", "f" * 12])
def test_what_names_no_version_is_refused_with_those_that_were_live(digits: str) -> None:
    one, two = release(1, "a"), release(2, "b", "a")
    said = refusal(ReleaseHistory(releases=(one, two)), two, digits)
    assert "nothing was changed" in said
    assert "aaaaaaaaaaaa (since day 1), bbbbbbbbbbbb (since day 2)" in said
