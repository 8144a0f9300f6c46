"""One line of the results: both sides, their ratio with its spread, the goal, and whether met."""

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

# How many times better ours is, or ours as a share of what it is held against.
RatioOf = Literal["baseline / ours", "ours / baseline"]


class Round(NamedTuple):
    """What was measured of both sides within moments of each other, in the row's unit."""

    baseline: float
    ours: float


@dataclass(frozen=True, slots=True)
class Goal:
    """What the ratio, or our figure itself, has to reach."""

    of: Literal["ratio", "ours"]
    sense: Literal["at least", "at most"]
    value: float

    def is_met(self, value: float) -> bool:
        return value >= self.value if self.sense == "at least" else value <= self.value


@dataclass(frozen=True, slots=True)
class Row:
    """Medians in `unit`; `spread` is the lowest and highest ratio, of ours where there is none.

    `runs` counts how often ours was measured. `against` says what the baseline is.
    """

    name: str
    unit: str
    against: str
    baseline: float | None
    ours: float
    ratio: float | None
    ratio_of: RatioOf | None
    spread: tuple[float, float]
    runs: int
    goal: Goal | None
    met: bool | None
    note: str
    details: dict[str, Any] = field(default_factory=dict)


def compared(
    name: str,
    unit: str,
    rounds: Sequence[Round],
    *,
    against: str = "the walkthrough",
    ratio_of: RatioOf = "baseline / ours",
    goal: Goal | None = None,
    note: str = "",
    **details: Any,
) -> Row:
    """A row of two sides that took turns; the ratio is that of the medians."""
    baseline = statistics.median(each.baseline for each in rounds)
    ours = statistics.median(each.ours for each in rounds)
    ratios = [_ratio(*each, ratio_of) for each in rounds]
    ratio = _ratio(baseline, ours, ratio_of)
    met = None if goal is None else goal.is_met(ratio if goal.of == "ratio" else ours)
    spread = (min(ratios), max(ratios))
    return Row(
        name, unit, against, baseline, ours, ratio, ratio_of, spread, len(rounds), goal, met, note,
        details,
    )  # fmt: skip


def alone(
    name: str,
    unit: str,
    values: Sequence[float],
    *,
    middle: Callable[[Sequence[float]], float] = statistics.median,
    goal: Goal | None = None,
    note: str = "",
    **details: Any,
) -> Row:
    """A row with nothing to compare with; its goal is for the `middle` of our figures."""
    ours = middle(values)
    met = None if goal is None else goal.is_met(ours)
    spread = (min(values), max(values))
    return Row(
        name, unit, "", None, ours, None, None, spread, len(values), goal, met, note, details
    )


def _ratio(baseline: float, ours: float, ratio_of: RatioOf) -> float:
    return baseline / ours if ratio_of == "baseline / ours" else ours / baseline


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of one benchmark: its rows, or why there are none; and when and where."""

    rows: Sequence[Row]
    failure: str
    seconds: float
    circumstances: dict[str, Any]


Results = dict[str, Measured]


def read(path: Path) -> Results:
    """What earlier runs found, by benchmark; nothing if there was none."""
    if not path.exists():
        return {}
    found: Results = {}
    document = json.loads(path.read_text())
    for name, told in document["benchmarks"].items():
        found[name] = Measured([], told["failure"], told["seconds"], told["circumstances"])
    for told in document["results"]:
        benchmark = told.pop("benchmark")
        goal = Goal(**told.pop("goal")) if told["goal"] else told.pop("goal")
        row = Row(**{**told, "goal": goal, "spread": tuple(told["spread"])})
        measured = found[benchmark]
        found[benchmark] = Measured(
            [*measured.rows, row], measured.failure, measured.seconds, measured.circumstances
        )
    return found


def write(path: Path, results: Results) -> None:
    """One list of all rows, each with its benchmark; what is true of a benchmark stands beside."""
    document = {
        "benchmarks": {
            name: {
                "failure": measured.failure,
                "seconds": round(measured.seconds, 1),
                "circumstances": measured.circumstances,
            }
            for name, measured in results.items()
        },
        "results": [
            {"benchmark": name, **_rounded(asdict(row))}
            for name, measured in results.items()
            for row in measured.rows
        ],
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


def _rounded(value: Any) -> Any:
    """Six digits: what lies behind them is noise, and would change in every run."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list | tuple) else value
