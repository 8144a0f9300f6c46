"""Ours and the walkthrough's side by side: `make bench`, `make bench-full`, or this by hand.

    python benchmarks/bench.py [--full] [--only NAME ...] [--report]

Every benchmark writes its rows into benchmarks/results.json as it ends, and the table and the plots
of docs/performance.md are made anew from there. One that fails says why, and the others go on; the
exit code is then 1. Results of benchmarks that did not run stay, with the date of their own run.
"""

import argparse
import importlib
import signal
import sys
import time
import traceback

from speed.circumstances import circumstances
from speed.measuring import BenchmarkError
from speed.results import Measured, Row, read, write
from speed.workshop import RESULTS, ROOT, Workshop

# In this order: training needs the epochs that were counted.
QUICK = ("definitions", "sizes", "classify", "cold_start", "throughput", "make_run", "training")
LONG = ("epochs", "big_data")
# As they stand in the table.
SHOWN = ("training", "sizes", "classify", "cold_start", "throughput", "make_run", "definitions",
         "big_data", "epochs")  # fmt: skip
PAGE = ROOT / "docs" / "performance.md"
IMAGES = ROOT / "docs" / "images"


def main() -> int:
    # Ended from outside, it ends what it has started: the local clouds are processes of their own.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    options = _options()
    names = options.only or ([] if options.report else [*(LONG if options.full else ()), *QUICK])
    failed = [name for name in names if not _measure(name, options.full)]
    _report()
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="the long ones too, and more seeds")
    parser.add_argument("--only", nargs="+", choices=[*QUICK, *LONG], metavar="NAME",
                        help=", ".join([*QUICK, *LONG]))  # fmt: skip
    parser.add_argument("--report", action="store_true", help="measure nothing, draw anew")
    return parser.parse_args()


def _measure(name: str, full: bool) -> bool:
    """Run one benchmark and keep what came of it; whether it has its figures."""
    _say(f"{name} ...")
    around, started = circumstances(), time.perf_counter()
    rows, failure = [], ""
    try:
        for row in importlib.import_module(f"speed.{name}").run(Workshop(full)):
            rows.append(row)
            _say(f"  {row.name}: {_short(row)}")
    except BenchmarkError as error:
        failure = str(error)
    except Exception as error:  # noqa: BLE001 - the others go on; this one is in the table as failed
        traceback.print_exc()
        failure = f"{type(error).__name__}: {error}"
    failure = failure.replace(str(ROOT), ".")
    if failure:
        _say(f"  FAILED: {failure}")
    measured = Measured(rows, failure, time.perf_counter() - started, around)
    results = {**read(RESULTS), name: measured}
    write(RESULTS, {each: results[each] for each in SHOWN if each in results})
    return not failure


def _short(row: Row) -> str:
    ratio = "" if row.ratio is None else f", {row.ratio:.2f} ({row.ratio_of})"
    verdict = {None: "", True: ", met", False: ", NOT met"}[row.met]
    return f"{row.ours:.4g} {row.unit}{ratio}{verdict}"


def _report() -> None:
    from speed import plots, report

    results = read(RESULTS)
    plots.draw(results, IMAGES)
    report.rewrite(PAGE, results)
    _say(f"{PAGE.relative_to(ROOT)} is up to date.")


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
