"""Benchmark: `make run` with its environment already made: from an empty state, and again.

Each repetition has local clouds, ports and a Dagster history of its own, and nothing in them.
"""

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from speed import definitions
from speed.measuring import run_python
from speed.places import Place, empty_place
from speed.results import Goal, Round, Row, alone, compared
from speed.timeline import WORK, Span, last_run, seconds_of
from speed.workshop import ROOT, Workshop

REPETITIONS, REPETITIONS_FULL = 1, 3
AGAIN = 3
MC_RUN = ["-c", "from mc_assets.run import main; main()"]


@dataclass(frozen=True, slots=True)
class Ran:
    """One `mc-run`: its wall seconds from process start to end, and what it did when."""

    wall: float
    spans: Sequence[Span]

    @property
    def work(self) -> float:
        return seconds_of(self.spans, WORK)

    @property
    def orchestration_percent(self) -> float:
        return 100 * (1 - self.work / self.wall)


def run(workshop: Workshop) -> Iterator[Row]:
    first, again = [], []
    for _ in range(REPETITIONS_FULL if workshop.full else REPETITIONS):
        with empty_place() as place:
            first.append(_mc_run(place))
            again += [_mc_run(place) for _ in range(AGAIN)]
    dagster = [definitions.seconds(definitions.DAGSTER) for _ in range(AGAIN)]
    yield alone(
        "make run from an empty state", "s", [each.wall for each in first],
        goal=Goal("ours", "at most", 60), timeline=_timeline(first[-1]),
    )  # fmt: skip
    yield alone(
        "make run from an empty state: share of orchestration", "%",
        [each.orchestration_percent for each in first], goal=Goal("ours", "at most", 20),
        note=f"work is {_split(first)}; orchestration is all the rest",
    )  # fmt: skip
    yield alone(
        "make run again, nothing changed", "s", [each.wall for each in again],
        goal=Goal("ours", "at most", 15), timeline=_timeline(again[-1]),
    )  # fmt: skip
    yield _largest_part(again, statistics.median(dagster))


def _largest_part(again: Sequence[Ran], dagster: float) -> Row:
    """Importing Dagster against the largest of all other parts of a run that has nothing to do."""
    parts = [_parts_of_nothing(each, dagster) for each in again]
    largest = [max(each, key=lambda name: each[name]) for each in parts]
    listed = ", ".join(
        f"{name} {statistics.median(each[name] for each in parts):.1f} s" for name in parts[0]
    )
    return compared(
        "make run again: importing Dagster, against the largest other part", "s",
        [Round(each[name], dagster) for each, name in zip(parts, largest, strict=True)],
        against=f"the largest other part ({largest[-1]})", ratio_of="ours / baseline",
        goal=Goal("ratio", "at least", 1), note=listed,
    )  # fmt: skip


def _parts_of_nothing(ran: Ran, dagster: float) -> dict[str, float]:
    """The seconds of a run without work that are not the import of Dagster."""
    steps = seconds_of(ran.spans, ("step",))
    checks = seconds_of(ran.spans, ("check",))
    begin, end = min(each.begin for each in ran.spans), max(each.end for each in ran.spans)
    return {
        "before the first step, without that import": begin - dagster,
        "the assets' steps": steps,
        "the checks' steps": checks,
        "between the steps": end - begin - steps - checks,
        "after the last step": ran.wall - end,
    }


def _split(ran: Sequence[Ran]) -> str:
    return ", ".join(
        f"{kind} {statistics.median(seconds_of(each.spans, (kind,)) for each in ran):.1f} s"
        for kind in WORK
    )


def _timeline(ran: Ran) -> list[dict[str, object]]:
    return [asdict(span) for span in ran.spans]


def _mc_run(place: Place) -> Ran:
    started = time.time()
    ended = run_python(
        MC_RUN, folder=ROOT, environment=place.environment, timeout_s=900, says_json=False
    )
    return Ran(ended.seconds, last_run(place.dagster_home, started))
