"""The release pools: one run at a time in each, and none blocked for ever by a run that was killed.

Dagster frees what a run holds as its step ends, and its daemon what finished runs still hold. A run
that was killed does neither: it stays "started", and `dg launch` has no daemon that looks after it.
"""

import fcntl
import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, TypeVar

import dagster as dg
from dagster._core.instance.config import PoolGranularity

from mc_assets.run_state import is_alive, is_on_this_machine

SUFFIX = "_release"
LOOK_SECONDS = 5.0
ALONE = "Alone in the pool"
ResultT = TypeVar("ResultT")


def in_turn(pool: str) -> Callable[[Callable[..., ResultT]], Callable[..., ResultT]]:
    """Have a step that Dagster let into the pool hold it for certain.

    Of two claims within some milliseconds both succeed where the history is SQLite, which locks no
    rows: two releases began at once that way. A file's lock has no such gap, and ends with its
    process however that ends.
    """

    def wrap(step: Callable[..., ResultT]) -> Callable[..., ResultT]:
        @functools.wraps(step)
        def alone(context: dg.OpExecutionContext, *arguments: object, **named: object) -> ResultT:
            with _held(context, pool):
                return step(context, *arguments, **named)

        return alone

    return wrap


@contextmanager
def _held(context: dg.OpExecutionContext, pool: str) -> Iterator[None]:
    if not is_on_this_machine(context.instance):
        yield
        return
    with (Path(context.instance.root_directory) / f"{pool}.lock").open("w") as lock:
        while not _is_locked(lock):
            time.sleep(0.2)
        context.log.info(f"{ALONE} {pool}.")
        yield


def _is_locked(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def ensure_limited(
    instance: dg.DagsterInstance, run: dg.DagsterRun, log: dg.DagsterLogManager
) -> None:
    """Have the release pools that this run will ask for let one in at a time.

    Dagster lets everybody into a pool without a limit, as all are where its dagster.yaml is not
    this project's.

    Raises:
        dagster.Failure: somebody has set it otherwise, and it cannot be set for one pool.
    """
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits or run.execution_plan_snapshot_id is None:
        return
    steps = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id).steps
    pools = sorted({step.pool for step in steps if step.pool and step.pool.endswith(SUFFIX)})
    config = storage.get_pool_config()
    if pools and config.pool_granularity == PoolGranularity.RUN:
        raise dg.Failure(
            f"Two releases at once would both get into the pool {pools[0]}: put `concurrency: "
            "{pools: {granularity: op}}` into dagster.yaml in DAGSTER_HOME.",
            allow_retries=False,
        )
    limits = {limit.name: limit for limit in storage.get_pool_limits()}
    for pool in pools:
        limit = limits.get(pool)
        if limit is not None and not limit.from_default:
            if limit.limit > 1:
                raise dg.Failure(
                    f"The limit of the pool {pool} is {limit.limit}, so that as many releases at "
                    "once would get in: set it to 1 under Deployment, Concurrency in Dagster's UI.",
                    allow_retries=False,
                )
        elif config.default_pool_limit != 1:
            log.info(f"The pool {pool} lets one release in at a time from now on.")
            storage.set_concurrency_slots(pool, 1)


@contextmanager
def dead_runs_looked_for(
    instance: dg.DagsterInstance, run_id: str, log: dg.DagsterLogManager
) -> Iterator[None]:
    """Free what dead runs hold, now and every few seconds while this run waits or works.

    Only where Dagster's history is a folder of this machine, so that a process id in it is one of
    this machine's; elsewhere Dagster's run monitoring, which knows the workers, does the same.
    """
    if not is_on_this_machine(instance):
        yield
        return
    done = threading.Event()

    def look() -> None:
        while not done.wait(LOOK_SECONDS):
            free_dead_runs(instance, run_id, log)

    free_dead_runs(instance, run_id, log)
    looker = threading.Thread(target=look, name="dead-release-runs", daemon=True)
    looker.start()
    try:
        yield
    finally:
        done.set()
        looker.join()


def free_dead_runs(
    instance: dg.DagsterInstance, own_run_id: str, log: dg.DagsterLogManager
) -> None:
    storage = instance.event_log_storage
    pools = [limit.name for limit in storage.get_pool_limits() if limit.name.endswith(SUFFIX)]
    for pool, info in storage.get_concurrency_infos(pools).items():
        steps = (*info.claimed_slots, *info.pending_steps)
        for run_id in {step.run_id for step in steps}:
            if not is_alive(instance, run_id, own_run_id):
                storage.free_concurrency_slots_for_run(run_id)
                log.warning(f"Run {run_id} died in the pool {pool}: its place is free again.")
