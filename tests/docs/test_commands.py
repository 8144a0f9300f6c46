"""Every command in README.md and docs/*.md goes well when it is typed, or says why nobody does."""

import ast
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import plan
import pytest
from commands import Command, commands
from plan import Step
from shell import BIN, Shell, Typed

from graph_runs import IMAGE
from mc_assets.local_cloud import supervisor
from mc_assets.local_cloud.settings import LocalSettings
from ports import free_ports
from project_copy import ROOT, copy_project, write_lifecycle
from summary import tell

TITLE = "commands in the documents"
# What the documents write for a version -> how the one that it has here is found.
HISTORY = """
from mc_assets.artifacts import ReleaseHistory
from mc_assets.definitions import build_resources
store = build_resources("local")["artifact_store"]
history = store.read_record("records/mnist/live_endpoint.history.json", ReleaseHistory)
"""
EXAMPLES = {
    "c30b6df3": f"{HISTORY}print(history.releases[-1].version[:8])",
    "09d9c501": f"""{HISTORY}print(history.releases[-1].lineage["mnist/dataset"][:8])""",
}


@pytest.fixture
def lifecycle(mnist_subset: Path, tmp_path: Path) -> dict[str, Any]:
    """The model of the documents, made to train in a moment."""
    code = tmp_path / "training"
    code.mkdir()
    shutil.copy(ROOT / "tests" / "linear_training.py", code / "train.py")
    shutil.copy(ROOT / "tests" / "tiny_onnx.py", code)
    return {
        "name": "mnist",
        "job_prefix": "",
        "dataset_folder": str(mnist_subset),
        "training": {"code": str(code), "image": IMAGE},
        "gates": {
            "min_training_accuracy": 0.6,
            "min_test_accuracy": 0.6,
            "min_endpoint_accuracy": 0.6,
            "champion_margin": 1,
            "max_latency_p95_ms": 60_000,
            "bake_max_latency_p95_ms": 60_000,
            "bake_seconds": 1,
        },
        "automation": {
            "retraining": {"cron": "0 3 * * 1", "timezone": "Europe/London"},
            "on_change": {"cron": "0 * * * *", "timezone": "Europe/London"},
            "live_check": {"cron": "0 6 * * *", "timezone": "Europe/London"},
            "notifications": {"webhook": "MC_WEBHOOK_URL"},
        },
    }


@pytest.fixture
def shell(lifecycle: dict[str, Any], tmp_path: Path) -> Iterator[Shell]:
    project = copy_project(tmp_path / "project", lifecycle)
    for name in ("Makefile", "constraints.txt"):
        shutil.copy(ROOT / name, project)
    # The environment is not to be made anew: make goes by what is younger.
    for name in ("pyproject.toml", "constraints.txt"):
        os.utime(project / name, (0, 0))
    clouds = LocalSettings(tmp_path / "clouds", *free_ports(3))
    try:
        yield Shell.opened(project, clouds)
    finally:
        supervisor.down(clouds)


def test_every_command_has_its_place_in_the_plan(request: pytest.FixtureRequest) -> None:
    found = [command for command in commands() if not _is_typed_with_its_page(command)]
    places = [
        *(step.command for step in plan.TYPED),
        *plan.TYPED_ELSEWHERE,
        *plan.NOT_TYPED,
    ]
    assert [place for place, times in Counter(places).items() if times > 1] == []
    unplanned = {f"{each.page}: {each.text}" for each in found if each.text not in places}
    assert unplanned == set(), "say in tests/docs/plan.py what becomes of them"
    assert set(places) - {command.text for command in found} == set(), "in no document any more"

    whole = {command.text for command in commands()} - {command.text for command in found}
    elsewhere = len(plan.TYPED_ELSEWHERE) + len(whole)
    total = len(places) + len(whole)
    tell(
        request.config,
        TITLE,
        f"{total} in all: {len(plan.TYPED)} typed here, {elsewhere} by other tests, "
        f"{len(plan.NOT_TYPED)} by nobody:",
    )
    for command, reason in plan.NOT_TYPED.items():
        tell(request.config, TITLE, f"  {command}: {reason}")


@pytest.mark.parametrize(
    "test", sorted({*plan.TYPED_ELSEWHERE.values(), *plan.PAGES_TYPED.values()})
)
def test_a_test_that_is_named_exists(test: str) -> None:
    file, _, name = test.partition("::")
    tree = ast.parse((ROOT / file).read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.timeout(2400)
@pytest.mark.skipif(
    not (BIN.parent / ".ready").exists(), reason="this environment was not made by `make`"
)
def test_commands_go_well_one_after_the_other(
    shell: Shell, lifecycle: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    for step in plan.TYPED:
        if step.hyperparameters:
            training = {**lifecycle["training"], "hyperparameters": dict(step.hyperparameters)}
            write_lifecycle(shell.project, {**lifecycle, "training": training})
        typed = _type(shell, step)
        tell(request.config, TITLE, f"{typed.exit_code} in {typed.seconds:4.1f} s  {step.command}")
        assert typed.exit_code == 0, str(typed)
        assert step.shows in typed.output, str(typed)


def _type(shell: Shell, step: Step) -> Typed:
    command = step.command
    for example in [example for example in EXAMPLES if example in command]:
        told = shell.type(f"python -c '{EXAMPLES[example]}'")
        assert told.exit_code == 0, str(told)
        command = command.replace(example, told.output.split()[-1])
    if step.serves:
        return shell.serve(command)
    return shell.type(step.first + command, step.answer)


def _is_typed_with_its_page(command: Command) -> bool:
    return command.in_block and command.page in plan.PAGES_TYPED
