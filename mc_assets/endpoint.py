"""mc-endpoint: the live endpoint's URL, its key and a digit to send, for use in a shell."""

import argparse
import json
import os
import shlex
import sys
from pathlib import Path
from typing import TypeVar

import dagster as dg

from mc_assets import idx
from mc_assets.artifacts import Artifact, Dataset, LiveEndpoint
from mc_assets.definitions import build_resources
from mc_assets.resources.artifact_store import ArtifactStore
from mc_assets.resources.releases import Releases
from mc_assets.target import TargetError, read_target

WHERE = ("MC_TARGET", "MC_LOCAL_STATE")
ArtifactT = TypeVar("ArtifactT", bound=Artifact)

# MNIST's mean and standard deviation over the training pixels, as the walkthrough normalises.
MEAN, STD = 0.1307, 0.3081


def main() -> None:
    parser = argparse.ArgumentParser(prog="mc-endpoint", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, explanation in {
        "url": "print the live endpoint's URL",
        "key": "print its function key, read just now; for $(...) in a command",
        "sample": "print a body for classify: one test digit as JSON",
        "curl": "print a curl command that classifies that digit",
    }.items():
        command = commands.add_parser(name, help=explanation)
        command.add_argument("--model", default="mnist", help="the lifecycle's name (mnist)")
        if name == "sample":
            command.add_argument("--index", type=int, default=0, help="which test image (0)")
    arguments = parser.parse_args()
    try:
        print(_answer(arguments))  # noqa: T201 a command's output
    except (TargetError, dg.Failure) as error:
        print(f"mc-endpoint: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)


def find_live(model: str = "mnist") -> LiveEndpoint:
    """The live endpoint's record.

    Raises:
        TargetError: nothing was ever live.
    """
    return _latest(_store(), model, LiveEndpoint)


def curl_line(live: LiveEndpoint, model: str = "mnist") -> str:
    """A command that works when pasted; the key is read by a command inside it."""
    tool = shlex.quote(str(Path(sys.executable).parent / "mc-endpoint"))
    # The command may be pasted where these are not set.
    chosen = {name: os.environ[name] for name in WHERE if name in os.environ}
    tool = " ".join([*(f"{name}={shlex.quote(value)}" for name, value in chosen.items()), tool])
    choice = "" if model == "mnist" else f" --model {model}"
    authority = os.environ.get("REQUESTS_CA_BUNDLE")
    return " ".join(
        [
            "curl -s",
            *([f"--cacert {shlex.quote(authority)}"] if authority else []),
            f'-H "x-functions-key: $({tool} key{choice})"',
            "-H 'content-type: application/json'",
            f'-d "$({tool} sample{choice})"',
            f"{live.url}/api/classify",
        ]
    )


def _answer(arguments: argparse.Namespace) -> str:
    if arguments.command == "sample":
        return _sample(arguments.model, arguments.index)
    live = find_live(arguments.model)
    if arguments.command == "url":
        return live.url
    if arguments.command == "curl":
        return curl_line(live, arguments.model)
    releases: Releases = build_resources(read_target())["releases"]
    return releases.client(live).key


def _sample(model: str, index: int) -> str:
    from mc_assets.evaluation import normalise

    store = _store()
    dataset = _latest(store, model, Dataset)
    image = idx.read_images(store.read(dataset.files[idx.TEST_IMAGES]))[index]
    normalised = normalise(image[None], MEAN, STD).astype(float).round(4)
    return json.dumps({"data": normalised.tolist()})


def _store() -> ArtifactStore:
    return build_resources(read_target())["artifact_store"]


def _latest(store: ArtifactStore, model: str, kind: type[ArtifactT]) -> ArtifactT:
    record = store.latest(dg.AssetKey([model, kind.asset]), kind)
    if record is None:
        raise TargetError(
            f"{model}/{kind.asset} was never materialised here: `make run` makes everything."
        )
    return record
