"""What a cloud that refuses or cannot be reached says to a user, and whether it is tried again."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from disturbed_calls import Place, azure_of, deploying, stores_of
from fault_proxy import Answer, FaultProxy, Request, Rule
from proxied_clouds import ProxiedClouds
from refusals import arm_answer, text_answer, web_answer

from mc_assets.local_cloud.settings import LocalSettings
from mc_assets.target import CloudTarget
from resources.release_lab import ReleaseLab

FOR_GOOD = 10**6
# Both are said of real plans and deployments; source: Azure/azure-sdk-for-java#1827, Kudu.
BUSY = "Cannot modify this web hosting plan because another operation is in progress."
DEPLOYING = "There is a deployment currently in progress. Please try again when it completes."
ELSEWHERE = "Run-From-Zip is set to a remote URL using WEBSITE_RUN_FROM_PACKAGE."
DELETED = "The resource group is in deprovisioning state and cannot perform this operation."
EXCLUSIVE = "An operation is currently performing on this storage account that requires it alone."
TAKEN = "Website with given name already exists."
QUOTA = "Operation cannot be completed without additional quota."
ASSERTION = "AADSTS700024: Client assertion is not within its valid time range."
Puts = Callable[[FaultProxy], Place]


@pytest.fixture(scope="session")
def proxied(local_clouds: LocalSettings) -> ProxiedClouds:
    return ProxiedClouds.of(local_clouds)


@pytest.fixture
def behind(
    resources: Mapping[str, Any], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Puts]:
    """Puts a model of this test's own behind a proxy."""
    name = "n" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:10]
    lab = ReleaseLab.of(resources["azure_functions"], name, "flex_consumption")
    with lab.removed_at_the_end():
        yield lambda proxy: Place(proxy, name, "refused", resources, tmp_path)


def is_call(method: str, path: str) -> Callable[[Request], bool]:
    return lambda request: (
        request.method == method and re.search(path, request.path, re.IGNORECASE) is not None
    )


def refused_with(answer: Answer | str, call: tuple[str, str]) -> Rule:
    return Rule(is_call(*call), answer, FOR_GOOD)


@pytest.mark.parametrize(
    ("status", "advice"),
    [(403, "lacks the permission"), (400, "renew the credentials"), (301, "AWS_DEFAULT_REGION")],
)
def test_an_answer_of_s3_without_a_body_is_explained_by_its_status(
    proxied: ProxiedClouds, behind: Puts, status: int, advice: str
) -> None:
    with proxied.aws().listening() as proxy:
        store, _ = stores_of(behind(proxy))
        proxy.rule = refused_with(Answer(status, {}, b""), ("HEAD", "/thing"))
        with pytest.raises(dg.Failure, match=advice) as refused:
            store.head(store.uri("thing"))
    assert not refused.value.allow_retries


@pytest.mark.parametrize(
    ("call", "answer", "words", "retryable"),
    [
        (("PUT", "/serverfarms/"), web_answer(409, "Conflict", BUSY), BUSY, True),
        (
            ("PUT", "/storageaccounts/"),
            arm_answer(409, "StorageAccountOperationInProgress", EXCLUSIVE),
            EXCLUSIVE,
            True,
        ),
        (
            ("PUT", "/resourcegroups/"),
            arm_answer(409, "ResourceGroupBeingDeleted", DELETED),
            DELETED,
            True,
        ),
        (("PUT", "/sites/"), web_answer(409, "Conflict", TAKEN), TAKEN, False),
        (("PUT", "/serverfarms/"), web_answer(401, "Unauthorized", QUOTA), QUOTA, False),
    ],
    ids=["busy plan", "busy storage", "group being deleted", "name taken", "no quota"],
)
def test_a_conflict_is_tried_again_where_it_passes_by_itself(
    proxied: ProxiedClouds,
    behind: Puts,
    call: tuple[str, str],
    answer: Answer,
    words: str,
    retryable: bool,
) -> None:
    with proxied.azure().listening() as proxy:
        place = behind(proxy)
        azure = azure_of(place)
        hosting = ReleaseLab.of(azure, place.name, "flex_consumption").hosting
        proxy.rule = refused_with(answer, call)
        with pytest.raises(dg.Failure) as refused:
            azure.ensure_app(hosting, hosting.app_name)
        assert proxy.tries == 1
    assert words.rstrip(".") in str(refused.value)
    assert ("quota" in str(refused.value)) is (words == QUOTA)
    assert refused.value.allow_retries is retryable


def test_an_app_that_cannot_be_asked_for_is_named(proxied: ProxiedClouds, behind: Puts) -> None:
    with proxied.azure().listening() as proxy:
        place = behind(proxy)
        azure = azure_of(place)
        hosting = ReleaseLab.of(azure, place.name, "premium").hosting
        proxy.rule = refused_with("reset", ("GET", "/sites/"))
        for slot, label in ((None, f"function app {hosting.app_name}"), ("staging", "slot ")):
            with pytest.raises(dg.Failure, match=f"could not be reached for {label}") as refused:
                azure.find_app(hosting, hosting.app_name, slot)
            assert refused.value.allow_retries


def test_a_deployment_in_an_unknown_state_is_given_up_at_once(
    proxied: ProxiedClouds, behind: Puts
) -> None:
    with proxied.azure().listening() as proxy:
        prepared = deploying("flex_consumption", behind(proxy))
        record = json.dumps({"id": "of-another-kind", "status": 7}).encode()
        answer = Answer(200, {"Content-Type": "application/json"}, record)
        # The first is the question for the deployment before this one.
        proxy.rule = Rule(is_call("GET", "/api/deployments/[^/]+$"), answer, FOR_GOOD, after=1)
        with pytest.raises(dg.Failure, match="ended as 7") as refused:
            prepared.act()
        assert not refused.value.allow_retries


@pytest.mark.parametrize(("words", "retryable"), [(DEPLOYING, True), (ELSEWHERE, False)])
def test_a_package_that_is_not_taken_is_sent_again_only_after_another_deployment(
    proxied: ProxiedClouds, behind: Puts, words: str, retryable: bool
) -> None:
    with proxied.azure().listening() as proxy:
        prepared = deploying("flex_consumption", behind(proxy))
        proxy.rule = refused_with(text_answer(409, words), ("POST", "/api/publish"))
        with pytest.raises(dg.Failure, match="did not take the package") as refused:
            prepared.act()
        assert proxy.tries == 1
    assert words.rstrip(".") in str(refused.value)
    assert refused.value.allow_retries is retryable


@pytest.mark.parametrize(
    ("how", "words", "retryable", "tries"),
    [
        (
            Answer(
                401,
                {"Content-Type": "application/json"},
                json.dumps({"error": "invalid_client", "error_description": ASSERTION}).encode(),
            ),
            "do not let us in",
            False,
            1,
        ),
        ("untrusted", "do not let us in.+REQUESTS_CA_BUNDLE", False, 4),
        ("reset", "could not be reached", True, 4),
        (text_answer(503, "The service is unavailable."), "could not be reached", True, 4),
    ],
    ids=["refused for the clock", "untrusted", "reset", "unavailable"],
)
def test_the_login_ends_a_run_only_where_it_is_refused(
    proxied: ProxiedClouds,
    monkeypatch: pytest.MonkeyPatch,
    how: Answer | str,
    words: str,
    retryable: bool,
    tries: int,
) -> None:
    """At the door, before anything is made; what the credential was asked with is not told."""
    with proxied.azure().listening() as proxy:
        proxy.rule = refused_with(how, ("POST", "/token"))
        monkeypatch.setenv("AZURE_RESOURCE_MANAGER_URL", proxy.url)
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", proxy.url)
        with pytest.raises(dg.Failure, match=words) as refused:
            _ = CloudTarget(name="cloud").connection
        assert proxy.tries <= tries
    assert refused.value.allow_retries is retryable
    assert "AADSTS" not in str(refused.value)
