"""What training costs: an estimate from the user's dated prices, and a budget that refuses."""

from collections.abc import Mapping
from dataclasses import dataclass, field

SECONDS_PER_HOUR = 3600


class BudgetError(Exception):
    """A job is not to be paid for; the text says why."""


@dataclass(frozen=True)
class Prices:
    """On-demand prices per instance and hour, as the user looked them up.

    AWS is never asked: its price list has no stable address per instance type, and a price that
    changes under a budget is a budget that refuses without a reason.
    """

    per_hour: Mapping[str, float] = field(default_factory=dict)
    currency: str = "USD"
    as_of: str = ""

    def cost(self, instance_type: str, seconds: float, instances: int = 1) -> float | None:
        """Of that many seconds on that many instances; None without a price."""
        price = self.per_hour.get(instance_type)
        return None if price is None else price * instances * seconds / SECONDS_PER_HOUR

    def quote(self, instance_type: str) -> str:
        dated = f" as of {self.as_of}" if self.as_of else ", undated"
        return f"{self.per_hour[instance_type]} {self.currency} per hour of {instance_type}{dated}"


@dataclass(frozen=True)
class Budget:
    """The most that one training job may cost, if it runs for as long as it is allowed to."""

    prices: Prices = field(default_factory=Prices)
    per_job: float | None = None

    def require_covers(self, instance_type: str, max_runtime: int) -> None:
        """Refuse a job whose worst case is beyond the budget, before it is submitted.

        Args:
            max_runtime: seconds after which SageMaker stops the job.

        Raises:
            BudgetError: the worst case costs more, or there is no price to tell.
        """
        if self.per_job is None:
            return
        worst = self.prices.cost(instance_type, max_runtime)
        currency = self.prices.currency
        if worst is None:
            raise BudgetError(
                f"training.cost.budget_per_job is {self.per_job} {currency}, but "
                f"training.cost.prices has no price for {instance_type}: add it to defs.yaml."
            )
        if worst > self.per_job:
            raise BudgetError(
                f"{max_runtime} s cost up to {worst:.2f} {currency} "
                f"({self.prices.quote(instance_type)}), beyond training.cost.budget_per_job of "
                f"{self.per_job} {currency}: lower training.max_runtime, choose a cheaper "
                "training.instance_type, or raise the budget in defs.yaml."
            )


def spot_saving(training_seconds: float, billable_seconds: float) -> float:
    """Share of the training time that spot capacity did not charge for.

    source: SageMaker's developer guide on managed spot training.
    """
    return 1 - billable_seconds / training_seconds if training_seconds else 0.0
