"""Slots: apps of their own until a swap exchanges what they serve."""

import threading
from typing import Any

import pytest
from azure_server import WEST, AzureServer

from small_function_apps import function_app, zipped


def _slot(azure: AzureServer, group: str, app: str, name: str, **settings: str) -> Any:
    pairs = [{"name": k, "value": v} for k, v in settings.items()]
    config = {"linuxFxVersion": "Python|3.11", "appSettings": pairs}
    body = {"location": WEST, "kind": "functionapp,linux", "properties": {"siteConfig": config}}
    return azure.web.web_apps.begin_create_or_update_slot(group, app, name, body).result()


def _swap(azure: AzureServer, group: str, app: str, slot: str) -> None:
    body = {"targetSlot": "production", "preserveVnet": True}
    azure.web.web_apps.begin_swap_slot(group, app, slot, body).result()


def _two_versions(azure: AzureServer, name: str, **slot_settings: str) -> tuple[Any, Any]:
    live = azure.premium_app(name, f"{name}-app", GREETING="live")
    staged = _slot(azure, name, f"{name}-app", "staging", **slot_settings)
    azure.deploy(f"{name}-app", zipped(function_app("v1")))
    azure.deploy(f"{name}-app__staging", zipped(function_app("v2")))
    return live, staged


def test_slot_is_an_app_of_its_own(azure: AzureServer) -> None:
    live, staged = _two_versions(azure, "apart", GREETING="staged")
    assert (staged.name, staged.type) == ("apart-app/staging", "Microsoft.Web/sites/slots")
    assert staged.default_host_name != live.default_host_name
    key = azure.web.web_apps.list_host_keys_slot("apart", "apart-app", "staging")
    staged_key = key.function_keys["default"]
    live_key = azure.host_key("apart", "apart-app")
    assert azure.call(live, "/api/hello", live_key).text == "v1 live"
    assert azure.call(staged, "/api/hello", staged_key).text == "v2 staged"
    assert azure.call(live, "/api/hello", staged_key).status_code == 401
    slots = azure.web.web_apps.list_slots("apart", "apart-app")
    assert [slot.name for slot in slots] == ["apart-app/staging"]


def test_swap_under_load_refuses_nobody(azure: AzureServer) -> None:
    live, _ = _two_versions(azure, "busyswap", GREETING="staged")
    key = azure.host_key("busyswap", "busyswap-app")
    answers: list[tuple[int, str]] = []
    over = threading.Event()

    def caller() -> None:
        while not over.is_set():
            reply = azure.call(live, "/api/hello", key)
            answers.append((reply.status_code, reply.text))

    threads = [threading.Thread(target=caller) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        _swap(azure, "busyswap", "busyswap-app", "staging")
    over.set()
    for thread in threads:
        thread.join()
    # Settings travel with the content, so each version keeps its own greeting.
    assert set(answers) <= {(200, "v1 live"), (200, "v2 staged")}
    assert answers
    assert azure.call(live, "/api/hello", key).text == "v2 staged"
    active = azure.scm("GET", "busyswap-app", "/deployments").json()
    assert [record["active"] for record in active] == [True]


def test_sticky_settings_stay_with_their_slot(azure: AzureServer) -> None:
    live, staged = _two_versions(azure, "sticky", GREETING="staged")
    names = {"properties": {"appSettingNames": ["GREETING"]}}
    azure.web.web_apps.update_slot_configuration_names("sticky", "sticky-app", names)
    _swap(azure, "sticky", "sticky-app", "staging")
    key = azure.host_key("sticky", "sticky-app")
    assert azure.call(live, "/api/hello", key).text == "v2 live"
    keys = azure.web.web_apps.list_host_keys_slot("sticky", "sticky-app", "staging")
    reply = azure.call(staged, "/api/hello", keys.function_keys["default"])
    assert reply.text == "v1 staged"


def test_content_that_fails_with_the_live_settings_is_not_swapped(azure: AzureServer) -> None:
    live = azure.premium_app("picky", "picky-app", GREETING="live")
    staged = _slot(azure, "picky", "picky-app", "staging", GREETING="staged")
    azure.deploy("picky-app", zipped(function_app("v1")))
    picky = function_app("v2")
    check = "assert os.environ['GREETING'] == 'staged'"
    picky["function_app.py"] += f"\n\n{check}\n"
    azure.deploy("picky-app__staging", zipped(picky))
    names = {"properties": {"appSettingNames": ["GREETING"]}}
    azure.web.web_apps.update_slot_configuration_names("picky", "picky-app", names)
    with pytest.raises(azure.errors.HttpResponseError, match="did not start"):
        _swap(azure, "picky", "picky-app", "staging")
    assert azure.call(live, "/api/hello", azure.host_key("picky", "picky-app")).text == "v1 live"
    keys = azure.web.web_apps.list_host_keys_slot("picky", "picky-app", "staging")
    reply = azure.call(staged, "/api/hello", keys.function_keys["default"])
    assert reply.text == "v2 staged"


def test_swap_refusals(azure: AzureServer) -> None:
    azure.premium_app("noswap", "noswap-app")
    _slot(azure, "noswap", "noswap-app", "staging")
    apps = azure.web.web_apps
    apps.stop_slot("noswap", "noswap-app", "staging")
    with pytest.raises(azure.errors.HttpResponseError, match="stopped"):
        _swap(azure, "noswap", "noswap-app", "staging")
    apps.start_slot("noswap", "noswap-app", "staging")
    body = {"targetSlot": "elsewhere", "preserveVnet": True}
    with pytest.raises(azure.errors.HttpResponseError, match="not found"):
        apps.begin_swap_slot_with_production("noswap", "noswap-app", body).result()


def test_a_plan_limits_its_slots(azure: AzureServer) -> None:
    azure.premium_app("crowd", "crowd-app")
    _slot(azure, "crowd", "crowd-app", "one")
    _slot(azure, "crowd", "crowd-app", "two")
    with pytest.raises(azure.errors.ResourceExistsError, match="number of slots"):
        _slot(azure, "crowd", "crowd-app", "three")
    azure.web.web_apps.delete_slot("crowd", "crowd-app", "two")
    _slot(azure, "crowd", "crowd-app", "three")
    azure.web.web_apps.delete("crowd", "crowd-app")
    assert not list(azure.web.web_apps.list_by_resource_group("crowd"))
