"""`automation` in defs.yaml: what runs by itself, when, and who is told of failures."""

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import dagster as dg
from dagster._utils.schedules import is_valid_cron_schedule
from pydantic import AfterValidator, ConfigDict, Field, model_validator


def _as_cron(text: str) -> str:
    if not is_valid_cron_schedule(text):
        raise ValueError(
            f"{text!r} is no cron line: it takes five fields (minute, hour, day of the month, "
            'month, day of the week), as in "0 3 * * 1".'
        )
    return text


def _as_timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone, as Europe/London is one.") from error
    return name


Cron = Annotated[str, AfterValidator(_as_cron)]
TimeZone = Annotated[str, AfterValidator(_as_timezone)]
Hours = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Choices(dg.Model):
    """Choices are made once, in defs.yaml."""

    model_config = ConfigDict(frozen=True)


class Retraining(Choices, dg.Resolvable):
    """The schedule `retraining`: everything, from the source to the live endpoint."""

    cron: Cron = Field(description="When: minute, hour, day of the month, month, weekday.")
    timezone: TimeZone = Field(default="UTC", description="Of `cron`.")
    retrain: bool = Field(
        default=False,
        description="Start a training job even where data, code and hyperparameters are those of "
        "one that has completed.",
    )


class OnChange(Choices, dg.Resolvable):
    """The sensor `on_change`: what was made from something that has changed is made anew."""

    cron: Cron = Field(
        default="0 * * * *", description="When to look whether the dataset's source has changed."
    )
    timezone: TimeZone = Field(default="UTC", description="Of `cron`.")


class Freshness(Choices, dg.Resolvable):
    """How long the live endpoint may go without being materialised."""

    warn_after_hours: Hours | None = Field(
        default=None, description="Then Dagster's UI shows it as a warning."
    )
    fail_after_hours: Hours = Field(description="Then Dagster's UI shows it as overdue.")

    @model_validator(mode="after")
    def _in_order(self) -> "Freshness":
        if self.warn_after_hours and self.warn_after_hours >= self.fail_after_hours:
            raise ValueError("warn_after_hours has to be less than fail_after_hours.")
        return self


class LiveCheck(Choices, dg.Resolvable):
    """The schedule `live_check`: the live endpoint's checks, with one for drift among them."""

    cron: Cron = Field(description="When: minute, hour, day of the month, month, weekday.")
    timezone: TimeZone = Field(default="UTC", description="Of `cron`.")
    max_drop: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.005,
        description="How much less accurate than at its promotion the live endpoint may be before "
        "accuracy_drift warns.",
    )


class Notifications(Choices, dg.Resolvable):
    """The sensor `notifications`: failed runs and failed checks are posted to a webhook."""

    webhook: str = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Name of the environment variable that holds the webhook's URL: a secret.",
    )
    ui: Annotated[str, Field(pattern=r"^https?://")] | None = Field(
        default=None,
        description="Address of your Dagster UI: the messages then link the run.",
    )


class Automation(Choices, dg.Resolvable):
    """Each is there once it is named, and off until it is switched on in Dagster."""

    retraining: Retraining | None = Field(
        default=None, description="A schedule that materialises everything."
    )
    on_change: OnChange | None = Field(
        default=None, description="A sensor that follows changes of the data and of the code."
    )
    freshness: Freshness | None = Field(
        default=None, description="How long the live endpoint counts as fresh; always on."
    )
    live_check: LiveCheck | None = Field(
        default=None, description="A schedule that runs the live endpoint's checks."
    )
    notifications: Notifications | None = Field(
        default=None, description="A sensor that tells a webhook what failed."
    )
