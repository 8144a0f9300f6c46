"""mc-lineage: from what is live back to its dataset, and from any version to who serves it."""

import argparse
import json
import re
import sys
from dataclasses import asdict, replace
from typing import NoReturn

import dagster as dg
from rich.console import Console
from rich.table import Table

from mc_assets.artifacts import ARTIFACTS, LiveEndpoint
from mc_assets.definitions import build_resources
from mc_assets.lineage import Known, about, everything
from mc_assets.resources.artifact_store import ArtifactStore
from mc_assets.resources.endpoint_client import serving
from mc_assets.stages.restoring import RELEASE, read_history
from mc_assets.target import TargetError, read_target

FEWEST_DIGITS = 8
EXIT_CODES = "Exit code: 0 found, 1 nothing found or not reached, 2 a wrong argument."
# Plain lines are not wrapped: whoever reads them may be a program.
UNWRAPPED = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="mc-lineage", description=__doc__, epilog=EXIT_CODES)
    parser.add_argument(
        "wanted",
        nargs="?",
        default=LiveEndpoint.asset,
        metavar="VERSION|JOB|ASSET",
        help=f"the first {FEWEST_DIGITS} or more digits of a sha256 (a dataset's, an archive's, a "
        "model's, a package's, an endpoint's), a training job's name, or an asset; what is live if "
        "not given",
    )
    parser.add_argument("--model", default="mnist", help="the lifecycle's name (mnist)")
    parser.add_argument("--json", action="store_true", help="one JSON document, for programs")
    arguments = parser.parse_args()
    wanted = arguments.wanted.rpartition("/")[2]  # of an asset's key, or of a job's ARN
    if wanted not in ARTIFACTS and len(wanted) < FEWEST_DIGITS:
        parser.error(
            f"{arguments.wanted!r} is neither one of {', '.join(ARTIFACTS)}, nor {FEWEST_DIGITS} "
            "digits of a sha256 or of a job's name."
        )
    try:
        store: ArtifactStore = build_resources(read_target())["artifact_store"]
        found = find(store, arguments.model, wanted)
    except (TargetError, dg.Failure) as error:
        _end(str(error))
    if not found:
        _end(_nothing(arguments.model, wanted))
    if arguments.json:
        document = {"model": arguments.model, "found": [asdict(each) for each in found]}
        print(json.dumps(document, indent=1))  # noqa: T201 a command's output
    else:
        show(found, Console(highlight=False))


def find(store: ArtifactStore, model: str, wanted: str) -> list[Known]:
    """What is written down of an asset, or of whatever has this sha256 or job in it."""
    live_key = dg.AssetKey([model, LiveEndpoint.asset])
    newest = {
        f"{model}/{asset}": record
        for asset, kind in ARTIFACTS.items()
        if (record := store.latest(dg.AssetKey([model, asset]), kind))
    }
    known = everything(newest, read_history(store, live_key), store.uri(""))
    if wanted in ARTIFACTS:
        now = ("live", "staged", "newest")
        found = [each for each in known if each.asset.endswith(f"/{wanted}") and each.stands in now]
    else:
        found = about(known, wanted)
    return [_looked_at(store, each) for each in found]


def show(found: list[Known], console: Console) -> None:
    """A heading and a table for each."""
    if not console.is_terminal:
        console.width = UNWRAPPED
    for each in found:
        console.print(_heading(each), markup=False, soft_wrap=True)
        if each.url:
            console.print(each.url, markup=False, soft_wrap=True)
        table = Table(box=None, pad_edge=False)
        for title in ("asset", "version", "where"):
            table.add_column(title, overflow="fold")
        for part in each.parts:
            table.add_row(part.asset, part.version, part.where)
        console.print(table)
        console.print()


def _heading(known: Known) -> str:
    number = f" (release {known.number})" if known.number else ""
    told = [f"{known.asset} {known.version[:12]}{number}: {known.stands}"]
    if known.since:
        told.append(f"since {known.since}")
    if known.until:
        told.append(f"until {known.until}")
    if known.how:
        told.append(known.how)
    return ", ".join(told)


def _looked_at(store: ArtifactStore, known: Known) -> Known:
    """With what no record of it says: whether it really serves, or that it was taken back."""
    if known.stands == "live":
        found = serving(known.url)
        if found != known.content_version:
            answer = f"it serves {found[:12]}" if found else "it does not answer"
            return replace(known, stands=f"live by the records, but {answer}")
    if known.stands == "was live":
        verdict = store.read_verdicts(known.asset, known.version, [RELEASE])[RELEASE]
        if verdict and not verdict.passed:
            return replace(known, how=f"{known.how}, taken back: {verdict.why}")
    return known


def _nothing(model: str, wanted: str) -> str:
    if wanted in ARTIFACTS:
        return f"{model}/{wanted} was never materialised here: `make run` makes everything."
    digits = re.fullmatch("[0-9a-f]+", wanted)
    what = f"a sha256 that begins with {wanted}" if digits else f"a training job named {wanted}"
    return (
        f"Nothing that is written down of {model} has {what}. Known are the newest version of each "
        "asset and every release that was ever live."
    )


def _end(why: str) -> NoReturn:
    print(f"mc-lineage: {why}", file=sys.stderr)  # noqa: T201
    sys.exit(1)
