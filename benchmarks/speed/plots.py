"""The results as pictures: what was gained beside its goal, and where the time of a run goes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from speed.results import Results, Row

OURS, GOAL = "#1f6f8b", "#d1495b"
KIND_COLOURS: Mapping[str, str] = {
    "step": "#d9d9d9",
    "data": "#8da0cb",
    "training": "#1f6f8b",
    "deployment": "#66a61e",
    "bake": "#e6ab02",
    "check": "#d1495b",
}


def draw(results: Results, folder: Path) -> None:
    """Every picture whose figures are there, as performance-*.png."""
    rows = {row.name: row for measured in results.values() for row in measured.rows}
    gains = [row for row in rows.values() if row.goal and row.ratio_of == "baseline / ours"]
    if gains:
        _gains(gains, folder / "performance-gains.png")
    runs = {
        name: rows[key].details["timeline"]
        for name, key in (
            ("from an empty state", "make run from an empty state"),
            ("again, nothing changed", "make run again, nothing changed"),
        )
        if key in rows
    }
    if runs:
        _timelines(runs, folder / "performance-make-run.png")


def _gains(rows: Sequence[Row], path: Path) -> None:
    figure, axes = _figure(0.32 * len(rows) + 1.2)
    places = range(len(rows))
    ratios = [row.ratio or 0 for row in rows]
    axes.barh(places, ratios, color=OURS, height=0.6)
    for place, row in zip(places, rows, strict=True):
        axes.plot(row.spread, [place, place], color="black", linewidth=1)
        if row.goal and row.goal.of == "ratio":
            axes.plot([row.goal.value] * 2, [place - 0.4, place + 0.4], color=GOAL, linewidth=2)
    axes.set_xscale("log")
    axes.set_xlim(left=1)
    axes.set_yticks(places, [row.name for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("times less than the walkthrough (log scale); red: the goal")
    _save(figure, path)


def _timelines(runs: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    heights = [len(_lanes(spans)) for spans in runs.values()]
    figure, panels = plt.subplots(
        len(runs), 1, figsize=(9, 0.2 * sum(heights) + 1.8), squeeze=False,
        gridspec_kw={"height_ratios": heights}, layout="constrained",
    )  # fmt: skip
    for axes, (name, spans) in zip(panels[:, 0], runs.items(), strict=True):
        lanes = _lanes(spans)
        for span in spans:
            axes.barh(
                lanes.index(span["name"]), span["end"] - span["begin"], left=span["begin"],
                color=KIND_COLOURS[span["kind"]], height=0.8,
            )  # fmt: skip
        names = [lane.replace("mnist__", "") for lane in lanes]
        axes.set_yticks(range(len(lanes)), names, fontsize=6)
        axes.invert_yaxis()
        axes.set_xlim(left=0)
        axes.set_title(f"make run {name}", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    panels[-1, 0].set_xlabel("seconds since the process started")
    panels[0, 0].legend(
        handles=[Patch(color=colour, label=kind) for kind, colour in KIND_COLOURS.items()],
        fontsize=7, loc="upper right",
    )  # fmt: skip
    _save(figure, path)


def draw_shares(sides: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """One bar a side, as long as the other, made of the shares of its parts; given in seconds."""
    shares = {}
    for side, parts in sides.items():
        total = sum(parts.values())
        shares[f"{side}: {total:.3g} s"] = {
            name: 100 * seconds / total for name, seconds in parts.items()
        }
    _draw_panels({"": shares}, "percent of the time", path, says_sums=False)


def draw_parts(batches: Mapping[int, Mapping[str, Mapping[str, float]]], path: Path) -> None:
    """One panel a batch, each with a scale of its own; given in milliseconds."""
    panels = {f"batch {batch}": sides for batch, sides in batches.items()}
    _draw_panels(panels, "milliseconds of one call", path, says_sums=True)


def _draw_panels(
    titled: Mapping[str, Mapping[str, Mapping[str, float]]],
    label: str,
    path: Path,
    *,
    says_sums: bool,
) -> None:
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    figure, panels = plt.subplots(
        len(titled), 1, figsize=(9, 1.4 * len(titled) + 1.2), squeeze=False, layout="constrained"
    )
    colours = _colours([parts for sides in titled.values() for parts in sides.values()])
    for axes, (title, sides) in zip(panels[:, 0], titled.items(), strict=True):
        ends = _stack(axes, sides, colours)
        for place, end in enumerate(ends if says_sums else ()):
            axes.annotate(f" {end:.3g}", (end, place), va="center", fontsize=7)
        axes.set_title(title, fontsize=9)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    panels[-1, 0].set_xlabel(label)
    handles = [Patch(color=colour) for colour in colours.values()]
    figure.legend(handles, list(colours), fontsize=7, ncols=5, loc="outside lower center")
    _save(figure, path)


def _colours(every: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """One for every part, the weightiest parts first."""
    import matplotlib.pyplot as plt

    weights: dict[str, float] = {}
    for parts in every:
        total = sum(parts.values())
        for name, amount in parts.items():
            weights[name] = weights.get(name, 0.0) + amount / total
    names = sorted(weights, key=lambda name: -weights[name])
    return {name: plt.get_cmap("tab10")(number % 10) for number, name in enumerate(names)}


def _stack(
    axes: Any, sides: Mapping[str, Mapping[str, float]], colours: Mapping[str, Any]
) -> list[float]:
    """One bar a side, its parts from left to right; where each bar ends."""
    names = list(sides)
    left = [0.0] * len(names)
    for part, colour in colours.items():
        widths = [sides[name].get(part, 0.0) for name in names]
        axes.barh(names, widths, left=left, height=0.6, color=colour)
        left = [begin + width for begin, width in zip(left, widths, strict=True)]
    axes.invert_yaxis()
    return left


def _lanes(spans: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(span["name"] for span in spans))


def _figure(height: float) -> tuple[Any, Any]:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, height), layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    import matplotlib.pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the date and version that matplotlib notes: the same figures give the same file.
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
