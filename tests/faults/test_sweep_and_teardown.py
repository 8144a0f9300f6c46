"""Sweep and teardown among many, refused, and killed halfway: ours goes, nothing of others."""

import os
import random
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from fault_proxy import Answer, FaultProxy, Request, Rule

from graph_runs import Graph, Ran
from mc_assets.local_cloud.settings import LocalSettings
from mc_assets.ownership import OWNER_TAG
from planted import THEIRS, Garden, resources_of_the_environment, rows, sweep

TESTS = Path(__file__).parent.parent
REPOSITORY = TESTS.parent
LOCKED = Answer(
    409,
    {"Content-Type": "application/json"},
    b'{"error": {"code": "ScopeLocked", "message": "The scope cannot perform delete operation '
    b'because following scope(s) are locked."}}',
)
DENIED = Answer(
    403,
    {"Content-Type": "application/xml"},
    b"<Error><Code>AccessDenied</Code><Message>Access Denied by its owner</Message></Error>",
)


@pytest.fixture
def garden(
    local_clouds: LocalSettings, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Garden]:
    name = f"g{random.Random(request.node.nodeid).randrange(10**8):08}"
    with Garden(Graph.of(name), tmp_path).cleared_at_the_end() as made:
        yield made


@contextmanager
def refusing(settings: LocalSettings, cloud: str, rule: Rule) -> Iterator[FaultProxy]:
    """This process, and those it starts, meet one of the clouds through a door that spoils."""
    if cloud == "azure":
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        folder = settings.state / "azure"
        tls.load_cert_chain(folder / "server.pem", folder / "server.key")
        proxy = FaultProxy(settings.azure_url, str(settings.ca_file), tls, rule=rule)
        variable = "AZURE_RESOURCE_MANAGER_URL"
    else:
        proxy = FaultProxy(settings.aws_url, rule=rule)
        variable = "AWS_ENDPOINT_URL"
    with proxy.listening(), patch.dict(os.environ, {variable: proxy.url}):
        yield proxy


def as_on_real_clouds(garden: Garden) -> Garden:
    """The same model with clients that the environment points, instead of starting the clouds."""
    return replace(garden, graph=replace(garden.graph, overrides=resources_of_the_environment()))


def is_deletion_of(what: str) -> Callable[[Request], bool]:
    return lambda request: request.method == "DELETE" and what in request.path


def teardown_failure(garden: Garden, ran: Ran) -> str:
    return ran.failure(f"{garden.graph.name}_delete_azure_resources")


def planted_group(garden: Garden) -> None:
    garden.make_group()
    for number in range(2):
        plan = garden.plan(f"plan-{number}", garden.tags())
        garden.app(f"{garden.graph.name}-{number}", plan, garden.tags())


@pytest.mark.timeout(1800)
def test_a_sweep_among_many(
    garden: Garden, times: Callable[[str], int], count: Callable[[str], None]
) -> None:
    """Ours and foreign ones of every kind, named alike, planted in an order that a seed gives."""
    ours, foreign = times("own orphans"), times("foreign things")
    name, group = garden.graph.name, garden.hosting.group_name
    ended = garden.run("FAILURE")
    garden.make_group()
    shared = garden.plan("plan-theirs", THEIRS)
    strangers = ({}, THEIRS, {OWNER_TAG: "mc-assets/another"}, {OWNER_TAG: f"mc-assets/{name}2"})

    def plant_job(number: int, own: bool) -> str:
        tags = garden.tags(ended) if own else strangers[number % 4]
        return garden.job(f"{'own' if own else 'foreign'}-{number}", tags)

    def plant_app(number: int, own: bool) -> str:
        app = f"{name}-{'own' if own else 'foreign'}-{number}"
        return garden.app(app, shared, garden.tags(ended) if own else strangers[number % 4])

    def plant_object(number: int, own: bool) -> str:
        key = f"{name}/packages/{'own' if own else 'foreign'}-{number}.zip"
        strange = strangers[number % 4]
        return garden.object(key, garden.tags(ended) if own else strange, b"%d" % number)

    def plant_context(number: int, own: bool) -> str:
        return garden.context(
            f"{'ours' if own else 'foreign'}-{name}-{number}", ended, "" if own else "another"
        )

    # Six jobs of each: more than SageMaker lists in one page.
    few = [plant_job, plant_app, plant_app]
    kinds = [few[n % 3] if n < 18 else (plant_object, plant_context)[n % 2] for n in range(10**3)]
    wanted = [(kinds[number], number, True) for number in range(ours)]
    wanted += [(kinds[number], number, False) for number in range(foreign)]
    random.Random(4).shuffle(wanted)
    planted = {plant(number, own): own for plant, number, own in wanted}
    mine = {what for what, own in planted.items() if own}
    before, on_azure = garden.foreign(), garden.on_azure

    started = time.monotonic()
    assert {row["name"] for row in rows(sweep(garden))} == mine
    assert len(rows(sweep(garden))) == ours
    assert garden.foreign() == before, "a dry run touched something"
    ran = sweep(garden, delete=True)
    assert ran.success
    assert {row["name"] for row in rows(ran)} == mine
    assert rows(sweep(garden)) == []
    seconds = time.monotonic() - started
    after = garden.foreign()
    touched = sum(after.get(what) != thing for what, thing in before.items())
    assert after == before
    assert garden.on_azure == on_azure - mine
    for job in garden.jobs:
        left = "Stopped" if job in mine else "InProgress"
        assert (garden.ended(job) if job in mine else garden.status(job)) == left
    count(
        f"sweep: {foreign} foreign and {ours} own planted in {group}, SageMaker and S3; a dry run "
        f"lists {len(mine)}, delete removes {ours}, {touched} foreign touched; 4 sweeps took "
        f"{seconds:.1f} s"
    )


def test_a_sweep_goes_on_where_one_deletion_is_refused(
    garden: Garden, local_clouds: LocalSettings
) -> None:
    keys = [f"{garden.graph.name}/packages/{letter}.zip" for letter in "abc"]
    for key in keys:
        garden.object(key, garden.tags())
    rule = Rule(is_deletion_of(keys[1]), DENIED, times=1)
    with refusing(local_clouds, "aws", rule):
        ran = sweep(as_on_real_clouds(garden), delete=True)
    assert not ran.success
    failure = ran.failure(f"{garden.graph.name}_sweep_orphans")
    assert "1 of 3 orphans were not removed" in failure
    assert "Access Denied by its owner" in failure
    assert [key in failure for key in keys] == [False, True, False]
    assert [garden.has(key) for key in keys] == [False, True, False]
    assert sweep(garden, delete=True).success
    assert not garden.has(keys[1])


def test_a_teardown_that_azure_refuses_once_is_finished_by_the_next(
    garden: Garden, local_clouds: LocalSettings
) -> None:
    planted_group(garden)
    foreign, before = garden.foreign(), garden.on_azure
    rule = Rule(is_deletion_of(garden.hosting.group_name), LOCKED, times=1)
    with refusing(local_clouds, "azure", rule):
        ran = as_on_real_clouds(garden).graph.run_job("teardown")
        assert not ran.success
        failure = teardown_failure(garden, ran)
        assert "following scope(s) are locked" in failure
        assert all(name in failure for name in before)
        assert garden.on_azure == before
        assert as_on_real_clouds(garden).graph.run_job("teardown").success
    assert rule.seen == 2
    assert not garden.group_exists
    foreign.pop(garden.group_key)
    assert garden.foreign() == foreign


def test_a_teardown_killed_while_azure_deletes_is_finished_by_the_next(
    garden: Garden, local_clouds: LocalSettings, tmp_path: Path
) -> None:
    planted_group(garden)
    job = garden.job("ours", garden.tags(garden.run("FAILURE")))
    foreign = garden.foreign()
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(REPOSITORY / ".dagster" / "dagster.yaml", home)
    command = [sys.executable, str(Path(__file__).with_name("teardown_to_kill.py"))]

    def begun() -> subprocess.Popen[bytes]:
        environ = {
            **os.environ, "DAGSTER_HOME": str(home), "PYTHONPATH": f"{REPOSITORY}:{TESTS}",
        }  # fmt: skip
        log = (tmp_path / "log").open("ab")
        return subprocess.Popen([*command, garden.graph.name], env=environ, stdout=log, stderr=log)

    # Azure has begun, and says so to nobody.
    rule = Rule(is_deletion_of(garden.hosting.group_name), "slow", times=1)
    with refusing(local_clouds, "azure", rule):
        killed = begun()
        while not rule.spoilt:
            assert killed.poll() is None, (tmp_path / "log").read_text()[-3000:]
            time.sleep(0.05)
        killed.kill()
        killed.wait()
        assert begun().wait(120) == 0, (tmp_path / "log").read_text()[-3000:]
    assert garden.ended(job) == "Stopped"
    assert not garden.group_exists
    foreign.pop(garden.group_key)
    assert garden.foreign() == foreign
