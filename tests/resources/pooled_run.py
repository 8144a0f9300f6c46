"""One run in a release pool, in a process of its own: pooled_run.py NAME; works until told."""

import os
import sys
import time
from pathlib import Path

import dagster as dg

from mc_assets.definitions import build_resources
from mc_assets.resources.release_pool import in_turn

FOLDER = Path(os.environ["DAGSTER_HOME"])
NAME = sys.argv[1]


@dg.op(pool="model_release", required_resource_keys={"releases"})
@in_turn("model_release")
def release(context: dg.OpExecutionContext) -> None:
    with (FOLDER / "worked").open("a") as order:
        order.write(f"{NAME} begins\n")
    while not (FOLDER / f"end-{NAME}").exists():
        time.sleep(0.05)
    with (FOLDER / "worked").open("a") as order:
        order.write(f"{NAME} ends\n")


@dg.job(
    executor_def=dg.in_process_executor,
    resource_defs={"releases": build_resources("local")["releases"]},
)
def releasing() -> None:
    release()


if __name__ == "__main__":
    with dg.DagsterInstance.get() as history:
        sys.exit(not releasing.execute_in_process(instance=history).success)
