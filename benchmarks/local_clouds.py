"""How the local clouds bear load: `python benchmarks/local_clouds.py` prints the figures.

Starts a pair of local clouds of its own, in a temporary folder and on free ports, and lets client
processes call S3, Resource Manager and a function app without pause: real clients, every answer
checked, no retries. A first load (--warm-up) fills pools and caches, a second (--seconds) is timed.
Memory is compared at rest after the one and after the other, so that what requests under way need
for a moment is no growth; what it comes to under load stands beside. Then S3 and the function app
take turns with a plain server that does the same work. These ratios say something about the code;
seconds on a shared machine do not, and the clients take their share of its processors.

Exits with 1 if any call failed or a server's memory grew by more than --most-growth percent.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil

from mc_assets.local_cloud import supervisor
from mc_assets.local_cloud.settings import LocalSettings
from pressure import Tally, start, total
from report import Outcome, tables
from rivals import free_ports
from trials import TRIALS, Trial
from watch import Course, at_rest, watch


def main() -> int:
    options = _options()
    print(_circumstances(options))
    with tempfile.TemporaryDirectory(prefix="benchmark") as folder, _clouds(Path(folder)) as clouds:
        chosen = [options.only] if options.only else list(TRIALS)
        outcomes = [_measure(TRIALS[name](clouds), clouds, options) for name in chosen]
    print(tables(outcomes))
    return 1 if any(each.fails(options.most_growth) for each in outcomes) else 0


def _circumstances(options: argparse.Namespace) -> str:
    load, processors = os.getloadavg()[0], os.cpu_count()
    return (
        f"{options.clients} clients, {options.warm_up:g} s to warm up, {options.seconds:g} s "
        f"counted; load average {load:.2f} before, on {processors} processors.\n"
    )


def _say(text: str) -> None:
    """Progress; what is printed is the result alone."""
    sys.stderr.write(f"{text}\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="of counted load on each service")
    parser.add_argument("--warm-up", type=float, default=30, help="seconds of load before those")
    parser.add_argument("--clients", type=int, default=8, help="processes that call at once")
    parser.add_argument("--only", choices=list(TRIALS), help="one service alone")
    parser.add_argument("--rounds", type=int, default=5, help="of the comparison; 0 for none")
    parser.add_argument("--round-seconds", type=float, default=5, help="of each side in a round")
    parser.add_argument("--most-growth", type=float, default=10, help="percent of memory allowed")
    return parser.parse_args()


@contextmanager
def _clouds(folder: Path) -> Iterator[LocalSettings]:
    aws, azure, first_site = free_ports(3)
    settings = LocalSettings(folder / "state", aws, azure, first_site)
    try:
        yield supervisor.up(settings)[0]
    finally:
        supervisor.down(settings)


def _measure(trial: Trial, clouds: LocalSettings, options: argparse.Namespace) -> Outcome:
    server = psutil.Process(_pid(clouds, trial.server))
    with ProcessPoolExecutor(options.clients, multiprocessing.get_context("spawn")) as pool:
        call = partial(start, pool, clients=options.clients)
        _say(f"{trial.name}: {options.warm_up:g} s to warm up, {options.seconds:g} s counted ...")
        warm_up = total(call(trial.load, seconds=options.warm_up))
        before = at_rest(server)
        running = call(trial.load, seconds=options.seconds)
        during = watch(server, lambda: not all(each.done() for each in running))
        course = Course(before, during, at_rest(server))
        rounds = list(_compared(trial, call, options))
    return Outcome(trial, warm_up, total(running), course, rounds)


def _pid(clouds: LocalSettings, server: str) -> int:
    for each in supervisor.status(clouds):
        if each.name == server and each.pid:
            return each.pid
    raise RuntimeError(f"The local {server} has ended before its load began.")


def _compared(
    trial: Trial, call: Callable[..., list[Future[Tally]]], options: argparse.Namespace
) -> Iterator[tuple[Tally, Tally]]:
    """The local cloud's turn and the plain server's, round by round."""
    if trial.rival is None or not options.rounds:
        return
    _say(f"{trial.name}: {options.rounds} rounds in turn with {trial.rival_name} ...")
    with trial.rival() as rival:
        for _ in range(options.rounds):
            ours = total(call(trial.load, seconds=options.round_seconds))
            yield ours, total(call(rival, seconds=options.round_seconds))


if __name__ == "__main__":
    sys.exit(main())
