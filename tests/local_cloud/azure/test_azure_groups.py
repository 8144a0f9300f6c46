"""Resource groups, tags, providers and listings through azure-mgmt-resource."""

import pytest
import requests
from azure_server import WEST, AzureServer


def test_group_from_creation_to_deletion(azure: AzureServer) -> None:
    groups = azure.resource.resource_groups
    assert groups.check_existence("life") is False
    made = groups.create_or_update("life", {"location": "West Europe", "tags": {"a": "1"}})
    assert (made.location, made.tags) == (WEST, {"a": "1"})
    assert groups.check_existence("LIFE") is True
    assert groups.get("Life").name == "life"
    assert "life" in [group.name for group in groups.list()]
    groups.begin_delete("life").result()
    assert groups.check_existence("life") is False
    with pytest.raises(azure.errors.ResourceNotFoundError) as missing:
        groups.begin_delete("life")
    assert missing.value.error.code == "ResourceGroupNotFound"


def test_creation_says_whether_it_was_new(azure: AzureServer) -> None:
    path = f"/subscriptions/{azure.credentials.subscription_id}/RESOURCEGROUPS/novel"
    first = azure.arm("PUT", path, json={"location": WEST})
    again = azure.arm("PUT", path.lower(), json={"location": WEST})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()


def test_group_cannot_move(azure: AzureServer) -> None:
    azure.group("settled")
    with pytest.raises(azure.errors.ResourceExistsError) as refusal:
        azure.resource.resource_groups.create_or_update("settled", {"location": "ukwest"})
    assert refusal.value.error.code == "InvalidResourceGroupLocation"


def test_deletion_is_polled_and_takes_everything(azure: AzureServer) -> None:
    azure.group("full")
    plan = azure.plan("full", "EP1")
    azure.container("full", "fullaccount")
    path = f"/subscriptions/{azure.credentials.subscription_id}/resourcegroups/full"
    listed = [item.type for item in azure.resource.resources.list_by_resource_group("full")]
    assert sorted(listed) == ["Microsoft.Storage/storageAccounts", "Microsoft.Web/serverFarms"]
    reply = azure.arm("DELETE", path)
    assert (reply.status_code, reply.headers["Retry-After"], reply.content) == (202, "1", b"")
    location = reply.headers["Location"].removeprefix(azure.url)
    while azure.arm("GET", location).status_code == 202:
        pass
    assert azure.arm("GET", location).status_code == 200
    assert azure.arm("GET", plan).json()["error"]["code"] == "ResourceGroupNotFound"
    # The account's name is free again, for another group.
    azure.group("heir")
    azure.container("heir", "fullaccount")


def test_listing_by_filter(azure: AzureServer) -> None:
    azure.group("filtered")
    azure.plan("filtered", "EP1")
    azure.container("filtered", "filteredaccount")
    found = azure.resource.resources.list_by_resource_group(
        "filtered", filter="resourceType eq 'Microsoft.Web/serverfarms'"
    )
    assert [item.name for item in found] == ["plan-filtered-EP1"]
    everything = azure.resource.resources.list(filter="resourceGroup eq 'Filtered'")
    assert {item.name for item in everything} == {"plan-filtered-EP1", "filteredaccount"}
    with pytest.raises(azure.errors.HttpResponseError, match="InvalidFilterInQueryString"):
        list(azure.resource.resources.list(filter="substringof('x', name)"))


def test_tags_at_a_scope(azure: AzureServer) -> None:
    azure.group("tagged")
    plan = azure.plan("tagged", "EP1")
    tags = azure.resource.tags
    merge = {"operation": "Merge", "properties": {"tags": {"owner": "me"}}}
    tags.begin_update_at_scope(plan, merge).result()
    more = {"operation": "Merge", "properties": {"tags": {"ttl": "1d"}}}
    tags.begin_update_at_scope(plan, more).result()
    assert tags.get_at_scope(plan).properties.tags == {"owner": "me", "ttl": "1d"}
    assert azure.web.app_service_plans.get("tagged", "plan-tagged-EP1").tags["owner"] == "me"


def test_providers(azure: AzureServer) -> None:
    providers = azure.resource.providers
    web = providers.get("Microsoft.Web")
    assert web.registration_state == "Registered"
    assert all(kind.api_versions for kind in web.resource_types)
    providers.unregister("Microsoft.Storage")
    try:
        azure.group("unregistered")
        with pytest.raises(azure.errors.ResourceExistsError) as refusal:
            azure.container("unregistered", "unregistered")
        assert refusal.value.error.code == "MissingSubscriptionRegistration"
    finally:
        state = providers.register("Microsoft.Storage").registration_state
    assert state == "Registered"
    with pytest.raises(azure.errors.ResourceNotFoundError, match="InvalidResourceNamespace"):
        providers.get("Microsoft.Unknown")


def test_refusals_in_the_shape_of_resource_manager(azure: AzureServer) -> None:
    base = f"/subscriptions/{azure.credentials.subscription_id}"
    cases = [
        ("GET", "/subscriptions/elsewhere", {}, 404, "SubscriptionNotFound"),
        ("GET", f"{base}/resourcegroups/none", {}, 404, "ResourceGroupNotFound"),
        ("PUT", f"{base}/resourcegroups/bad", {"data": "{"}, 400, "InvalidRequestContent"),
        ("PUT", f"{base}/resourcegroups/bad", {"json": [1]}, 400, "InvalidRequestContent"),
        ("PUT", f"{base}/resourcegroups/bad", {"json": {}}, 400, "LocationRequired"),
        (
            "PUT",
            f"{base}/resourcegroups/bad",
            {"json": {"location": "atlantis"}},
            400,
            "LocationNotAvailableForResourceGroup",
        ),
        ("GET", f"{base}/operationresults/none", {}, 404, "NotFound"),
        ("GET", f"{base}/unheard/of", {}, 404, "NotFound"),
    ]
    for method, path, options, status, code in cases:
        reply = azure.arm(method, path, **options)
        assert (reply.status_code, reply.json()["error"]["code"]) == (status, code), path
    reply = azure.arm("GET", base, params={"api-version": ""})
    assert reply.json()["error"]["code"] == "MissingApiVersionParameter"


def test_directory_of_endpoints_needs_no_token(azure: AzureServer) -> None:
    address = f"{azure.url}/metadata/endpoints"
    now = requests.get(f"{address}?api-version=2022-09-01", verify=azure.ca, timeout=10).json()
    assert now["resourceManager"] == now["appServiceResourceId"] == f"{azure.url}/"
    then = requests.get(f"{address}?api-version=2015-01-01", verify=azure.ca, timeout=10).json()
    assert then["authentication"]["loginEndpoint"] == f"{azure.url}/adfs"


def test_slashes_in_a_row_are_one(azure: AzureServer) -> None:
    azure.group("doubled")
    base = f"/subscriptions/{azure.credentials.subscription_id}"
    assert azure.arm("GET", f"/{base}/resourcegroups//doubled").json()["name"] == "doubled"


def test_a_role_is_found_by_its_name_and_assigned(azure: AzureServer) -> None:
    azure.group("ruled")
    scope = f"/subscriptions/{azure.credentials.subscription_id}/resourceGroups/ruled"
    authorization = f"{scope}/providers/Microsoft.Authorization"
    by_name = {"$filter": "roleName eq 'Storage Blob Data Contributor'"}
    (role,) = azure.arm("GET", f"{authorization}/roleDefinitions", params=by_name).json()["value"]
    assert role["name"] == "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
    given = {"roleDefinitionId": role["id"], "principalId": "somebody"}
    path = f"{authorization}/roleAssignments/one"
    assert azure.arm("PUT", path, json={"properties": given}).status_code == 201
    assert azure.arm("GET", path).json()["properties"]["roleDefinitionId"] == role["id"]
    assert len(azure.arm("GET", f"{authorization}/roleDefinitions").json()["value"]) > 1
    other = azure.arm("GET", f"{authorization}/roleDefinitions", params={"$filter": "x"})
    assert other.json()["error"]["code"] == "InvalidFilterInQueryString"
