"""What of a model nothing needs any more, on SageMaker, on Azure and in S3: found, not touched."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import Any

import dagster as dg

from mc_assets.artifacts import Endpoint, LiveEndpoint, StagedEndpoint
from mc_assets.automation.runs import Runs
from mc_assets.model_settings import ModelSettings
from mc_assets.ownership import OUTLIVES_RUN_TAG, OWNER_TAG, RUN_TAG, is_owned, time_to_live
from mc_assets.resources.artifact_store import CONTEXTS, ArtifactStore, Listed, places_of
from mc_assets.resources.azure_group import PLANS, SITES, SLOTS, Resource, ResourceGroup
from mc_assets.resources.releases import SLOT
from mc_assets.resources.training_jobs import S3_URI, OwnJob, TrainingJobs

SHA256 = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
# Dagster's contexts for Pipes are some hundred bytes each.
CONTEXT_FILE, CONTEXT_BYTES = "/context.json", 1_000_000


@dataclass(frozen=True, slots=True)
class Orphan:
    """One thing that can go: `since` is when it was made, or the run that made it began."""

    kind: str
    name: str
    why: str
    since: datetime | None
    remove: Callable[[], None]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def row(self) -> dg.TableRecord:
        since = self.since.isoformat(timespec="seconds") if self.since else "unknown"
        return dg.TableRecord(
            {"kind": self.kind, "name": self.name, "why": self.why, "since": since}
        )


@dataclass(frozen=True)
class OrphanSearch:
    """One look at everything that one model has."""

    model: ModelSettings
    store: ArtifactStore
    jobs: TrainingJobs
    group: ResourceGroup
    runs: Runs
    log: Callable[[str], None]

    def all(self) -> list[Orphan]:
        """In the order in which they can be removed."""
        jobs = list(self.training_jobs())
        staying = {job.name for job in self._in_progress} - {orphan.name for orphan in jobs}
        return [*jobs, *self.azure_resources(), *self.contexts(staying), *self.objects()]

    def training_jobs(self) -> Iterator[Orphan]:
        """Jobs that train for nobody: their run has ended, and no other waits for them.

        Not one of a run with `forward_termination: false`: it goes on to be found again.
        """
        for job in self._in_progress:
            why = self._why_abandoned(job.tags.get(RUN_TAG, ""), job.created, job.tags)
            if why and not self.runs.is_waited_for(job.name):
                yield Orphan(
                    "training job", job.name, why, job.created, partial(self._stop_job, job)
                )

    def azure_resources(self) -> Iterator[Orphan]:
        """Slots, apps and plans of ours that neither defs.yaml nor the last release names; and the
        staging app that nothing was staged in for its time to live."""
        resources = self.group.resources()
        candidates = [each for each in resources if self._is_idle(each)]
        plans = self.group.plans_by_app() if candidates else {}
        serving, staging = self._serving_apps(), self._staging_apps()
        resting = self._resting(candidates) & (staging - serving)
        needed = (serving | staging) - resting
        for each in unneeded(candidates, needed, what_each_holds(resources, plans)):
            why, remove = "neither defs.yaml nor the last release names it", self.group.delete
            if each.name.lower() in resting:
                why, remove = "nothing was staged there for its time to live", self._delete_resting
            since = self.runs.started(each.tags.get(RUN_TAG, ""))
            yield Orphan(_KINDS[each.type], each.name, why, since, partial(remove, each))

    def contexts(self, staying: set[str]) -> Iterator[Orphan]:
        """Pipes contexts that killed runs have left, except those of the jobs that stay."""
        training = {job.tags.get(RUN_TAG) for job in self._in_progress if job.name in staying}
        for each in self.store.objects(CONTEXTS):
            run_id = self._run_of_context(each)
            if run_id is None or run_id in training:
                continue
            why = self._why_abandoned(run_id, each.modified, {})
            if why:
                remove = partial(self.store.delete, each.key)
                yield Orphan("Pipes context", each.key, why, each.modified, remove)

    def objects(self) -> Iterator[Orphan]:
        """Bytes that no record, no recent verdict and no retained training job refers to."""
        under_way = [run.run_id for run in self.runs.under_way()]
        if under_way:
            # Content of old, stored long ago, may be what such a run is about to refer to.
            self.log(
                "S3 objects were not looked at: what is under way may be about to use any of "
                f"them. Runs: {', '.join(under_way)}."
            )
            return
        needed = self._needed()
        for each in self.store.objects(places_of(self.model.name)[0]):
            if needed.covers(each.key):
                continue
            tags = self._owners_tags(each.key)
            if tags is not None and self._is_past(each.modified, tags):
                why = "no record, recent verdict or training job refers to it"
                remove = partial(self._delete_object, each.key)
                yield Orphan("S3 object", each.key, why, each.modified, remove)

    @cached_property
    def _in_progress(self) -> list[OwnJob]:
        return self.jobs.in_progress()

    def _why_abandoned(self, run_id: str, since: datetime, tags: Mapping[str, str]) -> str | None:
        """A run unknown here may be another Dagster instance's: what it made has its time, and so
        has a job that was started to outlive its run."""
        state = self.runs.state(run_id)
        if state == "under way":
            return None
        if state == "ended" and OUTLIVES_RUN_TAG not in tags:
            return f"its run {run_id} has ended"
        if not self._is_past(since, tags):
            return None
        became = "has ended" if state == "ended" else "is unknown here"
        return f"its run {run_id or '(none)'} {became}, and its time to live is over"

    def _is_past(self, since: datetime, tags: Mapping[str, str]) -> bool:
        allowed = time_to_live(tags, self.model.retention_days)
        return allowed is not None and datetime.now(UTC) - since > allowed

    def _stop_job(self, job: OwnJob) -> None:
        if self.runs.is_waited_for(job.name):
            raise dg.Failure(
                f"Training job {job.name} was not stopped: a run waits for it by now.",
                allow_retries=False,
            )
        self.jobs.stop(job.name)

    def _delete_object(self, key: str) -> None:
        self._require_no_run(self.store.uri(key))
        self.store.delete(key)

    def _delete_resting(self, resource: Resource) -> None:
        self._require_no_run(str(resource))
        self.group.delete(resource)

    def _require_no_run(self, what: str) -> None:
        if self.runs.under_way():
            raise dg.Failure(
                f"{what} was not deleted: a run has begun that may use it.", allow_retries=False
            )

    def _is_idle(self, resource: Resource) -> bool:
        """Whether it is of a kind that can be an orphan, ours, and of no run under way."""
        made_by = resource.tags.get(RUN_TAG, "")
        is_ours = resource.type in _KINDS and self.group.is_ours(resource)
        return is_ours and self.runs.state(made_by) != "under way"

    def _serving_apps(self) -> set[str]:
        """Names of what users need, in small letters as Azure compares: the app, its plan, and the
        slot, which holds the version before."""
        hosting = self.group.hosting
        names = {hosting.app_name, hosting.plan_name(hosting.app_name)}
        if hosting.releases_by_slot:
            names |= {f"{hosting.app_name}/{SLOT}"}
        # After a rename in defs.yaml the old app serves users until the next release.
        return {name.lower() for name in names | self._recorded(LiveEndpoint)}

    def _staging_apps(self) -> set[str]:
        hosting = self.group.hosting
        names = set() if hosting.releases_by_slot else {
            hosting.staging_app_name, hosting.plan_name(hosting.staging_app_name)
        }  # fmt: skip
        return {name.lower() for name in names | self._recorded(StagedEndpoint)}

    def _resting(self, candidates: list[Resource]) -> set[str]:
        """Names of those whose time to live is over since anything was staged.

        What was staged may go: its release would say that it has to be staged again, and the next
        staging makes app and plan anew.
        """
        _, records, _ = places_of(self.model.name)
        last = list(self.store.objects(f"{records}{StagedEndpoint.asset}.json"))
        if not last or self.runs.under_way():
            return set()
        return {
            each.name.lower() for each in candidates if self._is_past(last[0].modified, each.tags)
        }

    def _recorded(self, kind: type[Endpoint]) -> set[str]:
        """What the last record of such an endpoint names in the group."""
        record = self.store.latest(dg.AssetKey([self.model.name, kind.asset]), kind)
        group = self.group.hosting.group_name.lower()
        if record is None or record.resource_group.lower() != group:
            return set()
        return {f"{record.app}/{record.slot}" if record.slot else record.app, record.app}

    def _run_of_context(self, each: Listed) -> str | None:
        """The run that a Pipes context is of; None for what is not one of this model's."""
        if not each.key.endswith(CONTEXT_FILE) or each.size > CONTEXT_BYTES:
            return None
        try:
            context: Any = json.loads(self.store.text(each.key))
            models = {key.split("/")[0] for key in context["asset_keys"]}
            return str(context["run_id"]) if models == {self.model.name} else None
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    def _needed(self) -> "References":
        recent = datetime.now(UTC) - timedelta(days=self.model.retention_days)
        _, records, verdicts = places_of(self.model.name)
        texts = [self.store.text(each.key) for each in self.store.objects(records)]
        texts += [each.key for each in self.store.objects(verdicts) if each.modified > recent]
        retained = {job.name: job for job in [*self._in_progress, *self.jobs.since(recent)]}
        addresses = [self.jobs.addresses(job) for job in retained.values()]
        return References.told_by(self.store.uri(""), texts, set().union(*addresses))

    def _owners_tags(self, key: str) -> Mapping[str, str] | None:
        """The object's tags if it is ours; what SageMaker wrote has those of its training job."""
        tags = self.store.tags(key)
        if OWNER_TAG in tags:
            return tags if is_owned(tags, self.model.name) else None
        _, place, *names = key.split("/")
        made_by: list[OwnJob] = []
        if place == "jobs" and len(names) > 1:
            made_by = [job for job in self.jobs.named(names[0]) if job.name == names[0]]
        elif place == "checkpoints" and len(names) > 1:
            made_by = self.jobs.named(f"{names[0]}-")
        return made_by[0].tags if made_by else None


@dataclass(frozen=True, slots=True)
class References:
    """What is referred to: by its address, by a folder it is in, or by a sha256 in its key.

    Read from texts as they stand, whatever their fields are called: a record that a later release
    writes is not overlooked.
    """

    root: str
    sha256s: frozenset[str]
    addresses: frozenset[str]

    @classmethod
    def told_by(cls, root: str, texts: list[str], addresses: set[str]) -> "References":
        found = {address for text in texts for address in S3_URI.findall(text)} | addresses
        return cls(
            root,
            frozenset(sha256 for text in texts for sha256 in SHA256.findall(text)),
            frozenset(address.rstrip("/") for address in found),
        )

    def covers(self, key: str) -> bool:
        if not self.sha256s.isdisjoint(SHA256.findall(key)):
            return True
        parts = f"{self.root}{key}".split("/")
        return any("/".join(parts[:end]) in self.addresses for end in range(4, len(parts) + 1))


def what_each_holds(
    resources: list[Resource], plans_by_app: Mapping[str, str]
) -> dict[str, set[str]]:
    """Whatever would go with an app or stands in the way of a plan's deletion, whoever owns it.

    Names are in small letters: Azure does not tell them apart.
    """
    held: dict[str, set[str]] = {}
    for each in resources:
        if each.type == SLOTS:
            held.setdefault(each.app.lower(), set()).add(each.name.lower())
    for app, plan in plans_by_app.items():
        held.setdefault(plan, set()).add(app)
    return held


def unneeded(
    candidates: list[Resource], kept: set[str], held: Mapping[str, set[str]]
) -> list[Resource]:
    """Those that are not kept and hold nothing that stays; slots come first, plans last."""
    gone: list[Resource] = []
    for each in candidates:
        name = each.name.lower()
        if name not in kept and held.get(name, set()) <= {other.name.lower() for other in gone}:
            gone.append(each)
    return gone


_KINDS: Mapping[str, str] = {SLOTS: "slot", SITES: "function app", PLANS: "plan"}
