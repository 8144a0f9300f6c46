"""A world of stand-ins: one model's graph under its real conditions, whose steps take no time."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path

import dagster as dg
from dagster._core.definitions.asset_daemon_cursor import AssetDaemonCursor
from dagster._core.test_utils import freeze_time

from mc_assets.lifecycle import ModelLifecycle

STAGES = (
    "dataset",
    "trained_model",
    "onnx_model",
    "function_package",
    "staged_endpoint",
    "live_endpoint",
)


@dataclass(eq=False)
class World:
    """What the test changes: the source, the code, what fails; and what came of it.

    Attributes:
        source: what is in the dataset's folder.
        code: of each stage, by name, where it is not the first.
        broken: stages that fail.
        refused: blocking checks that do not pass, as `stage check`.
        runs: what was asked for at which time, the observations left out.
        observed: when the source was looked at.
        within: what was asked for in the middle of a run.
    """

    lifecycle: ModelLifecycle
    source: str = "first"
    code: dict[str, str] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    runs: list[tuple[datetime, tuple[str, ...], bool]] = field(default_factory=list)
    observed: list[datetime] = field(default_factory=list)
    within: list[str] = field(default_factory=list)
    instance: dg.DagsterInstance = field(default_factory=dg.DagsterInstance.ephemeral)
    cursor: AssetDaemonCursor | None = None
    now: datetime | None = None

    @classmethod
    def of(cls, folder: Path, cron: str, timezone: str) -> "World":
        attributes = {
            "name": "m",
            "dataset_folder": str(folder),
            "automation": {"on_change": {"cron": cron, "timezone": timezone}},
        }
        return cls(ModelLifecycle.from_attributes_dict(attributes=attributes))

    @cached_property
    def real(self) -> dg.Definitions:
        return self.lifecycle.build()

    @property
    def definitions(self) -> dg.Definitions:
        return self._built(tuple(sorted(self.code.items())))

    def tick(self, at: datetime) -> tuple[str, ...]:
        """Evaluate the conditions once, and run what they ask for as the sensor's daemon would."""
        self.now = at
        with freeze_time(at):
            asked = self._asked()
            if "source" in asked:  # never in one run with what is materialised
                self.observe()
                self.observed.append(at)
            stages = tuple(name for name in STAGES if name in asked)
            if stages:
                self.runs.append((at, stages, self.run(stages)))
        return stages

    def observe(self) -> None:
        """What a run that observes the source leaves, without the run: there are many."""
        tags = {"dagster/data_version": self.source}
        seen = dg.AssetObservation(self._key("source"), tags=tags)
        self.instance.report_runless_asset_event(seen)

    def by_hand(self, *stages: str, at: datetime) -> bool:
        self.now = at
        with freeze_time(at):
            return self.run(stages)

    def check_by_hand(self, stage: str, at: datetime) -> bool:
        """Run a stage's checks alone."""
        self.now = at
        chosen = dg.AssetSelection.checks_for_assets(self._key(stage))
        job = dg.define_asset_job("chosen", selection=chosen)
        defs = dg.Definitions.merge(self.definitions, dg.Definitions(jobs=[job]))
        with freeze_time(at):
            ran = defs.resolve_job_def("chosen").execute_in_process(
                instance=self.instance, raise_on_error=False
            )
        return ran.success

    def run(self, names: Iterable[str]) -> bool:
        job = self.definitions.resolve_implicit_global_asset_job_def()
        ran = job.execute_in_process(
            instance=self.instance,
            asset_selection=[self._key(name) for name in names],
            raise_on_error=False,
        )
        return ran.success

    def _asked(self) -> set[str]:
        result = dg.evaluate_automation_conditions(
            self.definitions, self.instance, evaluation_time=self.now, cursor=self.cursor
        )
        self.cursor = result.cursor
        return {
            each.key.path[-1]
            for each in result.results
            if isinstance(each.key, dg.AssetKey) and not each.true_subset.is_empty
        }

    def _key(self, name: str) -> dg.AssetKey:
        return dg.AssetKey([self.lifecycle.name, name])

    def _version(self, name: str) -> str:
        """Of a stage's result: by all that went into it."""
        before = STAGES[: STAGES.index(name) + 1]
        text = self.source + "".join(self.code.get(stage, "") for stage in before)
        return hashlib.sha256(text.encode()).hexdigest()

    @lru_cache(maxsize=8)  # noqa: B019 - a world lives as long as its test
    def _built(self, _code: tuple[tuple[str, str], ...]) -> dg.Definitions:
        assets = [self._stand_in(asset) for asset in self.real.assets or []]  # pyright: ignore[reportArgumentType] all are AssetsDefinitions
        checks = [
            self._check(spec)
            for check in self.real.asset_checks or []
            for spec in check.check_specs
        ]
        return dg.Definitions(assets=assets, asset_checks=checks, executor=dg.in_process_executor)

    def _stand_in(self, real: dg.AssetsDefinition) -> dg.AssetsDefinition:
        spec, name = real.get_asset_spec(), real.key.path[-1]
        if name == "source":

            @dg.multi_observable_source_asset(name="source", specs=[spec])
            def observe() -> dg.ObserveResult:
                return dg.ObserveResult(
                    asset_key=spec.key, data_version=dg.DataVersion(self.source)
                )

            return observe

        @dg.asset(
            key=spec.key,
            deps=spec.deps,
            code_version=self.code.get(name, "first"),
            automation_condition=spec.automation_condition,
        )
        def stand_in() -> dg.MaterializeResult:
            # The daemon ticks on while a run goes on.
            self.within += sorted(self._asked())
            if name in self.broken:
                raise dg.Failure(f"{name} is broken", allow_retries=False)
            return dg.MaterializeResult(data_version=dg.DataVersion(self._version(name)))

        return stand_in

    def _check(self, spec: dg.AssetCheckSpec) -> dg.AssetChecksDefinition:
        @dg.asset_check(asset=spec.asset_key, name=spec.name, blocking=spec.blocking)
        def check() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(
                passed=f"{spec.asset_key.path[-1]} {spec.name}" not in self.refused
            )

        return check
