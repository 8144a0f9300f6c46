"""What the tests of the resources share."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from release_lab import ReleaseLab


@pytest.fixture
def lab(resources: Mapping[str, Any], request: pytest.FixtureRequest) -> Iterator[ReleaseLab]:
    """A model of this test's own; `@pytest.mark.parametrize("plan", ...)` chooses the plan."""
    chosen = getattr(request.node, "callspec", None)
    plan = chosen.params.get("plan", "flex_consumption") if chosen else "flex_consumption"
    model = "r" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:8]
    with ReleaseLab.of(resources["azure_functions"], model, plan).removed_at_the_end() as made:
        yield made
