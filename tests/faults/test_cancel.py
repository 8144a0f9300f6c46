"""An interrupted run leaves no training job running, wherever it was; or leaves it to be found."""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from dagster_ui import dagster_ui
from runs_to_break import read_home
from training_to_stop import PHASES, Plot, interrupt, training_processes

from graph_runs import Graph
from mc_assets import idx
from mc_assets.local_cloud.settings import LocalSettings
from tiny_onnx import tiny_images

LIMIT = 10.0
SIGNALS = (signal.SIGINT, signal.SIGTERM)
REPOSITORY = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of a few noise images: the jobs here read nothing of it."""
    folder = tmp_path_factory.mktemp("digits")
    images, labels = tiny_images(20), np.arange(20, dtype=np.uint8) % 10
    for name in idx.MNIST_FILES:
        (folder / name).write_bytes(idx.write(images if "images" in name else labels))
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dagster-home")
    shutil.copy(REPOSITORY / ".dagster" / "dagster.yaml", folder)
    return folder


@pytest.fixture(scope="module")
def plots(
    local_clouds: LocalSettings, digits: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Plot]]:
    """Makes trainings; at the end those that a failed test left are let go."""
    assert Graph.of("cancelled", dataset_folder=str(digits)).materialise("dataset").success
    folder, made = tmp_path_factory.mktemp("plots"), []

    def make() -> Plot:
        made.append(Plot(folder / str(len(made)), "cancelled", digits, local_clouds.state))
        return made[-1]

    yield make
    for plot in made:
        plot.gate.touch()
    while any(training_processes(local_clouds.state)):
        time.sleep(0.1)


@pytest.fixture(scope="module")
def slowest() -> dict[str, float]:
    """Seconds from the signal until nothing ran any more, by what was tried."""
    return {}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("phase", PHASES)
def test_an_interrupted_run_leaves_nothing_running(
    plots: Callable[[], Plot],
    home: Path,
    phase: str,
    number: signal.Signals,
    times: Callable[[str], int],
    count: Callable[[str], None],
) -> None:
    stops, ends = [], []
    for seed in range(times("interrupted runs")):
        chance = random.Random(f"{phase} {number} {seed}")
        plot, retries = plots(), 2 * (chance.random() < 0.5)
        run = plot.run_until(phase, home, step_retries=retries)
        time.sleep(chance.uniform(0, PHASES[phase]))
        at = interrupt(run, number, whole_group=False)
        code, stopped = run.end(60), plot.seconds_until_nothing_goes_on(at)
        told = f"seed {seed}, {retries} retries: {plot.jobs}, {run.tail}"
        assert code == 1, told
        assert stopped < LIMIT, told
        assert set(plot.jobs) <= {"1"}, told
        assert last_status(home) in {dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE}
        stops.append(stopped)
        ends.append(plot.jobs.get("1", "never started"))
    told = ", ".join(f"{ends.count(end)} {end}" for end in sorted(set(ends)))
    count(f"{number.name} while {phase}: {len(stops)} runs, {told}; slowest {max(stops):.1f} s")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_multiprocess_run_leaves_nothing_running_either(
    plots: Callable[[], Plot],
    home: Path,
    number: signal.Signals,
    times: Callable[[str], int],
    count: Callable[[str], None],
) -> None:
    stops = []
    for seed in range(times("interrupted multiprocess runs")):
        chance = random.Random(f"multiprocess {number} {seed}")
        phase = list(PHASES)[(3 + seed) % len(PHASES)]
        plot, retries = plots(), 2 * (seed % 2)
        run = plot.run_until(phase, home, executor="multiprocess", step_retries=retries)
        time.sleep(chance.uniform(0, PHASES[phase]))
        at = interrupt(run, number, whole_group=number == signal.SIGINT)
        code, stopped = run.end(60), plot.seconds_until_nothing_goes_on(at)
        told = f"{phase}, seed {seed}, {retries} retries: {plot.jobs}, {run.tail}"
        assert code == 1, told
        assert stopped < LIMIT, told
        assert set(plot.jobs) <= {"1"}, told
        stops.append(stopped)
    count(f"{number.name}, multiprocess: {len(stops)} runs; slowest {max(stops):.1f} s")


@pytest.mark.timeout(1800)
def test_a_run_may_leave_its_job_which_the_next_run_finds(
    plots: Callable[[], Plot],
    home: Path,
    times: Callable[[str], int],
    count: Callable[[str], None],
) -> None:
    found = []
    for seed in range(times("interrupted runs that leave their job")):
        chance = random.Random(f"leaving {seed}")
        phase = list(PHASES)[1 + seed % 4]
        plot, executor = plots(), "multiprocess" if seed % 5 == 4 else "in_process"
        run = plot.run_until(phase, home, executor=executor, forward_termination=False)
        time.sleep(chance.uniform(0, PHASES[phase]))
        interrupt(run, SIGNALS[seed % 2], whole_group=False)
        assert run.end(60) == 1, run.tail
        assert plot.jobs["1"] in ({"InProgress", "Completed"}), (phase, run.tail)
        assert phase == "uploading" or plot.jobs == {"1": "InProgress"}
        again = plot.run(home)
        plot.gate.touch()
        assert again.end(60) == 0, again.tail
        assert plot.jobs == {"1": "Completed"}
        with read_home(home) as history:
            event = history.get_latest_materialization_event(
                dg.AssetKey(["cancelled", "trained_model"])
            )
        assert event
        assert event.asset_materialization
        found.append(event.asset_materialization.metadata["job"].value)
    told = ", ".join(f"{found.count(how)} {how}" for how in sorted(set(map(str, found))))
    assert set(found) <= {"attached", "adopted"}
    count(f"left to train on: {len(found)} runs, then {told}")


@pytest.mark.timeout(1800)
def test_a_run_terminated_in_the_ui_leaves_nothing_running(
    plots: Callable[[], Plot],
    tmp_path: Path,
    times: Callable[[str], int],
    count: Callable[[str], None],
) -> None:
    stops = []
    for executor in ("in_process", "multiprocess")[: times("runs terminated in the UI")]:
        plot, folder = plots(), tmp_path / executor
        folder.mkdir()
        shutil.copy(REPOSITORY / ".dagster" / "dagster.yaml", folder)
        order = replace(plot.order, executor=executor)
        with dagster_ui(order, folder, os.environ) as ui:
            run_id = ui.launch()
            plot.wait_until_it_trains()
            at = time.monotonic()
            ui.terminate(run_id)
            stops.append(plot.seconds_until_nothing_goes_on(at))
            while ui.status(run_id) not in {"CANCELED", "FAILURE", "SUCCESS"}:
                assert time.monotonic() - at < 60
                time.sleep(0.1)
            assert ui.status(run_id) == "CANCELED"
        assert plot.jobs == {"1": "Stopped"}
        assert stops[-1] < LIMIT
    count(f"terminated in the UI: {len(stops)} runs; slowest {max(stops):.1f} s")


def last_status(home: Path) -> dg.DagsterRunStatus:
    with read_home(home) as history:
        return history.get_runs(limit=1)[0].status
