"""What this Dagster instance knows of the runs that things are tagged with."""

from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from mc_assets.run_state import RunState, run_state


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of one model, as seen from one of them."""

    instance: dg.DagsterInstance
    model: str
    own_run_id: str

    def state(self, run_id: str) -> RunState:
        """A run whose process was killed has ended, whatever is written down of it."""
        return run_state(self.instance, run_id)

    def under_way(self) -> list[dg.DagsterRun]:
        """Every other run that may be working on this model now."""
        runs = self.instance.get_runs(dg.RunsFilter(statuses=list(NOT_FINISHED_STATUSES)))
        return [
            run
            for run in runs
            if run.run_id != self.own_run_id
            and self._concerns_model(run)
            and self.state(run.run_id) == "under way"
        ]

    def is_waited_for(self, job: str) -> bool:
        """Whether a run under way has named the training job in its log: it has attached to it."""
        return any(
            job in event.message
            for run in self.under_way()
            for event in self.instance.all_logs(run.run_id)
        )

    def started(self, run_id: str) -> datetime | None:
        record = self.instance.get_run_record_by_id(run_id) if run_id else None
        return record.create_timestamp.astimezone(UTC) if record else None

    def _concerns_model(self, run: dg.DagsterRun) -> bool:
        """In doubt, it does: a job that is not about assets does not say."""
        checked = {check.asset_key for check in run.asset_check_selection or ()}
        chosen = {*(run.asset_selection or ()), *checked}
        return not chosen or any(key.path[0] == self.model for key in chosen)
