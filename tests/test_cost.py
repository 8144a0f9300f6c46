"""What training costs, and the budget that refuses a job."""

import pytest

from mc_assets.cost import Budget, BudgetError, Prices, spot_saving

PRICES = Prices({"ml.m5.xlarge": 0.23}, "USD", "2026-11")


def test_seconds_cost_their_share_of_an_hour_on_every_instance() -> None:
    assert PRICES.cost("ml.m5.xlarge", 1800, 2) == pytest.approx(0.23)


def test_without_a_price_there_is_no_estimate() -> None:
    assert PRICES.cost("ml.g5.xlarge", 1800) is None


def test_without_a_budget_every_job_may_run() -> None:
    Budget(PRICES).require_covers("ml.g5.xlarge", 10**9)


def test_a_job_within_the_budget_may_run() -> None:
    Budget(PRICES, per_job=0.23).require_covers("ml.m5.xlarge", 3600)


def test_a_job_that_could_cost_more_is_refused_with_its_worst_case() -> None:
    with pytest.raises(BudgetError, match=r"7200 s cost up to 0.46 USD .* as of 2026-11.* of 0.4"):
        Budget(PRICES, per_job=0.4).require_covers("ml.m5.xlarge", 7200)


def test_a_budget_without_a_price_refuses() -> None:
    with pytest.raises(BudgetError, match=r"no price for ml\.g5\.xlarge"):
        Budget(PRICES, per_job=1.0).require_covers("ml.g5.xlarge", 60)


@pytest.mark.parametrize(
    ("training", "billable", "saving"), [(100, 30, 0.7), (100, 100, 0), (0, 0, 0)]
)
def test_spot_saving_is_the_time_that_was_not_billed(
    training: float, billable: float, saving: float
) -> None:
    assert spot_saving(training, billable) == pytest.approx(saving)
