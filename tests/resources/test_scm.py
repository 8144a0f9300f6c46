"""Deployments by SCM: what Azure says while it builds, and how it refuses one."""

import threading
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from release_lab import ReleaseLab, candidate

from mc_assets.resources.azure_functions import FunctionApp
from mc_assets.resources.scm import ScmSite
from small_function_apps import required_with, zipped

# A requirement whose build waits for the file that the app setting GATE names.
BACKEND = """
import os, time

def build_wheel(folder, config_settings=None, metadata_directory=None):
    print("the build waits", flush=True)
    while not os.path.exists(os.environ["GATE"]):
        time.sleep(0.02)
    raise SystemExit("the gate is open")
"""


def gated_package() -> bytes:
    files = {"function_app.py": "", "host.json": '{"version": "2.0"}'}
    return zipped(files | required_with(BACKEND))


@pytest.fixture
def gate(lab: ReleaseLab, tmp_path: Path) -> Path:
    """The file that lets a gated package's build go on; the app has to be made after this."""
    gate = tmp_path / "gate"
    lab.hosting = replace(lab.hosting, settings={"GATE": str(gate)})
    return gate


def ensure(lab: ReleaseLab) -> FunctionApp:
    return lab.azure.ensure_app(lab.hosting, lab.hosting.app_name)


@pytest.mark.parametrize("plan", ["flex_consumption", "consumption"])
def test_the_builds_log_is_told_as_it_comes_and_each_line_once(
    lab: ReleaseLab, plan: str, tmp_path: Path
) -> None:
    app = ensure(lab)
    deployment = lab.scm.deploy(app, candidate(tmp_path, "one").data, lab.lines.append)
    assert lab.lines
    assert all(line.startswith(f"[build {lab.hosting.app_name}] ") for line in lab.lines)
    assert len(lab.lines) == len(set(lab.lines))
    assert "Running the remote build." in lab.scm.log_tail(app, deployment.id)
    told = [line.partition("] ")[2] for line in lab.lines]
    assert "\n".join(told).endswith(lab.scm.log_tail(app, deployment.id))


def test_the_builds_own_lines_are_told_while_it_runs(lab: ReleaseLab, gate: Path) -> None:
    def log(line: str) -> None:
        if "Installing requirements.txt" in line:
            gate.touch()  # the build waits for this

    with pytest.raises(dg.Failure, match="the gate is open"):
        lab.scm.deploy(ensure(lab), gated_package(), log)


def test_a_deployment_under_way_is_not_disturbed(lab: ReleaseLab, gate: Path) -> None:
    app, building, ended = ensure(lab), threading.Event(), []

    def first() -> None:
        try:
            lab.scm.deploy(app, gated_package(), lambda _: building.set())
        except dg.Failure as failure:
            ended.append(str(failure))

    thread = threading.Thread(target=first)
    thread.start()
    try:
        assert building.wait(60)
        with pytest.raises(
            dg.Failure, match=f"did not take the package for {app.name}: .+ in progress"
        ) as refused:
            lab.scm.deploy(app, gated_package(), lab.lines.append)
        assert refused.value.allow_retries
    finally:
        gate.touch()
        thread.join()
    assert len(ended) == 1
    assert "the gate is open" in ended[0], "the first deployment was not waited for"


def test_a_deployment_that_does_not_end_is_given_up(lab: ReleaseLab, gate: Path) -> None:
    impatient = ScmSite(azure=lab.azure, timeout_seconds=1, max_poll_seconds=0.2)
    try:
        with pytest.raises(dg.Failure, match="did not end within 1 s") as refused:
            impatient.deploy(ensure(lab), gated_package(), lab.lines.append)
        assert not refused.value.allow_retries, "it would be begun a second time"
    finally:
        gate.touch()


def test_bytes_that_are_no_zip_are_refused(lab: ReleaseLab) -> None:
    app = ensure(lab)
    with pytest.raises(dg.Failure, match=app.name) as refused:
        lab.scm.deploy(app, b"no zip at all", lab.lines.append)
    assert not refused.value.allow_retries
    assert "zip" in str(refused.value).lower()


def test_a_site_that_is_gone_is_named(lab: ReleaseLab) -> None:
    app = replace(ensure(lab), scm_url="https://127.0.0.1:1")
    impatient = ScmSite(azure=lab.azure, ready_seconds=1, max_poll_seconds=0.2)
    with pytest.raises(
        dg.Failure,
        match=r"127\.0\.0\.1:1/api/deployments/latest could not be reached in 1 s: .+refused",
    ):
        impatient.deploy(app, b"", lab.lines.append)
