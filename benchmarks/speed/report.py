"""The results as people read them: the table in docs/performance.md, between its two markers."""

from collections.abc import Iterator
from pathlib import Path

from speed.results import Goal, Measured, Results, Row

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
COLUMNS = ("what", "goal", "baseline", "ours", "ratio", "spread", "runs", "met")
DIGITS = 3
NOTHING = "-"


def rewrite(page: Path, results: Results) -> None:
    """Put the table between the page's markers.

    Raises:
        ValueError: the page lacks a marker.
    """
    text = page.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page.name} needs the lines {BEGIN} and {END} around its table.")
    page.write_text(f"{before}{BEGIN}\n\n{tables(results)}\n\n{END}{after}")


def tables(results: Results) -> str:
    """Every row; then remarks, what failed, and on what machine and when it was measured."""
    rows = [row for measured in results.values() for row in measured.rows]
    goals = [row for row in rows if row.goal]
    parts = [
        f"{sum(bool(row.met) for row in goals)} of {len(goals)} goals are met.",
        _table([row for row in rows if row.goal]),
        *_beside([row for row in rows if not row.goal]),
        *_remarks(rows),
        *(f"**{name} has no figures:** {each.failure}" for name, each in results.items()
          if each.failure),
        _circumstances(results),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part)


def _beside(rows: list[Row]) -> Iterator[str]:
    if rows:
        yield "Beside the goals:"
        yield _table(rows)


def _table(rows: list[Row]) -> str:
    lines = [COLUMNS, ["---"] * len(COLUMNS), *(_cells(row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(row: Row) -> list[str]:
    low, high = row.spread
    whose = f" ({row.against})" if row.against not in ("", "the walkthrough") else ""
    return [
        row.name,
        _goal(row.goal, row),
        NOTHING if row.baseline is None else f"{_amount(row.baseline, row.unit)}{whose}",
        _amount(row.ours, row.unit),
        NOTHING if row.ratio is None else _ratio(row, row.ratio),
        f"{_number(low)} to {_number(high)}" if low != high else NOTHING,
        str(row.runs),
        {None: "", True: "yes", False: "**no**"}[row.met],
    ]


def _goal(goal: Goal | None, row: Row) -> str:
    if goal is None:
        return ""
    sign = "≥" if goal.sense == "at least" else "≤"
    unit = "x" if goal.of == "ratio" else row.unit
    return f"{sign} {goal.value:g} {unit}"


def _ratio(row: Row, ratio: float) -> str:
    """Times better in bold; a share of what we are held against as it is."""
    return f"**{_number(ratio)} x**" if row.ratio_of == "baseline / ours" else f"{_number(ratio)} x"


def _amount(value: float, unit: str) -> str:
    return f"{value:.2f} %" if unit == "%" else f"{_number(value)} {unit}"


def _number(value: float) -> str:
    """Three digits, as far as a figure from a shared machine means anything."""
    return f"{value:,.0f}" if abs(value) >= 10**DIGITS else f"{value:.{DIGITS}g}"


def _remarks(rows: list[Row]) -> Iterator[str]:
    remarks = [f"- {row.name}: {row.note}." for row in rows if row.note]
    if remarks:
        yield "Remarks:\n\n" + "\n".join(remarks)


def _circumstances(results: Results) -> str:
    if not results:
        return "Nothing has been measured yet: `make bench`."
    newest = max(results.values(), key=_date).circumstances
    versions = ", ".join(f"{name} {version}" for name, version in newest["versions"].items())
    when = "; ".join(
        f"{name} {_date(each)} ({each.seconds:.0f} s, load before "
        f"{each.circumstances['load_before']:g})"
        for name, each in results.items()
    )
    return (
        f"Measured on {newest['cores']} cores of {newest['processor']} "
        f"({', '.join(newest['instructions'])}), {newest['memory_gb']} GB, {newest['system']}; "
        f"{versions}.\nWhen: {when}."
    )


def _date(measured: Measured) -> str:
    return measured.circumstances["date"]
