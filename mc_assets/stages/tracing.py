"""What the UI shows beside every version: where it is, what it is made of, which code makes it."""

from pathlib import Path
from typing import Any

import dagster as dg
from dagster._utils.warnings import disable_dagster_warnings

from mc_assets.artifacts import (
    Artifact,
    Dataset,
    Endpoint,
    FunctionPackage,
    OnnxModel,
    TrainedModel,
)
from mc_assets.lineage import parts
from mc_assets.resources.artifact_store import ArtifactStore

CODE_REFERENCES = "dagster/code_references"


def code(*files: Path | str) -> dict[str, Any]:
    """An asset's metadata that links to the code that makes it, its stage first."""
    # Dagster calls these classes beta, once for every command that loads the definitions.
    with disable_dagster_warnings():
        references = dg.CodeReferencesMetadataValue(
            code_references=[
                dg.LocalFileCodeReference(file_path=str(file), label=Path(file).name)
                for file in files
            ]
        )
    return {CODE_REFERENCES: references}


def traced(store: ArtifactStore, artifact: Artifact) -> dict[str, dg.MetadataValue]:
    """A materialisation's links to the target's consoles and, of an endpoint, its lineage."""
    connection = store.target.connection
    if isinstance(artifact, Endpoint):
        page = connection.consoles.of_app(
            connection.subscription_id, artifact.resource_group, artifact.app, artifact.slot
        )
        return {"azure_portal": dg.MetadataValue.url(page), "lineage": _lineage(store, artifact)}
    page = connection.consoles.of_object(_address(artifact))
    return {"s3_console": dg.MetadataValue.url(page)}


def _lineage(store: ArtifactStore, artifact: Artifact) -> dg.TableMetadataValue:
    rows = [
        dg.TableRecord({"asset": part.asset, "version": part.version, "where": part.where})
        for part in parts(artifact, store.uri(""))
    ]
    return dg.MetadataValue.table(rows)


def _address(artifact: Artifact) -> str:
    match artifact:
        case Dataset():
            return artifact.training_uri.removesuffix("training/")
        case TrainedModel():
            return artifact.archive.uri
        case OnnxModel():
            return artifact.model.uri
        case FunctionPackage():
            return artifact.package.uri
    raise TypeError(f"{type(artifact).__name__} is not kept in S3.")
