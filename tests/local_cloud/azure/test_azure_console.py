"""The local portal: what its pages tell, to whom, and what they never show."""

import pytest
import requests
from azure_server import AzureServer

from small_function_apps import function_app, zipped

SECRET = "keep this one to yourself"


def get(azure: AzureServer, path: str, **headers: str) -> requests.Response:
    return requests.get(f"{azure.url}{path}", headers=headers, verify=azure.ca, timeout=30)


@pytest.fixture(scope="module")
def app(azure: AzureServer) -> str:
    """An app whose first deployment could not be imported, and whose second is active."""
    azure.premium_app("shown", "shown-app", GREETING=SECRET)
    broken = {"function_app.py": "raise RuntimeError('<b>not today</b>')\n"}
    azure.deploy("shown-app", zipped(function_app("v1") | broken))
    azure.deploy("shown-app", zipped(function_app("v2")))
    return "shown-app"


def test_an_app_tells_its_state_functions_and_deployments(azure: AzureServer, app: str) -> None:
    answer = get(azure, f"/_console/apps/{app}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    site = azure.web.web_apps.get("shown", app)
    for told in ("Running", f"https://{site.default_host_name}", "/api/hello", "success, active"):
        assert told in answer.text, told
    assert "Functions found: " in answer.text
    assert "&lt;b&gt;not today&lt;/b&gt;" in answer.text
    assert "<b>" not in answer.text
    assert "<script" not in answer.text


def test_no_secret_is_on_a_page(azure: AzureServer, app: str) -> None:
    keys = azure.web.web_apps.list_host_keys("shown", app)
    text = get(azure, f"/_console/apps/{app}").text + get(azure, "/_console").text
    assert "GREETING" in text
    secrets = (SECRET, keys.master_key, *keys.function_keys.values())
    assert not [secret for secret in (*secrets, azure.credentials.client_secret) if secret in text]


def test_a_slot_has_a_page_of_its_own(azure: AzureServer, app: str) -> None:
    body = {"location": "westeurope", "kind": "functionapp,linux", "properties": {}}
    azure.web.web_apps.begin_create_or_update_slot("shown", app, "staging", body).result()
    answer = get(azure, f"/_console/apps/{app}/slots/staging")
    assert answer.status_code == 200
    assert f'href="/_console/apps/{app}"' in answer.text
    assert f'href="/_console/apps/{app}/slots/staging"' in get(azure, "/_console").text


def test_pages_are_for_this_machine_alone(azure: AzureServer, app: str) -> None:
    for host in ("console.example", "127.0.0.1.example"):
        answer = get(azure, f"/_console/apps/{app}", Host=host)
        assert (answer.status_code, app in answer.text) == (421, False)
    policy = get(azure, "/_console").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")


def test_what_is_not_there_is_404_and_nothing_can_be_changed(azure: AzureServer, app: str) -> None:
    assert get(azure, "/_console/apps/none").status_code == 404
    assert get(azure, f"/_console/apps/{app}/slots/none").status_code == 404
    page = f"{azure.url}/_console/apps/{app}"
    assert requests.delete(page, verify=azure.ca, timeout=30).status_code == 405
