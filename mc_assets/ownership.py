"""Tags on everything created: who owns it, which run made it, how long it may stay."""

from collections.abc import Mapping
from datetime import timedelta

import dagster as dg
from dagster._check import CheckError

OWNER_TAG = "mc-assets-owner"
RUN_TAG = "mc-assets-run"
TTL_TAG = "mc-assets-ttl"
# On a training job that is to go on when its run is interrupted: it has its time to live.
OUTLIVES_RUN_TAG = "mc-assets-outlives-run"

# Of what serves users, and of what says what is needed: it never becomes an orphan by age.
FOR_GOOD = "none"
RETENTION_DAYS = 30


def owner_of(model: str) -> str:
    return f"mc-assets/{model}"


def ownership_tags(model: str, run_id: str, retention_days: int | None) -> dict[str, str]:
    """The three tags; without a number of days it may stay for good."""
    ttl = FOR_GOOD if retention_days is None else f"{retention_days}d"
    return {OWNER_TAG: owner_of(model), RUN_TAG: run_id, TTL_TAG: ttl}


def is_owned(tags: Mapping[str, str] | None, model: str) -> bool:
    return (tags or {}).get(OWNER_TAG) == owner_of(model)


def time_to_live(tags: Mapping[str, str], otherwise: int) -> timedelta | None:
    """How long it may stay once nothing needs it; None for good.

    What an earlier release made has no such tag: `otherwise` says how many days. A tag that is not
    ours to read (somebody wrote `90 days`) is taken as for good: what is in doubt is not deleted.
    """
    written = tags.get(TTL_TAG, f"{otherwise}d")
    days = written.removesuffix("d")
    return timedelta(days=int(days)) if written.endswith("d") and days.isdecimal() else None


def current_run(resource: dg.ConfigurableResource) -> str:
    """The run that Dagster made the resource for; empty outside any, as in a shell."""
    try:
        run = resource.get_resource_context().run
    except CheckError:
        return ""
    return run.run_id if run else ""
