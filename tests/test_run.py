"""The live table of `make run`: every asset's row fits its terminal and shows what it does."""

import io
import time

from rich.console import Console

from mc_assets.run import AssetProgress, Progress, _table

LONG = "[training] 12 % epoch 1 step 150/1312 loss 0.4321,\n 9 s left, " + "and on " * 30
ASSETS = [
    AssetProgress("mnist/dataset", "materialised", 1.0, 2.5, checks=dict.fromkeys("abc", True)),
    AssetProgress("mnist/trained_model", "running", time.time(), doing=LONG),
    AssetProgress("mnist/live_endpoint"),
]


def shown(width: int) -> list[str]:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    console.print(_table(Progress({asset.name: asset for asset in ASSETS})))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_each_asset_has_one_line_with_what_it_does_last() -> None:
    lines = shown(width=120)
    assert len(lines) == 1 + len(ASSETS)
    assert "[training] 12 % epoch 1 step 150/1312 loss 0.4321, 9 s left" in lines[2]
    assert "3/3 passed" in lines[1]


def test_in_a_narrow_terminal_the_message_is_what_is_cut() -> None:
    lines = shown(width=80)
    assert all(len(line) <= 80 for line in lines)
    assert len(lines) == 1 + len(ASSETS)
    assert lines[2].startswith("mnist/trained_model")
    assert "running" in lines[2]
    assert "[training] 12 %" in lines[2]
    assert lines[2].rstrip().endswith("\u2026")
