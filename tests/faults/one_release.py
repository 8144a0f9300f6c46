"""One run that packs, stages and releases, in a process of its own: waits for the file `go`.

one_release.py MODEL PLAN FOLDER FUNCTION [BAKE], where FOLDER has the dataset and the file, and
BAKE is how many seconds the bake lasts.
"""

import sys
import time
from pathlib import Path

import dagster as dg

from release_scene import Scene, graph_of


def main() -> None:
    model, plan, folder, function, *seconds = sys.argv[1:]
    with dg.DagsterInstance.get() as history:
        scene = Scene(graph_of(model, Path(folder), plan, history), Path(folder), plan)
        # Ten of these leave each other little of the processor: it is not speed that is tried.
        gates = {"bake_max_latency_p95_ms": 30_000}
        if seconds:
            gates["bake_seconds"] = int(seconds[0])
        scene.use(gates=gates, function_app=function)
        Path(folder, f"ready-{Path(function).name}").touch()
        while not Path(folder, "go").exists():
            time.sleep(0.01)
        ran = scene.graph.materialise("function_package", "staged_endpoint", "live_endpoint")
    sys.exit(not ran.success)


if __name__ == "__main__":
    main()
