"""Whether a run is still worked on: a process that was killed leaves its run "started" for ever."""

import os
from typing import Literal

import dagster as dg
import psutil

RunState = Literal["under way", "ended", "unknown"]
# A process's beginning is counted from the machine's, an event's time is told by its clock.
CLOCK_SECONDS = 1.0


def run_state(instance: dg.DagsterInstance, run_id: str | None) -> RunState:
    """Of any run's id; unknown is one that this Dagster instance has not heard of."""
    run = instance.get_run_by_id(run_id) if run_id else None
    if run is None:
        return "unknown"
    return "ended" if run.is_finished or not is_alive(instance, run.run_id) else "under way"


def is_alive(instance: dg.DagsterInstance, run_id: str, own_run_id: str = "") -> bool:
    """Whether a process that said it works on the run is still there; in doubt, it is.

    Args:
        own_run_id: the run that asks: this very process works on no other.
    """
    run = instance.get_run_by_id(run_id)
    if run is None:
        return False
    if not is_on_this_machine(instance):
        return not run.is_finished
    events = instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    told = [
        (event.dagster_event.engine_event_data.metadata.get("pid"), event.timestamp)
        for event in events
        if event.dagster_event
    ]
    processes = {(int(str(pid.value)), at) for pid, at in told if pid}
    if not processes:
        return not run.is_finished
    others = own_run_id not in ("", run_id)
    return any(_is_running(pid, at) for pid, at in processes if not (others and pid == os.getpid()))


def is_on_this_machine(instance: dg.DagsterInstance) -> bool:
    """Whether the history is a folder here, so that a process id in it is one of this machine's."""
    from dagster._core.storage.event_log import SqliteEventLogStorage  # and with it SQLAlchemy

    return isinstance(instance.event_log_storage, SqliteEventLogStorage)


def _is_running(pid: int, at: float) -> bool:
    """Whether the process that had this id at that time is still there.

    Ids are given anew: the first process of a container has the same one every time.
    """
    try:
        process = psutil.Process(pid)
        # A killed process whose parent has not asked after it is still listed, as a zombie.
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return process.create_time() <= at + CLOCK_SECONDS
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
