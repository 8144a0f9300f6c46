"""Storage accounts, keys and containers through azure-mgmt-storage."""

import pytest
from azure_server import WEST, AzureServer

ACCOUNT = {
    "location": WEST,
    "sku": {"name": "Standard_LRS"},
    "kind": "StorageV2",
    "minimum_tls_version": "TLS1_2",
    "allow_blob_public_access": False,
    "tags": {"owner": "me"},
}


def test_account_with_keys_and_containers(azure: AzureServer) -> None:
    azure.group("stores")
    accounts = azure.storage.storage_accounts
    assert accounts.check_name_availability({"name": "thestore"}).name_available
    address = azure.container("stores", "thestore")
    assert address.endswith("/packages")
    assert not accounts.check_name_availability({"name": "thestore"}).name_available
    keys = accounts.list_keys("stores", "thestore").keys_property
    assert [key.key_name for key in keys] == ["key1", "key2"]
    assert keys[0].value != keys[1].value
    renewed = accounts.regenerate_key("stores", "thestore", {"keyName": "key1"}).keys_property
    assert renewed[0].value != keys[0].value
    assert renewed[1].value == keys[1].value
    found = azure.storage.blob_containers.list("stores", "thestore")
    assert [container.name for container in found] == ["packages"]


def test_creation_is_polled_and_repetition_is_not(azure: AzureServer) -> None:
    azure.group("polled")
    base = f"/subscriptions/{azure.credentials.subscription_id}/resourceGroups/polled"
    path = f"{base}/providers/Microsoft.Storage/storageAccounts/polledstore"
    body = {"location": WEST, "sku": {"name": "Standard_LRS"}, "kind": "StorageV2"}
    first = azure.arm("PUT", path, json=body)
    assert (first.status_code, first.content) == (202, b"")
    result = azure.arm("GET", first.headers["Location"].removeprefix(azure.url))
    again = azure.arm("PUT", path, json=body)
    assert (result.status_code, again.status_code) == (200, 200)
    assert result.json()["properties"]["primaryEndpoints"]["blob"].startswith("https://")
    assert again.json()["id"] == result.json()["id"]


def test_names_are_one_for_all_groups(azure: AzureServer) -> None:
    azure.group("first")
    azure.container("first", "onlyone")
    azure.group("second")
    with pytest.raises(azure.errors.ResourceExistsError) as taken:
        azure.container("second", "onlyone")
    assert taken.value.error.code == "StorageAccountAlreadyTaken"


@pytest.mark.parametrize(
    ("name", "sku", "code"),
    [
        ("Bad_Name", "Standard_LRS", "AccountNameInvalid"),
        ("goodname", "Fast_LRS", "InvalidAccountType"),
    ],
)
def test_bad_accounts(azure: AzureServer, name: str, sku: str, code: str) -> None:
    azure.group("bad")
    base = f"/subscriptions/{azure.credentials.subscription_id}/resourceGroups/bad"
    path = f"{base}/providers/Microsoft.Storage/storageAccounts/{name}"
    reply = azure.arm("PUT", path, json={"location": WEST, "sku": {"name": sku}})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, code)


def test_deletion_takes_containers_along(azure: AzureServer) -> None:
    azure.group("emptied")
    azure.container("emptied", "emptiedstore")
    azure.storage.storage_accounts.delete("emptied", "emptiedstore")
    with pytest.raises(azure.errors.ResourceNotFoundError):
        azure.storage.storage_accounts.get_properties("emptied", "emptiedstore")
    made = azure.storage.storage_accounts.begin_create("emptied", "emptiedstore", ACCOUNT)
    assert made.result().tags == {"owner": "me"}
    assert not list(azure.storage.blob_containers.list("emptied", "emptiedstore"))
    with pytest.raises(azure.errors.HttpResponseError, match="InvalidResourceName"):
        azure.storage.blob_containers.create("emptied", "emptiedstore", "Bad--Name", {})
