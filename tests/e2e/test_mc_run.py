"""What `make run` shows: progress as lines or live, the summary, and the commands it ends with."""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from rich.console import Console

from graph_runs import Graph
from mc_assets.local_cloud.settings import LocalSettings
from mc_assets.run import materialise

ROOT = Path(__file__).parent.parent.parent
LOW = {"min_training_accuracy": 0.5, "min_test_accuracy": 0.5, "min_endpoint_accuracy": 0.5}


@pytest.fixture
def graph(local_clouds: LocalSettings, mnist_subset: Path, linear_code: str) -> Graph:
    return Graph.of(
        "shown", dataset_folder=str(mnist_subset), training={"code": linear_code}, gates=LOW
    )


def run(graph: Graph, monkeypatch: pytest.MonkeyPatch, home: Path, live: bool) -> tuple[int, str]:
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    shutil.copy(ROOT / ".dagster" / "dagster.yaml", home)
    out = io.StringIO()
    code = materialise(graph.defs, Console(file=out, force_terminal=live, width=200))
    return code, out.getvalue()


def test_lines_then_a_summary_then_a_curl_line_that_works(
    graph: Graph, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code, text = run(graph, monkeypatch, tmp_path, live=False)
    assert code == 0, text
    assert "shown/trained_model: [training] epoch 1 of 1" in text
    assert "\x1b" not in text
    for stage in ("dataset", "onnx_model", "live_endpoint"):
        assert f"shown/{stage}: materialised" in text
    assert "    passed   prediction_accuracy" in text
    curl = next(line.strip() for line in text.splitlines() if line.strip().startswith("curl"))
    assert graph.releases.client(graph.record("live_endpoint")).key not in text
    answer = subprocess.run(["sh", "-c", curl], capture_output=True, text=True)
    assert '"digits": [7]' in answer.stdout, (curl, answer)


def test_on_a_terminal_the_progress_is_live(
    graph: Graph, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code, text = run(graph, monkeypatch, tmp_path, live=True)
    assert code == 0
    assert "\x1b" in text


def test_a_failed_run_says_why_and_exits_1(
    mnist_subset: Path,
    linear_code: str,
    local_clouds: LocalSettings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    graph = Graph.of(
        "doomed",
        dataset_folder=str(mnist_subset),
        training={"code": linear_code},
        gates={**LOW, "min_test_accuracy": 1.0},
    )
    code, text = run(graph, monkeypatch, tmp_path, live=False)
    assert code == 1
    assert "    FAILED   test_accuracy" in text
    assert "doomed/onnx_model check test_accuracy: " in text
    assert "The run failed" in text
    assert "curl" not in text


def test_an_interrupted_run_says_so_and_stops_its_training(
    mnist_subset: Path,
    local_clouds: LocalSettings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "train.py").write_text("import time\ntime.sleep(600)\n")
    graph = Graph.of("halted", dataset_folder=str(mnist_subset), training={"code": str(code)})
    sagemaker = boto3.client("sagemaker")

    def jobs() -> list[str]:
        answer = sagemaker.list_training_jobs(NameContains="halted-")
        return [job["TrainingJobStatus"] for job in answer["TrainingJobSummaries"]]

    def interrupt() -> None:
        while not jobs():
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(graph, monkeypatch, tmp_path, live=False)
    while "Stopping" in (found := jobs()):
        time.sleep(0.1)
    assert found == ["Stopped"]


def test_asking_for_an_endpoint_that_never_was_is_one_sentence(
    local_clouds: LocalSettings,
) -> None:
    tool = Path(sys.executable).with_name("mc-endpoint")
    done = subprocess.run([tool, "url", "--model", "nobody"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "never materialised" in done.stderr
    assert "Traceback" not in done.stderr
