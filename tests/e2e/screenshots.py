"""Take the documentation's pictures: the whole graph materialised in the UI, on all of MNIST."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from browser import (
    DagsterUi,
    copy_project,
    expect_all_materialized,
    find_chromium,
    materialize_all,
    open_graph,
    open_page,
)
from playwright.sync_api import Page, expect

ASSETS = 6
GRAPH_SIZE = (1000, 1200)
ASSET_SIZE = (1200, 1000)
# From the scale at which the UI opens a vertical graph to one at which all of it is in sight.
STEPS_OUT = 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="the folder that gets graph.png and asset.png")
    out = parser.parse_args().out
    chromium = find_chromium()
    if chromium is None:
        parser.error("there is no Chromium on this machine: install one, or set CHROMIUM")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        port = _settle_clouds(folder)
        project = copy_project(folder / "project")
        try:
            with (
                DagsterUi(project, port) as ui,
                open_page(chromium, folder / "profile", GRAPH_SIZE) as page,
            ):
                open_graph(page, ui)
                materialize_all(page)
                if (status := ui.wait_for_run()) != "SUCCESS":
                    sys.exit(f"The run ended as {status}:\n{ui.log()}")
                take_pictures(page, ui, out)
        finally:
            subprocess.run([Path(sys.executable).with_name("mc-local"), "down"], check=False)


def take_pictures(page: Page, ui: DagsterUi, out: Path) -> None:
    """graph.png: all of it, finished. asset.png: what one check of the ONNX model found."""
    page.evaluate("""() => {
        localStorage.setItem('asset-graph-direction', '"vertical"');
        localStorage.setItem('dagster-nav-collapsed', 'true');
    }""")
    open_graph(page, ui)
    for _ in range(STEPS_OUT):
        page.get_by_label("zoom_out").click()
    page.mouse.move(0, 0)
    expect_all_materialized(page, ASSETS)
    page.screenshot(path=out / "graph.png")
    page.set_viewport_size({"width": ASSET_SIZE[0], "height": ASSET_SIZE[1]})
    page.goto(f"{ui.url}/assets/mnist/onnx_model?view=checks&checkDetail=test_accuracy")
    expect(page.get_by_text("confusion", exact=True)).to_be_visible()
    page.screenshot(path=out / "asset.png")


def _settle_clouds(folder: Path) -> int:
    """Local clouds of this script's own, unless the environment names others; a port for the UI."""
    # Run as a script, only this file's own folder is on the path.
    sys.path.append(str(Path(__file__).parents[1]))
    from ports import free_ports

    aws, azure, site, port = free_ports(4)
    os.environ.setdefault("MC_LOCAL_STATE", str(folder / "clouds"))
    os.environ.setdefault("MC_LOCAL_AWS_PORT", str(aws))
    os.environ.setdefault("MC_LOCAL_AZURE_PORT", str(azure))
    os.environ.setdefault("MC_LOCAL_SITE_PORT", str(site))
    return port


if __name__ == "__main__":
    main()
