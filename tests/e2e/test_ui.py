"""The graph in Dagster's UI: a real browser presses "Materialize all"."""

import os
from pathlib import Path

import pytest
from browser import (
    AssetState,
    DagsterUi,
    expect_all_materialized,
    find_chromium,
    materialize_all,
    open_graph,
    open_page,
)
from playwright.sync_api import expect

from graph_runs import IMAGE
from mc_assets.local_cloud.settings import LocalSettings
from ports import free_ports
from project_copy import copy_project

NAME = "seen"
ASSETS = {
    "dataset",
    "trained_model",
    "onnx_model",
    "function_package",
    "staged_endpoint",
    "live_endpoint",
}
# Below this width the six nodes are drawn without their states.
SIZE = (2560, 900)

CHROMIUM = find_chromium() or ""
pytestmark = pytest.mark.skipif(
    not CHROMIUM, reason="there is no Chromium on this machine: install one, or set CHROMIUM"
)


@pytest.fixture
def project(
    local_clouds: LocalSettings,
    mnist_subset: Path,
    linear_code: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A project whose one model trains in a moment; it finds the local clouds as a user's does."""
    for name in os.environ:
        if name.startswith(("AWS_", "AZURE_", "DAGSTER_")):
            monkeypatch.delenv(name)
    attributes = {
        "name": NAME,
        "dataset_folder": str(mnist_subset),
        "training": {"code": linear_code, "image": IMAGE},
        "gates": {
            "min_training_accuracy": 0.6,
            "min_test_accuracy": 0.6,
            "min_endpoint_accuracy": 0.6,
            "max_latency_p95_ms": 60_000,
        },
    }
    return copy_project(tmp_path / "project", attributes)


def test_materialize_all_in_a_browser(project: Path, tmp_path: Path) -> None:
    with (
        DagsterUi(project, *free_ports(1)) as ui,
        open_page(CHROMIUM, tmp_path / "profile", SIZE) as page,
    ):
        open_graph(page, ui)
        for name in ASSETS:
            expect(page.get_by_text(name, exact=True).first).to_be_visible()
        assert ui.runs() == {}
        materialize_all(page)
        assert ui.wait_for_run() == "SUCCESS", ui.log()
        expect_all_materialized(page, len(ASSETS))
        page.screenshot(path=tmp_path / "graph.png")
        runs, assets = ui.runs(), ui.assets()
    (run,) = runs
    assert assets.pop(f"{NAME}/source") == AssetState(None, {}), "nothing makes it"
    assert set(assets) == {f"{NAME}/{name}" for name in ASSETS}
    assert {state.run_id for state in assets.values()} == {run}
    assert all(state.checks for state in assets.values())
    for state in assets.values():
        assert state.checks == dict.fromkeys(state.checks, ("SUCCEEDED", run))
