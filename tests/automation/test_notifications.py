"""The notifications sensor: real runs that fail, told to a real web server, each of them once."""

import json
import logging
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mc_assets.automation import notifications
from mc_assets.automation.notifications import NotificationError
from mc_assets.lifecycle import ModelLifecycle
from ports import free_ports

SECRET = "T0000/B0000/secret"


@dataclass
class Webhook:
    """Takes what is posted, or refuses it."""

    url: str = ""
    status: int = 200
    bodies: list[Any] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        return [body["text"] for body in self.bodies]


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    told = Webhook()

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if told.status == 200:
                told.bodies.append(body)
            self.send_response(told.status)
            self.send_header("location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    told.url = f"http://127.0.0.1:{server.server_port}/services/{SECRET}"
    monkeypatch.setenv("HOOK", told.url)
    yield told
    server.shutdown()
    server.server_close()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """With its history in a folder, as for a user of one machine."""
    quiet = {"telemetry": {"enabled": False}}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=quiet) as made:
        yield made


@dataclass
class Sensor:
    """The sensor between two restarts: nothing of it lasts but its cursor."""

    instance: dg.DagsterInstance
    ui: str | None = None
    cursor: str | None = None

    def tick(self) -> str:
        lifecycle = ModelLifecycle.from_attributes_dict(
            attributes={
                "name": "m",
                "automation": {"notifications": {"webhook": "HOOK", "ui": self.ui}},
            }
        )
        [sensor] = lifecycle.build().sensors or []
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor)
        data = sensor.evaluate_tick(context)
        self.cursor = data.cursor
        return data.skip_message or ""


@pytest.fixture
def sensor(instance: dg.DagsterInstance) -> Sensor:
    """Switched on after a run that has failed."""
    run(instance, fails="long ago")
    made = Sensor(instance)
    assert made.tick() == "Tells of runs that end from now on."
    return made


def run(
    instance: dg.DagsterInstance,
    fails: str = "",
    warns: bool = False,
    refused: bool = False,
    model: str = "m",
) -> str:
    """A run of one asset with two checks; its id."""
    key = dg.AssetKey([model, "dataset"])

    @dg.asset(key=key)
    def dataset() -> None:
        if fails:
            raise dg.Failure(fails, allow_retries=False)

    @dg.asset_check(asset=key, blocking=True)
    def sound() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=not refused, description="Half of it is missing.")

    @dg.asset_check(asset=key)
    def balanced() -> dg.AssetCheckResult:
        severity = dg.AssetCheckSeverity.WARN
        return dg.AssetCheckResult(
            passed=not warns, severity=severity, description="<3> is rare & 4 is not."
        )

    job = dg.Definitions(
        assets=[dataset], asset_checks=[sound, balanced], executor=dg.in_process_executor
    ).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, raise_on_error=False).run_id


def test_a_failed_step_is_told_once_and_what_was_before_is_not(
    sensor: Sensor, webhook: Webhook
) -> None:
    assert sensor.tick() == "No run has ended."
    run_id = run(sensor.instance, fails="There is no source.")
    assert sensor.tick() == "Of 1 runs that have ended, told of 1."
    expected = f"m: run {run_id[:8]} of __ASSET_JOB failed:\n• m__dataset: There is no source."
    assert webhook.bodies == [{"text": expected}]
    again = Sensor(sensor.instance, cursor=sensor.cursor)
    assert again.tick() == "No run has ended."
    assert len(webhook.bodies) == 1


def test_checks_are_told_with_their_severity_and_nothing_twice(
    sensor: Sensor, webhook: Webhook
) -> None:
    refused, warned = run(sensor.instance, refused=True), run(sensor.instance, warns=True)
    sensor.tick()
    [text] = webhook.texts
    first, second = text.split("\n\n")
    assert first == (
        f"m: run {refused[:8]} of __ASSET_JOB failed:\n"
        "• m/dataset: check sound failed: Half of it is missing."
    )
    assert second == (
        f"m: run {warned[:8]} of __ASSET_JOB has ended well, but for:\n"
        "• m/dataset: check balanced warns: &lt;3&gt; is rare &amp; 4 is not."
    )


def test_what_went_well_and_what_is_another_model_s_is_not_told(
    sensor: Sensor, webhook: Webhook
) -> None:
    run(sensor.instance)
    run(sensor.instance, fails="not ours", model="other")
    assert sensor.tick() == "Of 2 runs that have ended, told of 0."
    assert webhook.bodies == []


def test_the_run_is_linked_where_the_ui_is_known(sensor: Sensor, webhook: Webhook) -> None:
    sensor.ui = "https://dagster.example/"
    run_id = run(sensor.instance, fails="x" * 1000)
    sensor.tick()
    assert f"m: <https://dagster.example/runs/{run_id}|run {run_id[:8]}> of" in webhook.texts[0]
    assert webhook.texts[0].splitlines()[1] == f"• m__dataset: {'x' * 388}..."


@pytest.mark.parametrize("status", [500, 302])
def test_what_the_webhook_did_not_take_is_told_later_and_its_url_never(
    status: int, sensor: Sensor, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first, webhook.status = run(sensor.instance, fails="one"), status
    with pytest.raises(NotificationError, match=f"it answered {status}") as failure:
        sensor.tick()
    second, webhook.status = run(sensor.instance, fails="two"), 200
    shown = "".join(traceback.format_exception(failure.value)) + caplog.text
    assert SECRET not in shown
    assert Sensor(sensor.instance, cursor=sensor.cursor).tick().endswith("told of 2.")
    [text] = webhook.texts
    assert text.index(first[:8]) < text.index(second[:8])
    assert SECRET not in text


def test_a_webhook_that_is_not_there_is_one_sentence_without_its_url(
    sensor: Sensor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    run(sensor.instance, fails="one")
    [port] = free_ports(1)
    for url in (f"http://127.0.0.1:{port}/{SECRET}", f"127.0.0.1/{SECRET}", f"http://{SECRET}:x"):
        monkeypatch.setenv("HOOK", url)
        with pytest.raises(NotificationError, match="that HOOK names did not take") as failure:
            sensor.tick()
        assert SECRET not in "".join(traceback.format_exception(failure.value)) + caplog.text
    monkeypatch.delenv("HOOK")
    with pytest.raises(NotificationError, match="environment variable HOOK, which"):
        sensor.tick()


def test_many_runs_are_told_of_in_turns(
    sensor: Sensor, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications, "RUNS_AT_ONCE", 3)
    ids = [run(sensor.instance, fails="one"), run(sensor.instance, warns=True)]
    ids += [run(sensor.instance, fails="three"), run(sensor.instance, warns=True)]
    assert sensor.tick() == "Of 3 runs that have ended, told of 3."
    assert sensor.tick() == "Of 1 runs that have ended, told of 1."
    assert [[text.count(run_id[:8]) for run_id in ids] for text in webhook.texts] == [
        [1, 1, 1, 0],
        [0, 0, 0, 1],
    ]
