"""The source asset: the files that the dataset is made from, looked at to tell a change."""

import gzip
import hashlib
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import dagster as dg
from dagster._utils.warnings import disable_dagster_warnings

from mc_assets import idx
from mc_assets.model_settings import ModelSettings
from mc_assets.resources.dataset_source import CHUNK, MIRRORS, NPM_PACKAGE
from mc_assets.stages.tracing import code

PUBLIC = "the public MNIST files"


def key_of(model: ModelSettings) -> dg.AssetKey:
    return dg.AssetKey([model.name, "source"])


def build_asset(model: ModelSettings) -> dg.AssetsDefinition:
    """An asset that is observed, never materialised: nothing here makes it."""
    key = key_of(model)
    # Observed assets are beta: Dagster would say so at every load.
    with disable_dagster_warnings():

        @dg.multi_observable_source_asset(
            name="__".join(key.path),
            specs=[
                dg.AssetSpec(
                    key,
                    group_name=model.name,
                    kinds={"file"},
                    tags={"cloud": "none", "step": "source"},
                    metadata=code(__file__),
                    owners=list(model.owners),
                    description="The four IDX files that the dataset is made from, where they come "
                    "from. Their version is the one that the dataset made from them has.",
                )
            ],
        )
        def source(context: dg.AssetExecutionContext) -> dg.ObserveResult:
            sha256s, metadata = _look(model.dataset_folder)
            version = version_of(sha256s)
            context.log.info(f"{metadata['source']}: version {version[:12]}.")
            table = [
                dg.TableRecord({"file": name, "sha256": sha256})
                for name, sha256 in sorted(sha256s.items())
            ]
            return dg.ObserveResult(
                asset_key=key,
                data_version=dg.DataVersion(version),
                metadata={**metadata, "files": dg.MetadataValue.table(table)},
            )

    return source


def version_of(sha256s: Mapping[str, str]) -> str:
    """The version of four files by name: the sha256 of their sorted `name sha256` lines."""
    listing = "".join(f"{name} {sha256}\n" for name, sha256 in sorted(sha256s.items()))
    return hashlib.sha256(listing.encode()).hexdigest()


def _look(folder: Path | None) -> tuple[dict[str, str], dict[str, Any]]:
    """The files' sha256s by name, and what else there is to say.

    The public files are known by their sha256s, and any others are refused when they are fetched:
    asking for them here would tell nothing.
    """
    if folder is None:
        known = {name: file.sha256 for name, file in idx.MNIST_FILES.items()}
        return known, {"source": PUBLIC, "pinned": True, "offered_by": [*MIRRORS, NPM_PACKAGE]}
    return sha256s_of(folder), {"source": str(folder), "pinned": False}


def sha256s_of(folder: Path) -> dict[str, str]:
    """The sha256 of each of the four files, plain or .gz, read in pieces.

    Whether they are sound is for the dataset to say, once: an observation that fails is tried again
    at every tick.

    Raises:
        dagster.Failure: one is missing or cannot be read.
    """
    found = {}
    for name in idx.MNIST_FILES:
        try:
            with _opened(folder, name) as file:
                found[name] = _sha256(file)
        except (OSError, EOFError, zlib.error) as error:
            raise dg.Failure(
                f"The source of the dataset, {folder}, cannot be looked at: {name}: {error}. Put "
                "the four IDX files there, or name another `dataset_folder` in defs.yaml.",
                allow_retries=False,
            ) from error
    return found


def _opened(folder: Path, name: str) -> IO[bytes] | gzip.GzipFile:
    plain, packed = folder / name, folder / f"{name}.gz"
    if packed.is_file() and not plain.is_file():
        return gzip.open(packed)
    return plain.open("rb")


def _sha256(file: IO[bytes] | gzip.GzipFile) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
