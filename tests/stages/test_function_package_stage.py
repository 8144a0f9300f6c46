"""The checks of a function package: what is in it, and that it answers in a clean process."""

import shutil
from pathlib import Path

import pytest
from by_hand import WEIGHTS, ByHand

from graph_runs import Graph
from tiny_onnx import tiny_onnx, tiny_weights

FUNCTION = Path(__file__).parent.parent.parent / "function_app"


@pytest.fixture
def function(tmp_path: Path) -> Path:
    """A copy of the function, to be spoilt."""
    folder = tmp_path / "function"
    shutil.copytree(FUNCTION, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def with_model(hand: ByHand) -> ByHand:
    hand.onnx(tiny_onnx(WEIGHTS))
    return hand


def test_the_stage_packs_what_passes_every_check(with_model: ByHand) -> None:
    ran = with_model.graph.materialise("function_package")
    assert ran.success
    assert len(ran.checks) == 2
    assert ran.failed_checks == set()
    assert ran.found("function_package clean_process", "accuracy") == 1.0


def test_a_package_over_its_budget_blocks(with_model: ByHand) -> None:
    graph = with_model.graph
    gates = {"min_endpoint_accuracy": 0.5, "max_package_bytes": 10_000}
    strict = Graph.of(graph.name, gates=gates).materialise("function_package")
    assert not strict.success
    assert strict.failed_checks == {"function_package contents"}
    problems = strict.found("function_package contents", "problems")
    assert any("the budget is 10000 bytes" in problem for problem in problems)
    said = str(strict.checks["function_package contents"].description)
    assert "the budget is 10000 bytes" in said


def test_a_model_that_was_never_validated_blocks(with_model: ByHand) -> None:
    with_model.package(FUNCTION, inside=tiny_onnx(tiny_weights(seed=9)))
    ran = with_model.graph.check("function_package")
    assert not ran.success
    assert ran.failed_checks == {"function_package contents", "function_package clean_process"}
    problems = ran.found("function_package contents", "problems")
    assert any("not the validated one" in problem for problem in problems)
    accuracy = ran.found("function_package clean_process", "accuracy")
    said = str(ran.checks["function_package clean_process"].description)
    assert said == f"Its accuracy on 40 test images is {accuracy:.4f}, below 0.4800."


def test_an_unpinned_requirement_blocks(with_model: ByHand, function: Path) -> None:
    (function / "requirements.txt").write_text("azure-functions\n")
    with_model.package(function)
    ran = with_model.graph.check("function_package")
    assert not ran.success
    assert ran.failed_checks == {"function_package contents"}


def test_a_function_that_cannot_be_imported_blocks(with_model: ByHand, function: Path) -> None:
    code = function / "function_app.py"
    code.write_text(f"raise LookupError('no weights to be found')\n{code.read_text()}")
    with_model.package(function)
    ran = with_model.graph.check("function_package")
    assert not ran.success
    assert ran.failed_checks == {"function_package clean_process"}
    assert "no weights to be found" in str(ran.checks["function_package clean_process"].description)
