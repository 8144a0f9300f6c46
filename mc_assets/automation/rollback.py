"""The rollback job of one model: one step back, or to a named version that was live before."""

import dagster as dg

from mc_assets.artifacts import Endpoint, LiveEndpoint, ReleaseHistory
from mc_assets.model_settings import ModelSettings
from mc_assets.resources.artifact_store import ArtifactStore
from mc_assets.resources.endpoint_client import serving
from mc_assets.resources.release_pool import in_turn
from mc_assets.resources.releases import Releases
from mc_assets.retrying import retried
from mc_assets.stages.restoring import Ledger, restore

FEWEST_DIGITS = 8
BY_HAND = "by hand"
PATIENCE = 10.0  # seconds until an endpoint that does not answer counts as serving nothing


class RollbackRun(dg.Config):
    """Choices for one rollback."""

    to_version: str = ""
    """First digits, eight or more, of a version that was live; if not given the one before or,
    where something else is being served than what is written down as live, that."""
    reason: str = BY_HAND
    """Why; kept with the version that is left, which is then only released by an override."""


def build_rollback_job(model: ModelSettings, prefix: str) -> dg.JobDefinition:
    @dg.op(
        name=f"{prefix}roll_back",
        out=dg.Out(io_manager_key="nothing_kept"),
        pool=model.release_pool,
        description="Have a version that was live before serve users again.",
    )
    @retried
    @in_turn(model.release_pool)
    def roll_back(
        context: dg.OpExecutionContext,
        config: RollbackRun,
        artifact_store: ArtifactStore,
        releases: Releases,
    ) -> str:
        ledger = Ledger(artifact_store, model)
        live = ledger.live
        if live is None:
            raise dg.Failure(
                f"No version of {model.name} was ever live: there is nothing to go back to.",
                allow_retries=False,
            )
        if live.run_id == context.run.run_id:
            # This step, tried again: its last write was done, and only the answer to it was lost.
            left, target = None, live
        else:
            releases.let_end(ledger.hosting, context.log.info)
            left = what_serves(ledger, live)
            target = target_of(ledger, live, left, config.to_version.strip().lower())
        left_version = left.version if left else "unknown"
        context.log.info(f"Going from version {left_version[:12]} to {target.version[:12]}.")
        back = ledger.way_back(target)
        # Not baked: it was live before, and who goes back is in a hurry.
        restore(context, ledger, releases, back, left, config.reason.strip() or BY_HAND)
        context.add_output_metadata({"from_version": left_version, "to_version": target.version})
        return target.version

    @dg.job(
        name=f"{prefix}rollback",
        executor_def=dg.in_process_executor,
        description=f"Have the version of {model.name} that was live before serve users again, or "
        "the one that `to_version` names.",
    )
    def rollback() -> None:
        roll_back()

    return rollback


def what_serves(ledger: Ledger, live: LiveEndpoint) -> Endpoint | None:
    """The version that users are served by; None where nothing answers, or nothing known here."""
    found = serving(live.url, PATIENCE)
    return live if found == live.content_version else ledger.release_of(found)


def target_of(
    ledger: Ledger, live: LiveEndpoint, left: Endpoint | None, to_version: str
) -> LiveEndpoint:
    """The release to go back to, which is what is written down as live where that does not serve.

    A release that died in its bake leaves users with what no record names. A rollback that died has
    refused what is written down already, and is done again.

    Raises:
        dagster.Failure: there is none.
    """
    is_served = left is not None and left.version == live.version
    verdict = ledger.verdict(live.version)
    if not to_version and not is_served and (verdict is None or verdict.passed):
        return live
    return choose(ledger.history, live, to_version)


def choose(history: ReleaseHistory, live: LiveEndpoint, to_version: str) -> LiveEndpoint:
    """The one before what is live, or the one that was named, from what was ever live.

    Raises:
        dagster.Failure: there is none, or the digits do not name one; lists what was live.
    """
    if not to_version:
        before = history.before(live)
        if before is None:
            raise _refused(f"Nothing was live before {live.version[:12]}", history)
        return before
    if len(to_version) < FEWEST_DIGITS:
        raise _refused(f"to_version {to_version!r} has fewer than {FEWEST_DIGITS} digits", history)
    found = list(history.matching(to_version).values())
    if len(found) != 1:
        count = "no version" if not found else f"{len(found)} versions"
        raise _refused(f"to_version {to_version!r} names {count} that ever was live", history)
    return found[0]


def _refused(what: str, history: ReleaseHistory) -> dg.Failure:
    releases = [
        f"{past.version[:12]} (since {past.since or 'unknown'})" for past in history.releases
    ]
    return dg.Failure(
        f"{what}: nothing was changed. Live were, in order: {', '.join(releases)}.",
        allow_retries=False,
    )
