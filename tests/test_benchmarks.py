"""The benchmark runs, counts and judges; its figures are not looked at here."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "local_clouds.py"
QUICK = ("--seconds", "2", "--warm-up", "1", "--clients", "2")


def benchmark(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *QUICK, *options]
    return subprocess.run(command, capture_output=True, text=True)


def tables(text: str) -> list[list[dict[str, str]]]:
    """The rows of each Markdown table, by column."""
    found = []
    for block in text.split("\n\n"):
        lines = [line.strip("| ").split(" | ") for line in block.splitlines() if line[:1] == "|"]
        if lines:
            columns, _, *rows = lines
            found.append([dict(zip(columns, row, strict=True)) for row in rows])
    return found


def test_every_load_runs_without_an_error() -> None:
    # Two seconds say nothing about growth.
    ended = benchmark("--most-growth", "1000", "--rounds", "1", "--round-seconds", "1")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    load, memory, compared = tables(ended.stdout)
    names = ["S3", "Resource Manager", "Function host"]
    assert [row["load"] for row in load] == names
    for row in load:
        assert row["errors"] == "0"
        assert int(row["requests"]) > 10
        assert 0 < float(row["p50 ms"]) <= float(row["p99 ms"]) <= float(row["max ms"])
    assert [row["server and its workers"] for row in memory] == names
    for row in memory:
        assert float(row["MB at rest at the end"].split()[0]) > 10
        assert row["growth"].endswith(" %")
    assert [row["requests/s relative to"] for row in compared] == [
        "S3: moto_server",
        "Function host: bare uvicorn",
    ]
    assert all(float(row["median"]) > 0 for row in compared)


def test_growth_beyond_what_is_allowed_fails() -> None:
    ended = benchmark("--only", "arm", "--most-growth", "-100")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert [row["errors"] for row in tables(ended.stdout)[0]] == ["0"]
