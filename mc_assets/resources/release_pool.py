"""The release pools: what a run that was killed holds of them is freed, or the next waits for ever.

Dagster frees what a run holds as its step ends, and its daemon what finished runs still hold. A run
that was killed does neither: it stays "started", and `dg launch` has no daemon that looks after it.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage

SUFFIX = "_release"
LOOK_SECONDS = 5.0


@contextmanager
def dead_runs_looked_for(instance: dg.DagsterInstance, log: dg.DagsterLogManager) -> Iterator[None]:
    """Free what dead runs hold, now and every few seconds while this run waits or works.

    Only where Dagster's history is a folder of this machine, so that a process id in it is one of
    this machine's; elsewhere Dagster's run monitoring, which knows the workers, does the same.
    """
    if not _is_on_this_machine(instance):
        yield
        return
    done = threading.Event()

    def look() -> None:
        while not done.wait(LOOK_SECONDS):
            free_dead_runs(instance, log)

    free_dead_runs(instance, log)
    looker = threading.Thread(target=look, name="dead-release-runs", daemon=True)
    looker.start()
    try:
        yield
    finally:
        done.set()
        looker.join()


def free_dead_runs(instance: dg.DagsterInstance, log: dg.DagsterLogManager) -> None:
    storage = instance.event_log_storage
    pools = [limit.name for limit in storage.get_pool_limits() if limit.name.endswith(SUFFIX)]
    for pool, info in storage.get_concurrency_infos(pools).items():
        steps = (*info.claimed_slots, *info.pending_steps)
        for run_id in {step.run_id for step in steps}:
            if not is_alive(instance, run_id):
                storage.free_concurrency_slots_for_run(run_id)
                log.warning(f"Run {run_id} died in the pool {pool}: its place is free again.")


def is_alive(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a process that said it works on the run is still there; in doubt, it is."""
    run = instance.get_run_by_id(run_id)
    if run is None:
        return False
    if not _is_on_this_machine(instance):
        return not run.is_finished
    events = instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    told = [
        event.dagster_event.engine_event_data.metadata.get("pid")
        for event in events
        if event.dagster_event
    ]
    pids = [int(str(pid.value)) for pid in told if pid]
    return any(map(_is_running, pids)) if pids else not run.is_finished


def _is_on_this_machine(instance: dg.DagsterInstance) -> bool:
    return isinstance(instance.event_log_storage, SqliteEventLogStorage)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # A killed process whose parent has not asked after it is still listed, as a zombie.
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")
