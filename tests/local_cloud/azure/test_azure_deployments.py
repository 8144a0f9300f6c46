"""From an uploaded zip to a served function, and every way it can fail on the way."""

import io
import zipfile
from pathlib import Path

import pytest
from azure_server import WEST, AzureServer

from small_function_apps import function_app, gated_app, zipped

BROKEN = function_app("broken") | {"function_app.py": "import no_such_module"}


def _wheel() -> bytes:
    """The package `greeter` as a wheel, so that an install needs no index."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as wheel:
        info = "greeter-1.0.dist-info"
        wheel.writestr("greeter.py", "GREETING = 'from a requirement'\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: greeter\nVersion: 1.0\n")
        tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{info}/WHEEL", tags)
        wheel.writestr(f"{info}/RECORD", "")
    return buffer.getvalue()


def _app_with_requirement() -> bytes:
    files = function_app("v1")
    name = "greeter-1.0-py3-none-any.whl"
    source = files["function_app.py"].replace("{VERSION}", "{greeter.GREETING}")
    return zipped(
        files
        | {
            "function_app.py": f"import greeter\n{source}",
            "requirements.txt": f"./{name}\n",
            ".python_packages/lib/site-packages/greeter.py": "GREETING = 'brought along'\n",
            name: _wheel(),
        }
    )


def test_requirements_are_installed_and_the_function_serves(azure: AzureServer) -> None:
    app = azure.premium_app("build", "build-app", GREETING="hello")
    record = azure.deploy("build-app", _app_with_requirement())
    assert (record["status"], record["complete"], record["active"]) == (4, True, True)
    key = azure.host_key("build", "build-app")
    reply = azure.call(app, "/api/hello", key)
    assert (reply.status_code, reply.text) == (200, "from a requirement hello")
    assert azure.call(app, "/api/hello").status_code == 401
    assert azure.call(app, "/api/hello", "wrong").status_code == 401
    assert "greeter" in azure.log_text("build-app", record["id"])
    apps = azure.web.web_apps
    assert [f.name for f in apps.list_functions("build", "build-app")] == ["build-app/hello"]
    function = apps.get_function("build", "build-app", "hello")
    assert function.invoke_url_template == f"https://{app.default_host_name}/api/hello"
    own_key = apps.list_function_keys("build", "build-app", "hello")["default"]
    assert azure.call(app, "/api/hello", own_key).status_code == 200


def test_without_a_build_the_package_is_served_as_it_is(azure: AzureServer) -> None:
    app = azure.premium_app("asis", "asis-app", SCM_DO_BUILD_DURING_DEPLOYMENT="false")
    azure.deploy("asis-app", _app_with_requirement())
    reply = azure.call(app, "/api/hello", azure.host_key("asis", "asis-app"))
    assert reply.text.startswith("brought along")


def test_flex_publish(azure: AzureServer) -> None:
    app = azure.flex_app("pub", "pub-app", version="3.12")
    pushed = azure.push("pub-app", zipped(function_app("flex")), flex=True)
    assert pushed.status_code == 202
    record = azure.wait("pub-app")
    assert (record["id"], record["status"]) == (pushed.json(), 4)
    text = azure.log_text("pub-app", record["id"])
    assert "asks for Python 3.12; this local cloud builds and runs 3.11" in text
    assert azure.call(app, "/api/hello", azure.host_key("pub", "pub-app")).text == "flex -"
    status = azure.web.web_apps.begin_get_production_site_deployment_status(
        "pub", "pub-app", record["id"]
    ).result()
    assert status.status == "RuntimeSuccessful"
    assert azure.push("pub-app", zipped(function_app("v"))).status_code == 400


def test_one_deploy_on_a_classic_plan(azure: AzureServer) -> None:
    app = azure.premium_app("onedeploy", "onedeploy-app", SCM_DO_BUILD_DURING_DEPLOYMENT="false")
    package, key = zipped(function_app("one")), azure.host_key("onedeploy", "onedeploy-app")
    pushed = azure.scm("POST", "onedeploy-app", "/publish?type=zip&async=true", data=package)
    assert pushed.status_code == 202
    assert azure.wait("onedeploy-app")["status"] == 4
    assert azure.call(app, "/api/hello", key).text.startswith("one")
    waited = azure.scm(
        "POST", "onedeploy-app", "/publish?type=zip", data=zipped(function_app("two"))
    )
    assert waited.status_code == 200
    assert azure.call(app, "/api/hello", key).text.startswith("two")
    bad = azure.scm("POST", "onedeploy-app", "/publish?type=zip", data=b"not a zip")
    assert (bad.status_code, "not a readable zip" in bad.text) == (400, True)
    for query in ("type=static", "type=zip&path=/x", "type=zip&clean=false"):
        refused = azure.scm("POST", "onedeploy-app", f"/publish?{query}", data=package)
        assert refused.status_code == 400, query


def test_flex_needs_its_container(azure: AzureServer) -> None:
    azure.flex_app("nobox", "nobox-app")
    azure.storage.blob_containers.delete("nobox", "noboxapp", "packages")
    record = azure.deploy("nobox-app", zipped(function_app("v1")), flex=True)
    assert record["status"] == 3
    assert "container" in record["status_text"]


def test_consumption_needs_its_storage_setting(azure: AzureServer) -> None:
    azure.group("nostore")
    body = {"location": WEST, "kind": "functionapp,linux", "properties": {"reserved": True}}
    azure.web.web_apps.begin_create_or_update("nostore", "nostore-app", body).result()
    record = azure.deploy("nostore-app", zipped(function_app("v1")))
    assert record["status"] == 3
    assert "AzureWebJobsStorage" in record["status_text"]


def test_failed_install_keeps_the_old_app_and_tells_why(azure: AzureServer) -> None:
    app = azure.premium_app("failed", "failed-app")
    azure.deploy("failed-app", zipped(function_app("good")))
    bad = function_app("bad") | {"requirements.txt": "./no-such-folder\n"}
    record = azure.deploy("failed-app", zipped(bad))
    assert (record["status"], record["active"]) == (3, False)
    assert "no-such-folder" in azure.log_text("failed-app", record["id"])
    key = azure.host_key("failed", "failed-app")
    assert azure.call(app, "/api/hello", key).text.startswith("good")
    status = azure.web.web_apps.begin_get_production_site_deployment_status(
        "failed", "failed-app", record["id"]
    ).result()
    assert status.status == "BuildFailed"
    history = azure.scm("GET", "failed-app", "/deployments").json()
    assert [entry["status"] for entry in history] == [3, 4]
    assert [entry["active"] for entry in history] == [False, True]


def test_unimportable_app_succeeds_without_functions_on_a_classic_plan(azure: AzureServer) -> None:
    azure.premium_app("vanish", "vanish-app")
    record = azure.deploy("vanish-app", zipped(BROKEN))
    assert record["status"] == 4
    assert "no_such_module" in azure.log_text("vanish-app", record["id"])
    assert not list(azure.web.web_apps.list_functions("vanish", "vanish-app"))


def test_unimportable_app_fails_on_flex(azure: AzureServer) -> None:
    azure.flex_app("vanishflex", "vanishflex-app")
    record = azure.deploy("vanishflex-app", zipped(BROKEN), flex=True)
    assert record["status"] == 3
    assert "no_such_module" in azure.log_text("vanishflex-app", record["id"])
    status = azure.web.web_apps.begin_get_production_site_deployment_status(
        "vanishflex", "vanishflex-app", record["id"]
    ).result()
    assert status.status == "RuntimeFailed"


@pytest.mark.parametrize("package", [b"not a zip", zipped({"../evil.py": "x"})])
def test_refused_packages_fail_the_deployment(azure: AzureServer, package: bytes) -> None:
    azure.premium_app("refused", "refused-app")
    record = azure.deploy("refused-app", package)
    assert record["status"] == 3
    assert "package" in record["status_text"].lower()


def test_one_deployment_at_a_time(azure: AzureServer, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    azure.premium_app("busy", "busy-app", GATE=str(gate))
    assert azure.push("busy-app", zipped(gated_app("v1"))).status_code == 202
    assert azure.scm("GET", "busy-app", "/isdeploying").json() == {"value": True}
    second = azure.push("busy-app", zipped(function_app("v2")))
    assert second.status_code == 409
    pending = azure.scm("GET", "busy-app", "/deployments/latest")
    assert (pending.status_code, pending.json()["status"]) == (202, 0)
    gate.touch()
    assert azure.wait("busy-app")["status"] == 4
    assert azure.scm("GET", "busy-app", "/isdeploying").json() == {"value": False}


def test_group_can_go_while_it_deploys(azure: AzureServer, tmp_path: Path) -> None:
    azure.premium_app("midway", "midway-app", GATE=str(tmp_path / "never"))
    azure.push("midway-app", zipped(gated_app("v1")))
    azure.resource.resource_groups.begin_delete("midway").result()
    assert azure.scm("GET", "midway-app", "/deployments").status_code == 404
    assert not list((azure.state / "azure" / "sites").glob("midway-app-*"))


def test_publishing_credentials_and_the_policy_over_them(azure: AzureServer) -> None:
    azure.premium_app("basic", "basic-app")
    apps = azure.web.web_apps
    user = apps.begin_list_publishing_credentials("basic", "basic-app").result()
    auth = (user.publishing_user_name, user.publishing_password)
    assert auth[0] == "$basic-app"
    profiles = b"".join(
        apps.list_publishing_profile_xml_with_secrets("basic", "basic-app", {"format": "WebDeploy"})
    )
    assert auth[1] in profiles.decode()
    assert azure.scm("GET", "basic-app", "/settings", auth=auth).status_code == 200
    wrong = azure.scm("GET", "basic-app", "/settings", auth=("$basic-app", "wrong"))
    assert (wrong.status_code, wrong.headers["WWW-Authenticate"]) == (401, 'Basic realm="site"')
    apps.update_scm_allowed("basic", "basic-app", {"properties": {"allow": False}})
    assert apps.get_scm_allowed("basic", "basic-app").allow is False
    assert azure.scm("GET", "basic-app", "/settings", auth=auth).status_code == 401
    assert azure.scm("GET", "basic-app", "/settings").status_code == 200


def test_flex_takes_no_publishing_credentials(azure: AzureServer) -> None:
    azure.flex_app("bearer", "bearer-app")
    user = azure.web.web_apps.begin_list_publishing_credentials("bearer", "bearer-app").result()
    auth = (user.publishing_user_name, user.publishing_password)
    assert azure.scm("GET", "bearer-app", "/settings", auth=auth).status_code == 401


def test_new_settings_reach_the_function(azure: AzureServer) -> None:
    app = azure.premium_app("fresh", "fresh-app", GREETING="before")
    azure.deploy("fresh-app", zipped(function_app("v1")))
    key = azure.host_key("fresh", "fresh-app")
    assert azure.call(app, "/api/hello", key).text == "v1 before"
    after = {"properties": {"GREETING": "after"}}
    azure.web.web_apps.update_application_settings("fresh", "fresh-app", after)
    assert azure.call(app, "/api/hello", key).text == "v1 after"


def test_stop_start_and_restart(azure: AzureServer) -> None:
    app = azure.premium_app("halt", "halt-app")
    azure.deploy("halt-app", zipped(function_app("v1")))
    apps, key = azure.web.web_apps, azure.host_key("halt", "halt-app")
    apps.stop("halt", "halt-app")
    assert apps.get("halt", "halt-app").state == "Stopped"
    assert azure.call(app, "/api/hello", key).status_code == 403
    apps.start("halt", "halt-app")
    assert azure.call(app, "/api/hello", key).status_code == 200
    apps.restart("halt", "halt-app")
    assert azure.call(app, "/api/hello", key).status_code == 200


def test_master_key_opens_the_host_status(azure: AzureServer) -> None:
    app = azure.premium_app("admin", "admin-app")
    azure.deploy("admin-app", zipped(function_app("v1")))
    master = azure.web.web_apps.list_host_keys("admin", "admin-app").master_key
    assert azure.call(app, "/admin/host/status", master).json()["state"] == "Running"
    assert azure.call(app, "/admin/host/status").status_code == 401
