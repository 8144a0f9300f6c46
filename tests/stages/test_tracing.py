"""What the graph says of itself: to whom it belongs, where it is, and the code that makes it."""

import warnings
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mc_assets.artifacts import Artifact
from mc_assets.definitions import build_definitions
from mc_assets.resources.artifact_store import ArtifactStore
from mc_assets.stages.tracing import CODE_REFERENCES, code, traced

CODE_OF = {
    "dataset": ["dataset.py", "defs.yaml"],
    "trained_model": ["trained_model.py", "train.py", "defs.yaml"],
    "onnx_model": ["onnx_model.py", "defs.yaml"],
    "function_package": ["function_package.py", "function_app.py", "defs.yaml"],
    "staged_endpoint": ["staged_endpoint.py", "function_app.py", "defs.yaml"],
    "live_endpoint": ["live_endpoint.py", "function_app.py", "defs.yaml"],
}


@pytest.fixture(scope="module")
def specs() -> dict[str, dg.AssetSpec]:
    specs = build_definitions("local").resolve_all_asset_specs()
    return {spec.key.path[-1]: spec for spec in specs if spec.key.path[0] == "mnist"}


@pytest.mark.parametrize("asset", CODE_OF)
def test_every_asset_explains_itself(specs: dict[str, dg.AssetSpec], asset: str) -> None:
    spec = specs[asset]
    assert (spec.owners, spec.group_name) == (["team:ml"], "mnist")
    assert spec.kinds
    assert set(spec.tags) >= {"cloud", "step"}
    assert 80 < len(str(spec.description)) < 400


@pytest.mark.parametrize(("asset", "names"), CODE_OF.items())
def test_every_asset_names_the_code_that_makes_it(
    specs: dict[str, dg.AssetSpec], asset: str, names: list[str]
) -> None:
    references: Any = specs[asset].metadata[CODE_REFERENCES]
    files = [Path(each.file_path) for each in references.code_references]
    assert [file.name for file in files] == names
    assert all(file.is_file() for file in files)


def test_loading_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        code(__file__)


def test_what_is_nowhere_has_no_page(store: ArtifactStore) -> None:
    with pytest.raises(TypeError, match="Artifact is not kept in S3"):
        traced(store, Artifact(version="0", lineage={}))
