"""Where a run's time goes, read from Dagster's event log: one span per piece of work."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["step", "data", "training", "deployment", "bake", "check"]
# What a run is for; all the rest of its time is orchestration.
WORK: tuple[Kind, ...] = ("data", "training", "deployment", "bake", "check")

# What the stages write into the run's log: where a piece of work begins and where it ends.
PIECES: Sequence[tuple[Kind, str, str]] = (
    ("data", r"Fetching MNIST from ", r""),
    ("training", r"Training job \S+ started", r"Training job \S+: Completed"),
    ("deployment", r"Deploying [\d,]+ bytes", r" serves the package after "),
    ("bake", r" serves the package after ", r""),
)


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when, in seconds since the process started."""

    name: str
    kind: Kind
    begin: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.begin


def last_run(dagster_home: Path, process_start: float) -> list[Span]:
    """The spans of the run that this Dagster home has written last, in order.

    Every step is a span; so is every piece of work that its log tells of.

    Args:
        process_start: seconds since the epoch.
    """
    import dagster as dg

    with dg.DagsterInstance.from_config(str(dagster_home)) as instance:
        (record,) = instance.get_run_records(limit=1)
        entries = instance.all_logs(record.dagster_run.run_id)
    return sorted(_spans(entries, process_start), key=lambda span: (span.begin, -span.end))


def seconds_of(spans: Iterable[Span], kinds: Sequence[Kind]) -> float:
    """How long at least one span of these kinds was under way: side by side counts once."""
    total, until = 0.0, 0.0
    for span in sorted((each for each in spans if each.kind in kinds), key=lambda each: each.begin):
        total += max(0.0, span.end - max(until, span.begin))
        until = max(until, span.end)
    return total


def _spans(entries: Iterable[Any], process_start: float) -> Iterator[Span]:
    begun: dict[str, float] = {}
    lines: dict[str, list[tuple[float, str]]] = {}
    checks = set()
    for entry in entries:
        at, step, event = entry.timestamp - process_start, entry.step_key, entry.dagster_event
        if not step:
            continue
        if event is None:
            lines.setdefault(step, []).append((at, entry.user_message))
        elif event.is_step_start:
            begun[step] = at
        elif event.event_type_value == "ASSET_CHECK_EVALUATION":
            checks.add(step)
        elif event.is_step_success or event.is_step_failure:
            yield Span(step, "check" if step in checks else "step", begun[step], at)
            yield from _pieces(step, lines.get(step, []), at)


def _pieces(step: str, lines: Sequence[tuple[float, str]], end: float) -> Iterator[Span]:
    """What the step's log tells of; a piece without a last line goes on to the step's end."""
    for kind, first, last in PIECES:
        if kind == "bake" and not step.endswith("live_endpoint"):
            continue
        begins = [at for at, line in lines if re.search(first, line)]
        ends = [at for at, line in lines if last and re.search(last, line)] or [end]
        if begins:
            yield Span(step, kind, begins[0], ends[-1])
