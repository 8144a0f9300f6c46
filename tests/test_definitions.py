"""The one door: loads with nothing set, imports nothing heavy, starts nothing, and names stay."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest

from mc_assets.definitions import build_definitions
from mc_assets.target import TargetError

ROOT = Path(__file__).parent.parent
ASSETS = {
    "mnist/source": set(),
    "mnist/dataset": {"files_and_shapes", "class_balance", "no_leakage"},
    "mnist/trained_model": {"archive_contents", "training_metrics"},
    "mnist/onnx_model": {
        "structure",
        "signature",
        "parity",
        "test_accuracy",
        "not_worse_than_champion",
    },
    "mnist/function_package": {"contents", "clean_process"},
    "mnist/staged_endpoint": {"prediction_accuracy", "latency", "rejects_bad_input"},
    "mnist/live_endpoint": {
        "prediction_accuracy",
        "serves_promoted_version",
        "latency",
        "accuracy_drift",
    },
}
HEAVY = ("torch", "sagemaker", "onnxruntime", "onnx", "azure", "matplotlib", "moto", "dagster_aws")


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return build_definitions("local")


def test_the_graph_is_the_one_in_the_readme(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    found: dict[str, set[str]] = {key.to_user_string(): set() for key in graph.get_all_asset_keys()}
    for check in graph.asset_check_keys:
        found[check.asset_key.to_user_string()].add(check.name)
    assert found == ASSETS


def test_every_stage_hangs_on_the_one_before(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    keys = [dg.AssetKey(name.split("/")) for name in ASSETS]
    for before, after in pairwise(keys):
        assert graph.get(after).parent_keys == {before}


def test_the_jobs_have_their_names(definitions: dg.Definitions) -> None:
    names = {job.name for job in definitions.resolve_all_job_defs()}
    assert {"checks", "rollback", "teardown"} <= names


def test_one_release_of_a_model_at_a_time(definitions: dg.Definitions) -> None:
    """Whatever touches the endpoints takes its turn in the one pool; nothing else waits for it."""
    graph = definitions.resolve_asset_graph()
    pools = {key.path[-1]: graph.get(key).pools or set() for key in graph.materializable_asset_keys}
    assert pools.pop("staged_endpoint") == pools.pop("live_endpoint") == {"mnist_release"}
    assert set().union(*pools.values()) == set()
    rollback = definitions.resolve_job_def("rollback")
    assert {node.definition.pool for node in rollback.nodes} == {"mnist_release"}  # pyright: ignore[reportAttributeAccessIssue] all are ops


def test_loading_needs_nothing_imports_nothing_heavy_and_starts_nothing(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from mc_assets.definitions import defs\n"
        "defs().resolve_asset_graph()\n"
        f"print(sorted(name for name in {HEAVY} if name in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "[]"
    assert not (tmp_path / ".local_cloud").exists()


def test_an_unknown_target_is_one_sentence() -> None:
    with pytest.raises(TargetError, match="local or cloud"):
        build_definitions("elsewhere")  # pyright: ignore[reportArgumentType] the point


@pytest.mark.parametrize("name", ["records", "verdicts", "pipes"])
def test_a_name_of_a_shared_folder_is_refused(name: str) -> None:
    from mc_assets.lifecycle import ModelLifecycle

    with pytest.raises(ValueError, match=f"{name} is a folder in the bucket"):
        ModelLifecycle.from_attributes_dict(attributes={"name": name})


def test_a_misspelt_attribute_is_named(tmp_path: Path) -> None:
    from mc_assets.lifecycle import ModelLifecycle

    with pytest.raises(ValueError, match="epoch"):
        ModelLifecycle.from_attributes_dict(
            attributes={"name": "mnist", "training": {"epoch": 3}},
        )
