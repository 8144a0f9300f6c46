"""A staged package on its way to the users, and back again whenever anything goes wrong on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._utils.interrupts import capture_interrupts

from mc_assets.artifacts import Dataset, FunctionPackage, LiveEndpoint, Override, StagedEndpoint
from mc_assets.bake import Bake, bake
from mc_assets.gates import now
from mc_assets.hosting import Hosting
from mc_assets.resources.endpoint_client import serving
from mc_assets.resources.releases import Candidate, Release, Releases
from mc_assets.stages import dataset as dataset_stage
from mc_assets.stages import function_package as function_package_stage
from mc_assets.stages.restoring import Ledger, WayBack, bring_back, restore, write_down

if TYPE_CHECKING:
    import numpy as np

TestSet = tuple["np.ndarray", "np.ndarray"]


class UnfitError(Exception):
    """A version did wrong before users' eyes; the text says what, after its name."""


@dataclass(frozen=True)
class Promotion:
    """One release of what is staged; what was live as it began is read once."""

    context: dg.AssetExecutionContext
    ledger: Ledger
    releases: Releases
    staged: StagedEndpoint

    @cached_property
    def live(self) -> LiveEndpoint | None:
        return self.ledger.live

    @cached_property
    def candidate(self) -> Candidate:
        return Candidate(self.ledger.store.read(self.staged.package), self.staged.content_version)

    @property
    def is_live(self) -> bool:
        """Whether its release ended well once: a run that died in the bake wrote nothing down."""
        return self.live is not None and self.live.version == self.staged.version

    @property
    def hosting(self) -> Hosting:
        return self.ledger.hosting

    def way_back(self) -> tuple[WayBack | None, list[str]]:
        """What to bring back should this one be unfit, proven now; or what speaks against going."""
        before = self.live
        if before and before.content_version == self.staged.content_version:
            before = self.ledger.history.before(before)
        try:
            return self.ledger.way_back(before) if before else None, []
        except dg.Failure as failure:
            return None, [str(failure.description)]

    def objections(self) -> list[str]:
        """What no check says: that there is a newer package, or that this one was taken back."""
        version = self.staged.version
        found = []
        newest = self.ledger.store.latest(
            function_package_stage.key_of(self.ledger.model), FunctionPackage
        )
        if newest and newest.version != version:
            found.append(
                f"package {version[:12]} is older than the newest, {newest.version[:12]}: stage "
                "that one, or go back to one that was live by the rollback job"
            )
        refusal = self.ledger.refusal(self.staged)
        return [*found, refusal] if refusal else found

    def require_staged(self) -> None:
        """Have the package run where it was tried; a later release may have taken its place.

        Its verdicts are about its hash, and hold.

        Raises:
            dagster.Failure: nothing at all runs there.
        """
        _, url = self.releases.whereabouts(self.staged)
        found = serving(url)
        if found is None:
            raise dg.Failure(
                f"{self.staged.url} serves nothing, not the staged package "
                f"{self.staged.content_version[:12]}: materialise staged_endpoint again.",
                allow_retries=False,
            )
        if found != self.staged.content_version:
            log = self.context.log.info
            log(f"{url} serves {found[:12]}, of a later release: staging this package again.")
            self.releases.stage(self.hosting, self.candidate, redeploy=False, log=log)

    def test_set(self) -> TestSet:
        """What the bake will ask, read while users are served as ever.

        Raises:
            dagster.Failure: the dataset's record or its files are gone.
        """
        store, key = self.ledger.store, dataset_stage.key_of(self.ledger.model)
        dataset = store.latest(key, Dataset)
        if dataset is None:
            raise dg.Failure(
                f"The record of {key.to_user_string()}, which the bake asks the endpoint with, is "
                "gone: materialise it again.",
                allow_retries=False,
            )
        # Of a dataset nothing but the newest record is kept.
        made_from = self.staged.lineage.get(key.to_user_string(), dataset.version)
        if made_from != dataset.version:
            self.context.log.warning(
                f"The bake asks dataset {dataset.version[:12]}; the package was made from "
                f"{made_from[:12]}."
            )
        return dataset_stage.read_test_set(store, dataset)

    @contextmanager
    def taken_back_on_failure(self, back: WayBack | None) -> Iterator[None]:
        """Whatever goes wrong inside ends with users served as before.

        An unfit version is refused and ends the run with why. Anything else, an interrupt too, is
        raised again once it is undone: the version was found neither good nor bad, and the next run
        tries it anew. A second Ctrl-C waits for that.
        """
        try:
            yield
        except UnfitError as unfit:
            with capture_interrupts():
                failure = self._refused(back, str(unfit))
            raise failure from unfit.__cause__
        except BaseException as error:
            interrupted = isinstance(error, (DagsterExecutionInterruptedError, KeyboardInterrupt))
            what = "an interrupt" if interrupted else type(error).__name__
            with capture_interrupts():
                self._undo(back, f"{what} ended its release")
            raise

    def promote(self, redeploy: bool) -> Release:
        """Have users served.

        Raises:
            UnfitError: users are no longer served by what was live, nor by this.
            dagster.Failure: it failed, and they are served as before.
        """
        log = self.context.log.info
        try:
            return self.releases.promote(self.hosting, self.candidate, redeploy, log)
        except dg.Failure as failure:
            if self.live is None:
                raise
            self.releases.let_end(self.hosting, log)
            if serving(self.live.url) == self.live.content_version:
                raise
            problem = f"was promoted but does not serve: {failure.description}"
            raise UnfitError(problem) from failure

    def record(self, release: Release, override: Override | None) -> LiveEndpoint:
        """The release as the next of the history; of the version that is live, as what it is."""
        live, key = self.live, self.ledger.key.to_user_string()
        record = LiveEndpoint(
            version=self.staged.version,
            lineage={**self.staged.lineage, key: self.staged.version},
            resource_group=release.app.group,
            app=release.app.name,
            slot=None,
            url=release.app.url,
            content_version=self.staged.content_version,
            package=self.staged.package,
            model=self.staged.model,
            job_arn=self.staged.job_arn,
            previous=live.package if live else None,
            number=self.ledger.next_number,
            since=now(),
            run_id=self.context.run.run_id,
            override=override,
        )
        if live is None or not self.is_live:
            return record
        names = ("previous", "number", "since", "run_id", "brought_back")
        kept = {name: getattr(live, name) for name in names}
        return record.model_copy(update={**kept, "override": override or live.override})

    def bake(self, record: LiveEndpoint, test_set: TestSet) -> Bake:
        """What calling it for a while found.

        Raises:
            UnfitError: something amiss.
        """
        before = self.live.content_version if self.live and self.hosting.versions_overlap else ""
        found = bake(
            self.releases.client(record),
            record.content_version,
            *test_set,
            self.ledger.model.gates,
            before,
            self.context.log.info,
        )
        if found.problem:
            raise UnfitError(f"failed its bake: {found.problem}")
        return found

    def _refused(self, back: WayBack | None, problem: str) -> dg.Failure:
        """Bring back what was live before; the failure to end the run with says what serves now.

        A first release has nothing to go back to. It stays, and no record calls it live: nobody
        relied on the endpoint before. A stopped app could not be looked into, and would have to be
        started for the next release: it would serve the refused version until that one is there.
        """
        version, run_id = self.staged.version, self.context.run.run_id
        said = f"Package {version[:12]} {problem}."
        self.context.log.error(said)
        metadata = {"refused_version": version, "reason": problem}
        if back is None:
            self.ledger.refuse(self.staged, run_id, problem)
            now_serving = (
                "There is no version before it to go back to, so it is left as it is: `dg launch "
                "--job teardown` takes it down."
            )
            return dg.Failure(f"{said} {now_serving}", metadata=metadata, allow_retries=False)
        before = back.record.version
        try:
            restore(self.context, self.ledger, self.releases, back, self.staged, problem)
        except dg.Failure as failure:
            now_serving = _not_back(back, failure)
        else:
            now_serving = f"{back.record.url} serves the version before it again, {before[:12]}."
            metadata["serving_version"] = before
        return dg.Failure(f"{said} {now_serving}", metadata=metadata, allow_retries=False)

    def _undo(self, back: WayBack | None, why: str) -> None:
        """Have users served by what is written down as live; why it could not be is in the log."""
        log, version = self.context.log, self.staged.version[:12]
        recorded = self._way_to_recorded(back)
        if recorded is None:
            log.warning(
                f"Package {version}: {why}, and there is no version before it to go back to. If it "
                "was promoted it stays, not called live; the next run bakes it."
            )
            return
        log.warning(f"Package {version}: {why}. Having {recorded.record.version[:12]} serve.")
        try:
            release = bring_back(self.context, self.ledger, self.releases, recorded)
            if release.changed:
                write_down(self.context, self.ledger, recorded, release, None, why)
        except dg.Failure as failure:
            not_back = _not_back(recorded, failure)
        else:
            return
        log.error(not_back)

    def _way_to_recorded(self, back: WayBack | None) -> WayBack | None:
        if self.live and self.live.content_version == self.staged.content_version:
            return WayBack(self.live, self.candidate)
        return back


def _not_back(back: WayBack, failure: dg.Failure) -> str:
    return (
        f"Going back to {back.record.version[:12]} failed too: {failure.description} Until the "
        f"rollback job has brought a version back, {back.record.url} may serve the new one."
    )
