"""mc-check: run asset checks, and nothing else, on what was materialised last."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from rich.console import Console

from mc_assets.commands import QUIET, at_home, terminal, was_interrupted
from mc_assets.definitions import build_definitions
from mc_assets.failure_text import failure_text
from mc_assets.target import TargetError

JOB = "mc_check"
EXAMPLES = """examples:
  mc-check                            every check
  mc-check mnist/onnx_model           the checks of one asset
  mc-check mnist/onnx_model:parity    one check

Exit code: 0 every check passed that blocks, 1 one did not or could not run, 2 there is no such
asset or check, 130 interrupted. The run is in Dagster's history, and so in its UI."""


class UnknownChoiceError(Exception):
    """There is no such asset or check; the text names those that there are."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What came of the checks that were chosen."""

    chosen: Sequence[dg.AssetCheckKey]
    found: dict[dg.AssetCheckKey, dg.AssetCheckEvaluation]
    failures: Sequence[str]

    @property
    def all_passed(self) -> bool:
        """A check that blocks nothing may fail."""
        every_one_ran = set(self.chosen) <= set(self.found)
        return every_one_ran and not any(map(_holds_up, self.found.values()))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="mc-check",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "selection", nargs="*", metavar="ASSET[:CHECK]", help="which; all if none is named"
    )
    arguments = parser.parse_args()
    at_home()
    try:
        sys.exit(check(build_definitions(), arguments.selection, terminal()))
    except UnknownChoiceError as error:
        print(f"mc-check: {error}", file=sys.stderr)  # noqa: T201 a command's output
        sys.exit(2)
    except (TargetError, dg.Failure) as error:
        print(f"mc-check: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    except (KeyboardInterrupt, DagsterExecutionInterruptedError):
        print("\nmc-check: interrupted.", file=sys.stderr)  # noqa: T201
        sys.exit(130)


def check(definitions: dg.Definitions, selection: Sequence[str], console: Console) -> int:
    """Run what the selection names and say what came of it; the exit code.

    Raises:
        UnknownChoiceError: nothing was run.
        KeyboardInterrupt: the run was interrupted, and has ended as such.
    """
    chosen = choose(in_order(definitions), selection)
    with console.status(f"Running {len(chosen)} checks"):  # nothing unless on a terminal
        verdicts = run(definitions, chosen)
    for line in lines(verdicts):
        console.print(line, markup=False, soft_wrap=True)
    return 0 if verdicts.all_passed else 1


def in_order(definitions: dg.Definitions) -> list[dg.AssetCheckKey]:
    """Every check there is, by its asset's place in the graph and its name."""
    graph = definitions.resolve_asset_graph()
    places = {key: place for place, key in enumerate(graph.toposorted_asset_keys)}
    return sorted(graph.asset_check_keys, key=lambda each: (places[each.asset_key], each.name))


def choose(
    checks: Sequence[dg.AssetCheckKey], selection: Sequence[str]
) -> Sequence[dg.AssetCheckKey]:
    """Those that `asset` or `asset:check` names; all if nothing is named.

    Raises:
        UnknownChoiceError: there is no such asset, or no such check of it.
    """
    wanted = {key for words in selection for key in _named(checks, words)}
    return [each for each in checks if each in wanted] if selection else checks


def run(definitions: dg.Definitions, chosen: Sequence[dg.AssetCheckKey]) -> Verdicts:
    """Run these checks in one run of their own."""
    job = dg.define_asset_job(JOB, selection=dg.AssetSelection.checks(*chosen))
    definitions = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job]))
    with dg.DagsterInstance.get() as instance:
        result = definitions.resolve_job_def(JOB).execute_in_process(
            instance=instance, raise_on_error=False, run_config=QUIET
        )
    if was_interrupted(result):
        raise KeyboardInterrupt
    found = {
        evaluation.asset_check_key: evaluation
        for evaluation in result.get_asset_check_evaluations()
    }
    failures = [
        " ".join(failure_text(event).split())
        for event in result.all_events
        if event.is_step_failure
    ]
    return Verdicts(chosen, found, failures)


def lines(verdicts: Verdicts) -> Iterable[str]:
    """Each check with its verdict and why, then why those did not run that did not."""
    for key in verdicts.chosen:
        evaluation = verdicts.found.get(key)
        name = f"{key.asset_key.to_user_string()}:{key.name}"
        if evaluation is None:
            yield f"{'not run':8} {name}"
            continue
        said = f"  {evaluation.description}" if evaluation.description else ""
        blocks = "" if evaluation.passed or _holds_up(evaluation) else "  (blocks nothing)"
        yield f"{'passed' if evaluation.passed else 'FAILED':8} {name}{blocks}{said}"
    if set(verdicts.found) < set(verdicts.chosen):
        yield from ("", *dict.fromkeys(verdicts.failures))


def _named(checks: Sequence[dg.AssetCheckKey], words: str) -> list[dg.AssetCheckKey]:
    asset, _, check_name = words.partition(":")
    of_asset = [each for each in checks if each.asset_key.to_user_string() == asset]
    if not of_asset:
        assets = dict.fromkeys(each.asset_key.to_user_string() for each in checks)
        raise UnknownChoiceError(f"No asset {asset!r} has checks; these have: {', '.join(assets)}.")
    named = [each for each in of_asset if check_name in ("", each.name)]
    if not named:
        names = ", ".join(each.name for each in of_asset)
        raise UnknownChoiceError(f"{asset} has no check {check_name!r}; it has: {names}.")
    return named


def _holds_up(evaluation: dg.AssetCheckEvaluation) -> bool:
    """Whether the check failed, and what follows from its asset may not go on."""
    severe = evaluation.severity is dg.AssetCheckSeverity.ERROR
    return not evaluation.passed and severe and bool(evaluation.blocking)
