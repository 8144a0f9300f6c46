"""mc-run: materialise the whole graph, show where it is, and print what came of it."""

import gc
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mc_assets.artifacts import LiveEndpoint
from mc_assets.commands import QUIET, at_home, terminal, was_interrupted
from mc_assets.definitions import build_definitions
from mc_assets.endpoint import curl_line, find_live
from mc_assets.failure_text import failure_text
from mc_assets.target import TargetError

POLL_SECONDS = 0.3


@dataclass(slots=True)
class AssetProgress:
    """One asset's row: what it is at, which version it has, and what its checks said."""

    name: str
    state: str = "waiting"
    started: float = 0.0
    seconds: float = 0.0
    version: str = ""
    doing: str = ""
    checks: dict[str, bool] = field(default_factory=dict)


@dataclass(slots=True)
class Progress:
    """The run so far, folded from its event log."""

    assets: dict[str, AssetProgress]
    failures: list[str] = field(default_factory=list)

    def take(self, entry: dg.EventLogEntry) -> Iterator[str]:
        """Fold one event in; the plain lines that tell of it."""
        event = entry.dagster_event
        asset = self._asset_of(entry)
        if asset is None:
            return
        if event is None:
            asset.doing = entry.user_message
            yield f"{asset.name}: {entry.user_message}"
        elif event.is_step_start and event.step_key == asset.name.replace("/", "__"):
            asset.state, asset.started = "running", entry.timestamp
            yield f"{asset.name}: started"
        elif event.is_step_start:
            asset.doing = "its checks run"
        elif event.is_step_materialization:
            materialization = event.step_materialization_data.materialization
            asset.version = (materialization.tags or {}).get("dagster/data_version", "")
            asset.state, asset.doing = "materialised", ""
            asset.seconds = entry.timestamp - asset.started
            yield f"{asset.name}: materialised {asset.version[:12]} in {asset.seconds:.1f} s"
        elif event.event_type == dg.DagsterEventType.ASSET_OBSERVATION:
            observation = event.asset_observation_data.asset_observation
            asset.version = (observation.tags or {}).get("dagster/data_version", "")
            asset.state, asset.doing = "observed", ""
            asset.seconds = entry.timestamp - asset.started
            yield f"{asset.name}: observed {asset.version[:12]} in {asset.seconds:.1f} s"
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.asset_check_evaluation_data
            asset.checks[evaluation.check_name], asset.doing = evaluation.passed, ""
            yield f"{asset.name}: check {self._judge(asset, evaluation)}"
        elif event.is_step_failure:
            asset.state, asset.doing = "failed", ""
            self.failures.append(f"{event.step_key}: {failure_text(event)}")
            yield f"{asset.name}: FAILED: {failure_text(event)}"

    def _judge(self, asset: AssetProgress, evaluation: dg.AssetCheckEvaluation) -> str:
        if evaluation.passed:
            return f"{evaluation.check_name} passed"
        why = f": {evaluation.description}" if evaluation.description else ""
        self.failures.append(f"{asset.name} check {evaluation.check_name}{why}")
        return f"{evaluation.check_name} FAILED{why}"

    def _asset_of(self, entry: dg.EventLogEntry) -> AssetProgress | None:
        step = entry.step_key or ""
        owners = [name for name in self.assets if step.startswith(name.replace("/", "__"))]
        return self.assets[max(owners, key=len)] if owners else None


def main() -> None:
    """Exit code 0 when everything was materialised and every blocking check passed, 130 when the
    run was interrupted, else 1."""
    at_home()
    console = terminal()
    try:
        sys.exit(materialise(build_definitions(), console))
    except TargetError as error:
        console.print(f"mc-run: {error}", style="red", markup=False)
        sys.exit(1)
    except (KeyboardInterrupt, DagsterExecutionInterruptedError):
        console.print("\nmc-run: interrupted.", markup=False)
        sys.exit(130)
    finally:
        # The interpreter looks for cycles in all that it holds before it goes: 0.6 s of Dagster's.
        gc.freeze()


def materialise(definitions: dg.Definitions, console: Console) -> int:
    """Materialise every asset of the definitions; the exit code.

    Raises:
        KeyboardInterrupt: the run was interrupted, and has ended as such.
    """
    job = definitions.resolve_implicit_global_asset_job_def()
    progress = Progress(
        {key.to_user_string(): AssetProgress(key.to_user_string()) for key in _in_order(job)}
    )
    run_id, started = str(uuid.uuid4()), time.monotonic()
    with dg.DagsterInstance.get() as instance, _shown(console, instance, run_id, progress):
        result = job.execute_in_process(
            instance=instance,
            run_id=run_id,
            raise_on_error=False,
            run_config=QUIET,
        )
    seconds = time.monotonic() - started
    _print_summary(console, progress, result.success, seconds)
    if was_interrupted(result):
        raise KeyboardInterrupt
    return 0 if result.success else 1


def _in_order(job: dg.JobDefinition) -> list[dg.AssetKey]:
    graph = job.asset_layer.asset_graph
    return list(graph.toposorted_asset_keys)


@contextmanager
def _shown(
    console: Console, instance: dg.DagsterInstance, run_id: str, progress: Progress
) -> Iterator[None]:
    """Fold the run's event log into `progress` from a second thread, and show it."""
    done = threading.Event()
    is_live = console.is_terminal and not console.is_dumb_terminal
    follow = _follow_live if is_live else _follow_in_lines
    thread = threading.Thread(
        target=follow, args=(console, _lines(instance, run_id, progress, done), progress)
    )
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _lines(
    instance: dg.DagsterInstance, run_id: str, progress: Progress, done: threading.Event
) -> Iterator[list[str]]:
    """What is new in the event log, every few moments until the run has ended."""
    cursor, ended = None, False
    while not ended:
        ended = done.wait(POLL_SECONDS)
        found = instance.get_records_for_run(run_id, cursor=cursor)
        cursor = found.cursor
        yield [line for record in found.records for line in progress.take(record.event_log_entry)]


def _follow_live(console: Console, news: Iterator[list[str]], progress: Progress) -> None:
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        for _ in news:
            live.update(_table(progress))


def _follow_in_lines(console: Console, news: Iterator[list[str]], _: Progress) -> None:
    for lines in news:
        for line in lines:
            console.print(line, markup=False, soft_wrap=True)


def _table(progress: Progress) -> Table:
    """One line an asset; what it does last takes what the terminal's width leaves."""
    table = Table(box=None, pad_edge=False, expand=True)
    for title in ("asset", "state", "seconds", "checks"):
        table.add_column(title, no_wrap=True, min_width=len(title))
    table.add_column("", overflow="ellipsis", no_wrap=True, ratio=1)
    for asset in progress.assets.values():
        running = asset.state == "running"
        seconds = time.time() - asset.started if running else asset.seconds
        passed = sum(asset.checks.values())
        table.add_row(
            asset.name,
            asset.state,
            f"{seconds:.1f}" if asset.started else "",
            f"{passed}/{len(asset.checks)} passed" if asset.checks else "",
            # As text: in markup "[training]" at its beginning would be a style, and not be shown.
            Text(" ".join(asset.doing.split())),
        )
    return table


def _print_summary(console: Console, progress: Progress, success: bool, seconds: float) -> None:
    console.print()
    for asset in progress.assets.values():
        console.print(f"{asset.name:28} {asset.version[:12] or '-':14} {asset.state}", markup=False)
        for check, passed in sorted(asset.checks.items()):
            console.print(f"    {'passed' if passed else 'FAILED':8} {check}", markup=False)
    if not success:
        console.print(f"\nThe run failed after {seconds:.0f} s:", markup=False)
        for failure in progress.failures:
            console.print(f"  {failure}", markup=False, soft_wrap=True)
    else:
        console.print(f"\nDone in {seconds:.0f} s.", markup=False)
        for name in progress.assets:
            model, _, asset = name.partition("/")
            if asset == LiveEndpoint.asset:
                _print_endpoint(console, model)
    console.print("\nSee it in the UI:  make ui   (then open http://127.0.0.1:3000)", markup=False)


def _print_endpoint(console: Console, model: str) -> None:
    live = find_live(model)
    console.print(f"\nThe endpoint:  {live.url}/api/classify", markup=False)
    console.print("Ask it for the first test digit:\n", markup=False)
    console.print(f"  {curl_line(live, model)}", markup=False, soft_wrap=True)
