"""Benchmark: loading the definitions, against importing Dagster alone."""

from collections.abc import Iterator

from speed.measuring import rounds_of, run_python
from speed.results import Goal, Row, compared
from speed.workshop import ROOT, Workshop

ROUNDS = 9
TIMED = "import json, time; s = time.perf_counter(); {}; print(json.dumps(time.perf_counter() - s))"
DAGSTER = TIMED.format("import dagster")
DEFINITIONS = TIMED.format("from mc_assets.definitions import defs; defs()")


def run(workshop: Workshop) -> Iterator[Row]:
    del workshop
    for code in (DAGSTER, DEFINITIONS):  # the files of both into the page cache
        seconds(code)
    rounds = rounds_of(ROUNDS, lambda: seconds(DAGSTER), lambda: seconds(DEFINITIONS))
    yield compared(
        "load the definitions", "s", rounds, against="import dagster",
        ratio_of="ours / baseline", goal=Goal("ratio", "at most", 1.25),
        note="in a new process each, the interpreter's own start not counted",
    )  # fmt: skip


def seconds(code: str) -> float:
    return run_python(["-c", code], folder=ROOT).said
