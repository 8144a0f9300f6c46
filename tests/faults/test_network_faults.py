"""Every fault of a network, at every call to a cloud: the call works, or says what was wrong.

The cases run side by side, since each of them mostly waits: the back-offs are the clients' own.
Each has a process to itself, since clients are pointed at a proxy by the environment.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from cloud_calls import CALLS, GONE, Call
from disturbed_calls import Place, Served, candidate_of
from fault_proxy import FaultProxy, Rule
from proxied_clouds import ProxiedClouds
from refusals import FAULTS, THROTTLED, words_of

from mc_assets import target
from mc_assets.definitions import build_resources
from mc_assets.local_cloud.settings import LocalSettings, load_credentials
from mc_assets.resources import artifact_store
from resources.release_lab import ReleaseLab

FOR_GOOD = 10**6
WORKERS = 30
WORKS, RETRYABLE, PERMANENT = "works", "fails, may be retried", "fails for good"
Case = tuple[str, str]
CASES: list[Case] = [(cloud_call, fault) for cloud_call in CALLS for fault in FAULTS]


@dataclass(frozen=True)
class Seen:
    """What came of one call that was spoilt `times`."""

    call: str
    fault: str
    times: int
    outcome: str
    message: str
    tries: int
    is_told: bool
    seconds: float

    def __str__(self) -> str:
        often = "for good" if self.times == FOR_GOOD else f"{self.times} x"
        return f"{self.call} {often} -> {self.outcome} ({self.tries} tries)"


@dataclass(frozen=True)
class Clouds:
    """What every case needs of the session's clouds; workers inherit it, being forks."""

    proxied: ProxiedClouds
    folder: Path
    served: Served

    def proxy(self, call: Call) -> FaultProxy:
        if call.upstream == "site":
            return self.proxied.over_tls(self.served.url)
        return self.proxied.aws() if call.upstream == "aws" else self.proxied.azure()


def begin_worker(clouds: Clouds) -> None:
    """Connections that were inherited are the parent's: have none of them."""
    global _clouds  # noqa: PLW0603 - what a pool's initializer is for
    _clouds = clouds
    artifact_store._shared_client.cache_clear()
    target._credential.cache_clear()


def meet(call: Call, fault: str, times: int) -> Seen:
    """Make the call while it is spoilt, then once more when all is well again."""
    name = f"f{random.Random(f'{call.name} {fault} {times}').getrandbits(44):011x}"
    with _clouds.proxy(call).listening() as proxy:
        place = Place(proxy, name, fault, build_resources("cloud"), _clouds.folder, _clouds.served)
        prepared = call.prepare(place)
        proxy.rule = Rule(
            lambda request: call.matches(request, name),
            call.how(fault),
            times,
            after=0 if call.how(fault) == "untrusted" else call.skips,
        )
        started = time.monotonic()
        outcome, message = _outcome(prepared.act)
        seconds, tries, is_told = time.monotonic() - started, proxy.tries, prepared.is_told()
        proxy.rule = None
        prepared.verify()
    return Seen(call.name, fault, times, outcome, message, tries, is_told, seconds)


def meet_case(cloud_call: str, index: int, fault: str, times: int) -> Seen:
    return meet(CALLS[cloud_call][index], fault, times)


def _outcome(act: Callable[[], Any]) -> tuple[str, str]:
    try:
        act()
    except dg.Failure as failure:
        return RETRYABLE if failure.allow_retries else PERMANENT, failure.description or ""
    return WORKS, ""


@pytest.fixture(scope="session")
def clouds(
    local_clouds: LocalSettings,
    resources: Mapping[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Clouds]:
    folder = tmp_path_factory.mktemp("network-faults")
    lab = ReleaseLab.of(resources["azure_functions"], "netfaults", "flex_consumption")
    with lab.removed_at_the_end():
        app = lab.azure.ensure_app(lab.hosting, lab.hosting.app_name)
        package = candidate_of(folder)
        lab.scm.deploy(app, package.data, lab.lines.append)
        lab.releases._warm_up(app, package, lab.lines.append)
        key = lab.azure.function_key(app.group, app.name, None)
        served = Served(app.url, key, package.content_version)
        yield Clouds(ProxiedClouds.of(local_clouds), folder, served)


@pytest.fixture(scope="session")
def met(
    clouds: Clouds, request: pytest.FixtureRequest, times: Callable[[str], int]
) -> Iterator[dict[Case, list[Future[Seen]]]]:
    """Every case that is to be tested, under way."""
    called = [getattr(item, "callspec", None) for item in request.session.items]
    wanted = {each.params["case"] for each in called if each and "case" in each.params}
    with ProcessPoolExecutor(WORKERS, get_context("fork"), begin_worker, (clouds,)) as pool:
        yield {
            (cloud_call, fault): [
                pool.submit(meet_case, cloud_call, index, fault, often)
                for index, often in _rounds(cloud_call, fault, times("network faults") > 1)
            ]
            for cloud_call, fault in CASES
            if (cloud_call, fault) in wanted
        }


def _rounds(cloud_call: str, fault: str, full: bool) -> Iterator[tuple[int, int]]:
    """Which of the calls, and how often it is spoilt: one of them once or twice; or all, also up
    to eight times and for good."""
    chance = random.Random(f"{cloud_call} {fault}")
    calls = range(len(CALLS[cloud_call]))
    if not full:
        yield chance.choice(calls), chance.randint(1, 2)
        return
    for index in calls:
        yield index, chance.randint(1, 8 if fault == THROTTLED else 3)
        yield index, FOR_GOOD


def _expected(call: Call, seen: Seen) -> str:
    if seen.fault in call.unharmed or seen.times < call.limit(seen.fault):
        return WORKS
    return PERMANENT if seen.fault in call.final else RETRYABLE


def _most_tries(call: Call, seen: Seen) -> int:
    if call.is_repeated and not (seen.times == FOR_GOOD and seen.outcome != WORKS):
        return call.tries + 60
    return min(call.limit(seen.fault), seen.times + 1)


def _secrets(clouds: Clouds) -> set[str]:
    credentials = load_credentials(clouds.proxied.settings.state)
    return {credentials.aws_secret_access_key, credentials.client_secret, clouds.served.key}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("case", CASES, ids=[" - ".join(case) for case in CASES])
def test_a_call_works_or_says_what_was_wrong(
    case: Case,
    met: dict[Case, list[Future[Seen]]],
    clouds: Clouds,
    count: Callable[[str], None],
) -> None:
    found = [future.result() for future in met[case]]
    count(f"{case[0]}, {case[1]}: {'; '.join(map(str, found))}")
    for seen in found:
        call = next(call for call in CALLS[case[0]] if call.name == seen.call)
        told = f"{seen}: {seen.message}"
        assert seen.outcome == _expected(call, seen), told
        assert 0 < seen.tries <= _most_tries(call, seen), told
        if seen.outcome != WORKS:
            refusal = call.refusals.get(seen.fault)
            assert refusal is None or words_of(refusal) in seen.message, told
            assert not any(secret in seen.message for secret in (*_secrets(clouds), "Bearer ey"))
        if call.name == "GetLogEvents" and seen.fault in GONE:
            assert seen.is_told, "a log that could not be read was passed over"
