"""The jobs beside the assets: names by prefix, and a teardown that touches only what is ours."""

from collections.abc import Iterator

import pytest

from graph_runs import Graph
from mc_assets.lifecycle import ModelLifecycle


@pytest.fixture
def foreign_group(graph: Graph) -> Iterator[str]:
    """A resource group of the model's name that somebody else made."""
    groups, name = graph.azure.resources.resource_groups, f"rg-mc-{graph.name}"
    groups.create_or_update(name, {"location": "ukwest", "tags": {"team": "others"}})
    yield name
    groups.begin_delete(name).result()


@pytest.mark.parametrize(("chosen", "prefix"), [({}, "m_"), ({"job_prefix": ""}, "")])
def test_jobs_carry_the_prefix(chosen: dict[str, str], prefix: str) -> None:
    defs = ModelLifecycle.from_attributes_dict(attributes={"name": "m", **chosen}).build()
    assert {job.name for job in defs.jobs or []} == {
        f"{prefix}{name}" for name in ("checks", "rollback", "sweep", "teardown")
    }


def test_a_teardown_of_nothing_says_so(graph: Graph) -> None:
    ran = graph.run_job("teardown")
    assert ran.success
    said = f"There is no resource group rg-mc-{graph.name}: nothing to remove."
    assert said in ran.messages


def test_a_teardown_leaves_a_foreign_group_alone(graph: Graph, foreign_group: str) -> None:
    ran = graph.run_job("teardown")
    assert not ran.success
    assert "not ours" in ran.failure(f"{graph.name}_delete_azure_resources")
    assert graph.azure.resources.resource_groups.check_existence(foreign_group)


def test_checks_of_what_was_never_made_fail_by_name(graph: Graph) -> None:
    ran = graph.run_job("checks")
    assert not ran.success
    assert ran.materialised == {}
    assert any(f"{graph.name}/dataset has no record" in line for line in ran.log)
