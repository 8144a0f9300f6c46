"""What came of the trials, as Markdown."""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pressure import Tally
from trials import Trial
from watch import Course

LOAD_COLUMNS = (
    "load",
    "requests",
    "requests/s",
    "errors",
    "p50 ms",
    "p95 ms",
    "p99 ms",
    "max ms",
)
MEMORY_COLUMNS = (
    "server and its workers",
    "MB at rest after warm-up",
    "MB at rest at the end",
    "growth",
    "MB under load",
    "file descriptors",
    "threads",
)
RATIO_COLUMNS = ("requests/s relative to", "median", "lowest", "highest", "rounds")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a trial; in each round the local cloud's turn, then the plain server's."""

    trial: Trial
    warm_up: Tally
    tally: Tally
    course: Course
    rounds: Sequence[tuple[Tally, Tally]]

    @property
    def errors(self) -> Counter[str]:
        """Of the local cloud, whenever they happened."""
        return _errors(self.warm_up, self.tally, *(ours for ours, _ in self.rounds))

    @property
    def rival_errors(self) -> Counter[str]:
        return _errors(*(theirs for _, theirs in self.rounds))

    @property
    def ratios(self) -> list[float]:
        return [ours.rate / theirs.rate for ours, theirs in self.rounds]

    def fails(self, most_growth: float) -> bool:
        return bool(self.errors) or self.course.growth > most_growth


def tables(outcomes: Iterable[Outcome]) -> str:
    """Load, memory, and comparisons where there are any, then every kind of error."""
    ended = list(outcomes)
    compared = [outcome for outcome in ended if outcome.rounds]
    parts = [
        _table(LOAD_COLUMNS, [_load_row(outcome) for outcome in ended]),
        _table(MEMORY_COLUMNS, [[each.trial.name, *each.course.row()] for each in ended]),
    ]
    if compared:
        parts.append(_table(RATIO_COLUMNS, [_ratio_row(outcome) for outcome in compared]))
    for outcome in ended:
        parts += _counted(outcome.trial.name, outcome.errors)
        parts += _counted(outcome.trial.rival_name, outcome.rival_errors)
    return "\n\n".join(parts)


def _errors(*tallies: Tally) -> Counter[str]:
    return sum((each.errors for each in tallies), Counter[str]())


def _counted(name: str, errors: Counter[str]) -> list[str]:
    return [f"{count} x {name}: {error}" for error, count in errors.most_common()]


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _load_row(outcome: Outcome) -> list[str]:
    tally = outcome.tally
    times = [
        *(tally.percentile(percent) for percent in (50, 95, 99)),
        max(tally.latencies, default=0),
    ]
    return [
        outcome.trial.name,
        str(len(tally.latencies)),
        f"{tally.rate:.0f}",
        str(outcome.errors.total()),
        *(f"{1000 * seconds:.1f}" for seconds in times),
    ]


def _ratio_row(outcome: Outcome) -> list[str]:
    ratios = outcome.ratios
    return [
        f"{outcome.trial.name}: {outcome.trial.rival_name}",
        f"{statistics.median(ratios):.2f}",
        f"{min(ratios):.2f}",
        f"{max(ratios):.2f}",
        str(len(ratios)),
    ]
