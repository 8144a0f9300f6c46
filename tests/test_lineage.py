"""From an endpoint back to its dataset and job, and from any of them to who serves it or did."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from rich.console import Console

from mc_assets.artifacts import (
    Artifact,
    Dataset,
    FunctionPackage,
    LiveEndpoint,
    OnnxModel,
    Override,
    ReleaseHistory,
    StagedEndpoint,
    StoredObject,
    TrainedModel,
)
from mc_assets.lineage import Known, about, everything, parts
from mc_assets.lineage_command import find, main, show
from mc_assets.local_cloud.settings import LocalSettings
from release_scene import Scene

ROOT = "s3://bucket/mc-assets/"
ARN = "arn:aws:sagemaker:eu-west-2:123456789012:training-job/"
ASSETS = ("dataset", "trained_model", "onnx_model", "function_package", "staged_endpoint")


def digits(letter: str) -> str:
    return letter * 64


def stored(what: str, letter: str) -> StoredObject:
    return StoredObject(uri=f"s3://bucket/{what}-{letter}", sha256=digits(letter), size=1)


def lineage(letter: str, *assets: str) -> dict[str, str]:
    """Every version made of the one dataset of zeros; its own digit tells a model from others."""
    return {f"m/{asset}": digits("0") if asset == "dataset" else digits(letter) for asset in assets}


def live(number: int, letter: str, since: str, **more: Any) -> LiveEndpoint:
    return LiveEndpoint(
        version=digits(letter),
        lineage=lineage(letter, *ASSETS, "live_endpoint"),
        resource_group="rg",
        app="app",
        slot=None,
        url="https://live",
        content_version=digits(letter.upper()),
        package=stored("zip", letter),
        model=stored("onnx", letter),
        job_arn=f"{ARN}m-{letter}-1",
        number=number,
        since=since,
        **more,
    )


def staged(letter: str) -> StagedEndpoint:
    told = live(1, letter, "").model_dump(
        exclude={"previous", "number", "since", "run_id", "brought_back", "override", "url"}
    )
    return StagedEndpoint(**{**told, "url": "https://staged", "lineage": lineage(letter, *ASSETS)})


def dataset(letter: str) -> Dataset:
    folder = f"{ROOT}m/dataset/{digits(letter)}/"
    return Dataset(
        version=digits(letter),
        lineage={"m/dataset": digits(letter)},
        source="made up",
        training_uri=f"{folder}training/",
        testing_uri=f"{folder}testing/",
        files={},
    )


def named(known: list[Known]) -> list[tuple[str, str, str]]:
    return [(each.asset, each.version[0], each.stands) for each in known]


@pytest.fixture
def known() -> tuple[Known, ...]:
    """Release 1, then 2, then 1 brought back; 3 is staged; another dataset is there already."""
    one, two = live(1, "1", "day 1"), live(2, "2", "day 2")
    back = live(1, "1", "day 3", brought_back="2 was slow")
    newest: dict[str, Artifact] = {
        "m/dataset": dataset("9"),
        "m/staged_endpoint": staged("3"),
        "m/live_endpoint": back,
    }
    return everything(newest, ReleaseHistory(releases=(one, two)), ROOT)


def test_an_endpoint_leads_back_to_every_version_and_where_it_is() -> None:
    assert [
        (part.asset, part.version[0], part.where) for part in parts(live(1, "a", ""), ROOT)
    ] == [
        ("m/dataset", "0", f"{ROOT}m/dataset/{digits('0')}/"),
        ("m/trained_model", "a", f"{ARN}m-a-1"),
        ("m/onnx_model", "a", "s3://bucket/onnx-a"),
        ("m/function_package", "a", "s3://bucket/zip-a"),
        ("m/staged_endpoint", "a", ""),
        ("m/live_endpoint", "a", "https://live"),
    ]


def test_a_record_of_an_earlier_release_is_read_and_has_no_job() -> None:
    old = live(1, "a", "day 1").model_dump(exclude={"job_arn", "brought_back"}, mode="json")
    read = LiveEndpoint.model_validate_json(json.dumps(old))
    (_, trained, *_) = parts(read, ROOT)
    assert (trained.version, trained.where) == (digits("a"), "")
    assert everything({"m/live_endpoint": read}, ReleaseHistory(), ROOT)[0].job == ""


def test_what_is_live_and_how_it_came(known: tuple[Known, ...]) -> None:
    now, before = known[:2]
    assert (now.stands, now.number, now.since, now.until) == ("live", 1, "day 3", "")
    assert now.how == "brought back: 2 was slow"
    assert (before.stands, before.number, before.until) == ("was live", 2, "day 3")
    assert before.how == "promoted"


def test_an_override_is_told() -> None:
    override = Override(reason="it is Friday", objections=("a", "b"))
    found = everything(
        {"m/live_endpoint": live(1, "1", "day 1", override=override)}, ReleaseHistory(), ROOT
    )
    assert found[0].how == "promoted past 2 objections: it is Friday"


def test_forward_from_a_dataset_to_every_endpoint(known: tuple[Known, ...]) -> None:
    assert named(about(known, "0" * 8)) == [
        ("m/live_endpoint", "1", "live"),
        ("m/live_endpoint", "2", "was live"),
        ("m/staged_endpoint", "3", "staged"),
    ]


@pytest.mark.parametrize("wanted", ["2" * 8, "2" * 64, "m-2-1"])
def test_forward_from_a_model_or_its_job(known: tuple[Known, ...], wanted: str) -> None:
    assert named(about(known, wanted)) == [("m/live_endpoint", "2", "was live")]


def test_what_nothing_serves_is_found_once(known: tuple[Known, ...]) -> None:
    assert named(about(known, "9" * 8)) == [("m/dataset", "9", "newest")]
    assert about(known, "f" * 8) == []
    one = {"m/dataset": dataset("7"), "m/onnx_model": onnx_of("7")}
    found = about(everything(one, ReleaseHistory(), ROOT), "7" * 8)
    assert named(found) == [("m/onnx_model", "7", "newest")], "its dataset is one of its parts"


def onnx_of(letter: str) -> OnnxModel:
    made_of = {asset: digits(letter) for asset in ("m/dataset", "m/trained_model", "m/onnx_model")}
    model = stored("onnx", letter)
    return OnnxModel(version=digits(letter), lineage=made_of, model=model, reference=model)


@pytest.fixture(scope="module")
def scene(local_clouds: LocalSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Two releases, and the first of them brought back."""
    folder, instance = tmp_path_factory.mktemp("traced"), dg.DagsterInstance.ephemeral()
    with Scene.set("traced", folder, "premium", instance).taken_down() as scene:
        scene.live_after(1, 2)
        assert scene.roll_back(reason="it was slow").success
        yield scene


def test_from_what_is_live_to_its_dataset_and_back(scene: Scene) -> None:
    graph = scene.graph
    code = "from mc_assets.lineage_command import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--model", scene.name, "--json"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (now,) = json.loads(done.stdout)["found"]
    assert now["stands"] == "live"
    assert (now["number"], now["how"]) == (1, "brought back: it was slow")
    places = {part["asset"].rpartition("/")[2]: part["where"] for part in now["parts"]}
    assert places["trained_model"] == scene.live.job_arn != ""
    assert places["onnx_model"] == scene.live.model.uri
    assert places["function_package"] == scene.live.package.uri
    assert graph.store.uri(f"{scene.name}/dataset/") in places["dataset"]
    assert graph.record("dataset").training_uri.startswith(places["dataset"])

    served = find(graph.store, scene.name, graph.record("dataset").version[:8])
    assert [(each.number, each.stands) for each in served if each.number] == [
        (1, "live"),
        (2, "was live"),
    ]
    assert served[1].how == "promoted, taken back: it was slow"
    assert served[1].until == served[0].since


def test_each_version_finds_its_release(scene: Scene) -> None:
    store, name = scene.graph.store, scene.name
    for asset, kind in (("trained_model", TrainedModel), ("function_package", FunctionPackage)):
        newest = store.latest(dg.AssetKey([name, asset]), kind)
        assert newest is not None
        first = find(store, name, newest.version[:12])[0]
        assert (first.number, first.stands) == (2, "was live"), asset
    job = scene.graph.record("trained_model").job_name
    assert [each.number for each in find(store, name, job)][:1] == [2]


def test_the_endpoints_metadata_has_the_same_lineage(scene: Scene) -> None:
    told: Any = scene.graph.last_materialised("live_endpoint").metadata["lineage"]
    rows = {row.data["asset"]: (row.data["version"], row.data["where"]) for row in told.records}
    assert rows == {
        part.asset: (part.version, part.where)
        for part in parts(scene.live, scene.graph.store.uri(""))
    }


def test_plain_words_where_there_is_no_terminal(scene: Scene) -> None:
    out = io.StringIO()
    show(find(scene.graph.store, scene.name, "live_endpoint"), Console(file=out))
    heading, url, *table = out.getvalue().splitlines()
    assert heading.startswith(
        f"{scene.name}/live_endpoint {scene.live.version[:12]} (release 1): live"
    )
    assert url == scene.live.url
    assert any(scene.live.lineage[f"{scene.name}/dataset"] in line for line in table)
    assert "\x1b" not in out.getvalue()


def test_an_endpoint_that_serves_something_else_is_not_called_live(scene: Scene) -> None:
    graph, record = scene.graph, scene.live
    other = record.model_copy(update={"content_version": digits("0")})
    graph.store.write_latest(graph.key("live_endpoint"), other)
    try:
        (found,) = find(graph.store, scene.name, "live_endpoint")
    finally:
        graph.store.write_latest(graph.key("live_endpoint"), record)
    assert found.stands == f"live by the records, but it serves {record.content_version[:12]}"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--model", "nosuchmodel"], 1, "nosuchmodel/live_endpoint was never materialised here"),
        (["--model", "traced", "f" * 64], 1, f"has a sha256 that begins with {'f' * 64}"),
        (["--model", "traced", "no-such-job-1"], 1, "has a training job named no-such-job-1"),
        (["abcdef"], 2, "'abcdef' is neither one of dataset, trained_model"),
    ],
)
def test_what_is_not_found_is_one_sentence(
    scene: Scene,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    said: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["mc-lineage", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == status
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err.splitlines()[-1]


def test_an_unknown_target_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MC_TARGET", "nowhere")
    monkeypatch.setattr(sys, "argv", ["mc-lineage"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == (
        "mc-lineage: MC_TARGET is 'nowhere'; it can be local or cloud.\n"
    )
