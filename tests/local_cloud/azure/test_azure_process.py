"""The server process: how it starts and ends, and what it still knows after kill -9."""

import signal
import sqlite3
import stat
from pathlib import Path

import requests
from azure_server import AzureServer

from mc_assets.local_cloud.azure.listeners import bind
from small_function_apps import function_app, gated_app, zipped


def test_health_names_the_service(azure: AzureServer) -> None:
    health = requests.get(f"{azure.url}/_mc/health", verify=azure.ca, timeout=10).json()
    assert azure.process
    assert health == {
        "service": "azure",
        "state": str(azure.state),
        "pid": azure.process.pid,
        "version": 1,
    }


def test_state_is_private_and_secrets_stay_out_of_the_log(azure: AzureServer) -> None:
    assert stat.S_IMODE((azure.state / "azure").stat().st_mode) == 0o700
    azure.premium_app("quiet", "quiet-app")
    log = azure.log.read_text()
    for secret in (
        azure.credentials.client_secret,
        azure.token,
        azure.host_key("quiet", "quiet-app"),
    ):
        assert secret not in log


def test_taken_port_is_said_in_one_sentence(own_azure: AzureServer) -> None:
    with bind(own_azure.port):
        assert own_azure.launch().wait(30) == 1
    text = own_azure.log.read_text()
    assert f"cannot listen on 127.0.0.1:{own_azure.port}" in text
    assert "Traceback" not in text


def test_second_server_on_the_same_state_is_refused(azure: AzureServer, tmp_path: Path) -> None:
    second = AzureServer(azure.state)
    second.state = azure.state
    assert second.launch().wait(30) == 1
    assert "already serves" in azure.log.read_text()


def test_newer_state_is_refused(own_azure: AzureServer) -> None:
    own_azure.state.mkdir(parents=True)
    (own_azure.state / "VERSION").write_text("99\n")
    assert own_azure.launch().wait(30) == 1
    assert "newer release" in own_azure.log.read_text()


def test_a_strangers_port_is_skipped(own_azure: AzureServer) -> None:
    own_azure.start()
    with bind(own_azure.first_site_port):
        app = own_azure.premium_app("skip", "skip-app")
    port = int(app.default_host_name.partition(":")[2])
    assert port > own_azure.first_site_port


def test_sigterm_ends_it_cleanly(own_azure: AzureServer) -> None:
    own_azure.start()
    own_azure.premium_app("end", "end-app")
    own_azure.deploy("end-app", zipped(function_app("v1")))
    assert own_azure.stop() == 0
    assert "Traceback" not in own_azure.log.read_text()


def test_everything_is_back_after_kill_9(own_azure: AzureServer, tmp_path: Path) -> None:
    own_azure.start()
    app = own_azure.premium_app("back", "back-app", GREETING="hi", GATE=str(tmp_path / "gate"))
    own_azure.deploy("back-app", zipped(function_app("v1")))
    halted = own_azure.premium_app("back", "halted-app")
    own_azure.deploy("halted-app", zipped(function_app("v1")))
    own_azure.web.web_apps.stop("back", "halted-app")
    keys = own_azure.web.web_apps.list_host_keys("back", "back-app")
    user = own_azure.web.web_apps.begin_list_publishing_credentials("back", "back-app").result()
    own_azure.push("back-app", zipped(gated_app("v2")))

    own_azure.stop(signal.SIGKILL)
    (tmp_path / "gate").touch()
    own_azure.start()

    assert own_azure.web.web_apps.get("back", "back-app").default_host_name == app.default_host_name
    key = keys.function_keys["default"]
    assert own_azure.call(app, "/api/hello", key).text == "v1 hi"
    assert own_azure.web.web_apps.list_host_keys("back", "back-app") == keys
    auth = (user.publishing_user_name, user.publishing_password)
    assert own_azure.scm("GET", "back-app", "/settings", auth=auth).status_code == 200
    interrupted, first = own_azure.scm("GET", "back-app", "/deployments").json()
    assert (interrupted["status"], first["status"], first["active"]) == (3, 4, True)
    assert "restarted" in interrupted["status_text"]
    assert own_azure.call(halted, "/api/hello", "any").status_code == 403


def test_a_site_whose_port_is_taken_stops_the_start(own_azure: AzureServer) -> None:
    own_azure.start()
    app = own_azure.premium_app("robbed", "robbed-app")
    own_azure.stop(signal.SIGKILL)
    port = int(app.default_host_name.partition(":")[2])
    with bind(port):
        assert own_azure.launch().wait(30) == 1
    text = own_azure.log.read_text()
    assert f"Port {port} belongs to the function app robbed-app" in text
    assert "Traceback" not in text


def test_acknowledged_deletion_is_finished_after_kill_9(own_azure: AzureServer) -> None:
    own_azure.start()
    own_azure.premium_app("doomed", "doomed-app")
    own_azure.stop(signal.SIGKILL)
    # As it is between the 202 of a deletion and its end.
    with sqlite3.connect(own_azure.state / "azure" / "resources.sqlite") as database:
        database.execute(
            "UPDATE documents SET body = replace(body, 'Succeeded', 'Deleting') "
            "WHERE kind = 'resource_group'"
        )
    own_azure.start()
    assert not list(own_azure.resource.resource_groups.list())
    assert not list(own_azure.resource.resources.list())
