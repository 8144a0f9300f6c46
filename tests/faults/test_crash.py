"""Whatever was killed, wherever: the next run pays for nothing twice and makes the same things."""

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from graph_to_crash import ASSETS, Materials, Victim, clouds_of_our_own, kill_clouds
from runs_to_break import Moment

from mc_assets.local_cloud import supervisor
from mc_assets.local_cloud.settings import LocalSettings

REPOSITORY = Path(__file__).parent.parent.parent
WHO = ("run", "step", "clouds")
CLOUD_GONE = "Failed InternalServerError: the local SageMaker ended while this job was running."


@dataclass(frozen=True)
class Boundary:
    """Before a request leaves the step that makes this asset; or so many seconds after, at most."""

    name: str
    asset: str
    request: str
    nth: int = 1
    until: float = 0.0


BOUNDARIES = (
    Boundary("amid the upload of the dataset", "dataset", r"^PUT \S*/{m}/dataset/", 3, 0.01),
    Boundary("before the dataset's record", "dataset", r"^PUT \S*/records/{m}/dataset\.json"),
    Boundary("before the job is created", "trained_model", r"SageMaker\.CreateTrainingJob"),
    Boundary("as it is created", "trained_model", r"SageMaker\.CreateTrainingJob", 1, 0.05),
    Boundary("as it trains or uploads", "trained_model", r"SageMaker\.CreateTrainingJob", 1, 3.5),
    Boundary(
        "completed, before its record", "trained_model", r"^PUT \S*/records/{m}/trained_model"
    ),
    Boundary("stored, before the model's record", "onnx_model", r"^PUT \S*/records/{m}/onnx_model"),
    Boundary(
        "stored, before the package's record",
        "function_package",
        r"^PUT \S*/records/{m}/function_package",
    ),
    Boundary("as it is staged", "staged_endpoint", r"^POST \S*/api/publish", 1, 2.0),
    Boundary(
        "staged, before the record", "staged_endpoint", r"^PUT \S*/records/{m}/staged_endpoint"
    ),
    Boundary("as it is promoted", "live_endpoint", r"^POST \S*/api/publish", 1, 2.0),
    Boundary(
        "promoted, before the record", "live_endpoint", r"^PUT \S*/records/{m}/live_endpoint\.json"
    ),
)


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSettings]:
    with clouds_of_our_own(tmp_path_factory.mktemp("clouds-to-kill")) as settings:
        yield settings


@pytest.fixture(scope="module")
def victim(
    clouds: LocalSettings, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Victim]:
    """Models from the same materials, each with a history of its own."""
    materials = Materials.make(tmp_path_factory.mktemp("materials"))

    def make(name: str) -> Victim:
        home = tmp_path_factory.mktemp(name)
        shutil.copy(REPOSITORY / ".dagster" / "dagster.yaml", home)
        return Victim(name, materials, home)

    return make


@pytest.fixture(scope="module")
def undisturbed(victim: Callable[[str], Victim]) -> dict[str, Any]:
    """What a run leaves that nothing happened to."""
    model = victim("undisturbed")
    run = model.run()
    assert run.end() == 0, run.tail
    facts = model.facts
    assert set(facts) == set(ASSETS)
    model.take_down()
    return facts


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("boundary", range(len(BOUNDARIES)), ids=lambda i: BOUNDARIES[i].name)
def test_a_killed_run_is_made_good_by_the_next(
    boundary: int,
    victim: Callable[[str], Victim],
    undisturbed: dict[str, Any],
    clouds: LocalSettings,
    times: Callable[[str], int],
    count: Callable[[str], None],
) -> None:
    if boundary % (len(BOUNDARIES) // times("boundaries")):
        pytest.skip("not in the sample, which has every victim all the same")
    ends: Counter[str] = Counter()
    for seed in range(times("crashes at each boundary")):
        who = WHO[(boundary + seed) % len(WHO)]
        model = victim(f"b{boundary}s{seed}")
        ends[f"{who}: {crash(model, BOUNDARIES[boundary], who, seed, undisturbed, clouds)}"] += 1
    told = ", ".join(f"{number} {end}" for end, number in sorted(ends.items()))
    count(f"kill -9 {BOUNDARIES[boundary].name}: {told}")


def crash(
    model: Victim,
    boundary: Boundary,
    who: str,
    seed: int,
    undisturbed: dict[str, Any],
    clouds: LocalSettings,
) -> str:
    """Kill, run again, compare; what became of the job."""
    chance = random.Random(f"{boundary.name} {seed}")
    delay = chance.uniform(0, boundary.until)
    chosen = ()
    if who == "step":  # its process makes this asset alone, of what a run before has made
        earlier = ASSETS[: ASSETS.index(boundary.asset)]
        if earlier:
            before = model.run(*earlier)
            assert before.end() == 0, before.tail
        chosen = (boundary.asset,)
    moment = Moment(
        boundary.request.format(m=model.name),
        told=str(model.home / "told"),
        # A step's process publishes once; the run's own has published to the staging app before.
        nth=2 if boundary.name == "as it is promoted" and who != "step" else boundary.nth,
        kill_after=None if who == "clouds" else delay,
        at_latest=None
        if who == "clouds"
        else rf"^PUT \S*/records/{model.name}/{boundary.asset}\.json",
    )
    run = model.run(*chosen, executor="multiprocess" if chosen else "in_process", moment=moment)
    run.wait_for_moment()
    if who == "clouds":
        time.sleep(delay)
        kill_clouds(clouds)
        supervisor.up(clouds)
    code = run.end(300)
    told = f"{boundary.name}, {who}, seed {seed}, exit {code}: {model.jobs} {run.tail}"
    assert code == {"run": -9, "step": 1}.get(who, code), told
    left = model.facts
    assert left.items() <= undisturbed.items(), told
    if code != 0:
        again = model.run()
        assert again.end(300) == 0, again.tail
    assert model.facts == undisturbed, told
    jobs = model.jobs
    assert list(jobs.values()).count("Completed") == 1, told
    lost = [status for status in jobs.values() if status != "Completed"]
    assert lost == [CLOUD_GONE] * len(lost), told
    assert not lost or (who == "clouds" and boundary.asset == "trained_model"), told
    model.take_down()
    return "its job died with its cloud, and one more" if lost else "one job"
