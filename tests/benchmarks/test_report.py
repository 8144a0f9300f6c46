"""From measured rounds to rows, to the file, and to the page."""

import json
from pathlib import Path

import pytest

from speed import plots, report
from speed.results import Goal, Measured, Results, Round, Row, alone, compared, read, write

CIRCUMSTANCES = {
    "date": "2026-11-23",
    "processor": "A processor",
    "instructions": ["avx2"],
    "cores": 2,
    "memory_gb": 16,
    "load_before": 0.5,
    "system": "Linux x86_64",
    "versions": {"python": "3.11.7", "torch": "2.14.1"},
}


def rows() -> list[Row]:
    timeline = [{"name": "mnist__dataset", "kind": "step", "begin": 1.0, "end": 2.5}]
    return [
        compared(
            "classify", "ms", [Round(10, 0.1), Round(30, 0.2), Round(20, 0.1)],
            goal=Goal("ratio", "at least", 50), note="a remark",
        ),
        compared(
            "load", "s", [Round(1.0, 1.4), Round(1.0, 1.2)], against="import dagster",
            ratio_of="ours / baseline", goal=Goal("ratio", "at most", 1.25),
        ),
        alone("make run from an empty state", "s", [50.0], goal=Goal("ours", "at most", 60),
              timeline=timeline),
        alone("an extra", "MB", [1234.5, 1300.0]),
    ]  # fmt: skip


def results() -> Results:
    return {
        "one": Measured(rows(), "", 12.0, CIRCUMSTANCES),
        "two": Measured([], "wrk is not on PATH", 0.1, CIRCUMSTANCES),
    }


def test_ratio_is_of_the_medians_and_spread_of_the_rounds() -> None:
    gained, shared, plain, extra = rows()
    assert (gained.baseline, gained.ours, gained.ratio) == (20, 0.1, 200)
    assert gained.spread == pytest.approx((100, 200))
    assert gained.met is True
    assert shared.ratio == pytest.approx(1.3)
    assert shared.spread == pytest.approx((1.2, 1.4))
    assert shared.met is False
    assert (plain.ours, plain.ratio, plain.met) == (50, None, True)
    assert (extra.ours, extra.spread, extra.met, extra.runs) == (1267.25, (1234.5, 1300), None, 2)


def test_results_survive_the_file(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    assert read(file) == {}
    write(file, results())
    again = read(file)
    assert list(again) == ["one", "two"]
    assert again["two"].failure == "wrk is not on PATH"
    assert [row.name for row in again["one"].rows] == [row.name for row in rows()]
    assert again["one"].rows[0].goal == Goal("ratio", "at least", 50)
    write(file, again)
    assert read(file) == again
    for row in json.loads(file.read_text())["results"]:
        assert {
            "name",
            "baseline",
            "ours",
            "ratio",
            "spread",
            "unit",
            "runs",
            "goal",
            "met",
        } <= set(row)


def test_page_shows_every_row_and_keeps_its_own_text(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.rewrite(page, results())
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| classify | ≥ 50 x | 20 ms | 0.1 ms | **200 x** | 100 to 200 | 3 | yes |" in text
    assert (
        "| load | ≤ 1.25 x | 1 s (import dagster) | 1.3 s | 1.3 x | 1.2 to 1.4 | 2 | **no** |"
        in text
    )
    assert "2 of 3 goals are met." in text
    assert "- classify: a remark." in text
    assert "**two has no figures:** wrk is not on PATH" in text
    report.rewrite(page, results())
    assert page.read_text() == text


def test_page_without_markers_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("no marker")
    with pytest.raises(ValueError, match="needs the lines"):
        report.rewrite(page, results())
    assert page.read_text() == "no marker"


def test_pictures_are_drawn_and_the_same_figures_give_the_same_files(tmp_path: Path) -> None:
    for folder in (tmp_path / "a", tmp_path / "b"):
        plots.draw(results(), folder)
        plots.draw_shares({"ours": {"convolutions": 1.0}}, folder / "shares.png")
        plots.draw_parts({1: {"ours": {"run": 1.0}}, 16: {"ours": {"run": 9.0}}}, folder / "p.png")
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["p.png", "performance-gains.png", "performance-make-run.png", "shares.png"]
    for name in names:
        drawn = (tmp_path / "a" / name).read_bytes()
        assert drawn.startswith(b"\x89PNG")
        assert drawn == (tmp_path / "b" / name).read_bytes()
