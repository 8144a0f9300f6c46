"""What a step tries again, in real runs on an instance of their own."""

import dagster as dg
import pytest

from mc_assets import retrying

NEVER_AGAIN = "dagster/retry_on_asset_or_op_failure"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "PAUSES", (0, 0))


def run(*failures: Exception | None) -> tuple[bool, int, dict[str, str]]:
    """Success, number of tries and the run's tags, of a step that fails so on its tries."""
    tries = []

    @dg.asset
    @retrying.retried
    def step(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        failure = failures[min(len(tries), len(failures) - 1)]
        tries.append(context.retry_number)
        if failure:
            raise failure
        return dg.MaterializeResult()

    instance = dg.DagsterInstance.ephemeral()
    result = dg.materialize([step], instance=instance, raise_on_error=False)
    stored = instance.get_run_by_id(result.run_id)
    assert stored is not None
    assert tries == list(range(len(tries)))
    return result.success, len(tries), dict(stored.tags)


def test_a_failure_that_may_pass_is_tried_again() -> None:
    success, tries, tags = run(dg.Failure("throttled"), dg.Failure("throttled"), None)
    assert (success, tries) == (True, 3)
    assert NEVER_AGAIN not in tags


def test_a_failure_that_stays_ends_the_step_and_may_be_retried_as_a_run() -> None:
    success, tries, tags = run(dg.Failure("throttled"))
    assert (success, tries) == (False, 3)
    assert NEVER_AGAIN not in tags


def test_a_permanent_failure_is_retried_by_neither_step_nor_run() -> None:
    success, tries, tags = run(dg.Failure("no such role", allow_retries=False))
    assert (success, tries) == (False, 1)
    assert tags[NEVER_AGAIN] == "false"


def test_a_programming_error_is_permanent() -> None:
    success, tries, tags = run(ZeroDivisionError())
    assert (success, tries) == (False, 1)
    assert tags[NEVER_AGAIN] == "false"


def test_a_check_is_tried_again_likewise() -> None:
    tries = []

    @dg.asset
    def made() -> None: ...

    @dg.asset_check(asset="made")
    @retrying.retried
    def checked(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        tries.append(context.retry_number)
        if len(tries) < 3:
            raise dg.Failure("throttled")
        return dg.AssetCheckResult(passed=True)

    instance = dg.DagsterInstance.ephemeral()
    result = dg.materialize([made, checked], instance=instance, raise_on_error=False)
    assert result.success
    assert tries == [0, 1, 2]
    assert [check.passed for check in result.get_asset_check_evaluations()] == [True]
