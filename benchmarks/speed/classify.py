"""Benchmark: one classify call, HttpRequest in and HttpResponse out, without any network."""

import statistics
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from typing import get_args

from speed import sides
from speed.measuring import BenchmarkError, Round, process_of_its_own
from speed.results import Goal, Row, alone, compared
from speed.sides import Side
from speed.workshop import Workshop

ROUNDS = 11
# Calls in a block: some tenths of a second of each side.
CALLS_WALKTHROUGH = {1: 40, 16: 20, 256: 3}
CALLS = {1: 400, 16: 100, 256: 10}
GOALS_JSON = {1: 50, 16: 8, 256: 4}
GOALS_RAW = {1: 100, 16: 25, 256: 12}
MOST_OF_BARE = 1.25
# As many as fit into one body of the walkthrough's JSON: the function takes 8 MB.
COMPARED_IMAGES = 500


def run(workshop: Workshop) -> Iterator[Row]:
    for each in (workshop.walkthrough_model, workshop.package):  # made before anything is timed
        del each
    with ExitStack() as stack:
        processes = {side: stack.enter_context(process_of_its_own()) for side in get_args(Side)}
        yield from _predictions(workshop, processes)
        for batch in CALLS:
            yield from _latencies(workshop, processes, batch)


def _predictions(
    workshop: Workshop, processes: Mapping[Side, ProcessPoolExecutor]
) -> Iterator[Row]:
    """Both bodies have to mean the same; the two networks need not agree on every image."""
    found = {
        side: process.submit(sides.digits, workshop, side, COMPARED_IMAGES).result()
        for side, process in processes.items()
    }
    ours = found["ours, raw bytes"]
    differing = [side for side in found if side != "walkthrough" and found[side] != ours]
    if differing:
        raise BenchmarkError(f"Other digits than from raw bytes: {', '.join(differing)}.")
    _, labels = workshop.test_images()
    theirs = found["walkthrough"]
    theirs_right, ours_right = (
        100 * statistics.mean(map(int.__eq__, each, labels[:COMPARED_IMAGES].tolist()))
        for each in (theirs, ours)
    )
    yield alone(
        "right answers of the function, first 500 test images", "%", [ours_right],
        note=f"the walkthrough's, after one epoch: {theirs_right:.1f}; all of our bodies alike",
    )  # fmt: skip


def _latencies(
    workshop: Workshop, processes: Mapping[Side, ProcessPoolExecutor], batch: int
) -> Iterator[Row]:
    def block(side: Side) -> float:
        calls = (CALLS_WALKTHROUGH if side == "walkthrough" else CALLS)[batch]
        return 1000 * processes[side].submit(sides.seconds, workshop, side, batch, calls).result()

    turns = _turns({side: lambda side=side: block(side) for side in processes})

    def rounds(baseline: Side, ours: Side) -> list[Round]:
        return [Round(turn[baseline], turn[ours]) for turn in turns]

    yield compared(
        f"classify, the walkthrough's JSON, batch {batch}", "ms",
        rounds("walkthrough", "ours, JSON"), goal=Goal("ratio", "at least", GOALS_JSON[batch]),
    )  # fmt: skip
    yield compared(
        f"classify, raw bytes, batch {batch}", "ms",
        rounds("walkthrough", "ours, raw bytes"), goal=Goal("ratio", "at least", GOALS_RAW[batch]),
    )  # fmt: skip
    yield compared(
        f"classify, deflated bytes, batch {batch}", "ms",
        rounds("walkthrough", "ours, deflated bytes"),
    )  # fmt: skip
    yield compared(
        f"classify, raw bytes, against the bare model, batch {batch}", "ms",
        rounds("bare session.run", "ours, raw bytes"), against="bare session.run",
        ratio_of="ours / baseline", goal=Goal("ratio", "at most", MOST_OF_BARE),
    )  # fmt: skip


def _turns(blocks: Mapping[Side, Callable[[], float]]) -> list[dict[Side, float]]:
    """Every side once a round; the order turns round, so that no drift favours one."""
    order = list(blocks)
    return [
        {side: blocks[side]() for side in (order, order[::-1])[number % 2]}
        for number in range(ROUNDS)
    ]
