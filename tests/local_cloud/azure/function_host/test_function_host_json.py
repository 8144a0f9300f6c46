"""host.json and settings: defaults, values, and what is refused."""

from pathlib import Path

import pytest

from mc_assets.local_cloud.azure.function_host.host_json import (
    HostConfiguration,
    HostConfigurationError,
)


def load(root: Path, text: str | None, **settings: str) -> HostConfiguration:
    if text is not None:
        (root / "host.json").write_text(text)
    return HostConfiguration.load(root, settings)


def test_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, None) == HostConfiguration(
        route_prefix="api",
        function_timeout=1800,
        body_limit=104_857_600,
        process_count=1,
        most_concurrent=None,
        most_outstanding=None,
        disabled=frozenset(),
        has_homepage=True,
    )


def test_values(tmp_path: Path) -> None:
    http = '{"routePrefix": "/v1/", "maxConcurrentRequests": 3, "maxOutstandingRequests": 5}'
    text = f'{{"functionTimeout": "1.00:05:01", "extensions": {{"http": {http}}}}}'
    settings = {
        "FUNCTIONS_WORKER_PROCESS_COUNT": "40",
        "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "10",
        "AzureWebJobs.Echo.Disabled": "true",
        "AzureWebJobs_other_Disabled": "1",
        "AzureWebJobs.on.Disabled": "false",
        "AzureWebJobsDisableHomepage": "True",
    }
    loaded = load(tmp_path, text, **settings)
    assert loaded.route_prefix == "v1"
    assert loaded.function_timeout == 86_400 + 301
    assert loaded.process_count == 10
    assert loaded.body_limit == 10
    assert (loaded.most_concurrent, loaded.most_outstanding) == (3, 5)
    assert not loaded.has_homepage
    assert loaded.disabled == {"echo", "other"}


@pytest.mark.parametrize(
    ("text", "timeout"),
    [('{"functionTimeout": "-1"}', None), ('{"functionTimeout": "00:00:02"}', 2)],
)
def test_timeouts(tmp_path: Path, text: str, timeout: float | None) -> None:
    assert load(tmp_path, text).function_timeout == timeout


@pytest.mark.parametrize(
    ("text", "settings", "named"),
    [
        ("{", {}, "host.json"),
        ("[]", {}, "host.json"),
        ('{"functionTimeout": "soon"}', {}, "functionTimeout"),
        ('{"extensions": {"http": {"routePrefix": 3}}}', {}, "routePrefix"),
        ('{"extensions": "none"}', {}, "extensions"),
        ('{"extensions": {"http": {"maxOutstandingRequests": 0}}}', {}, "maxOutstandingRequests"),
        ('{"extensions": {"http": {"maxConcurrentRequests": "9"}}}', {}, "maxConcurrentRequests"),
        ("{}", {"FUNCTIONS_WORKER_PROCESS_COUNT": "0"}, "FUNCTIONS_WORKER_PROCESS_COUNT"),
        ("{}", {"FUNCTIONS_WORKER_PROCESS_COUNT": "two"}, "FUNCTIONS_WORKER_PROCESS_COUNT"),
    ],
)
def test_refused(tmp_path: Path, text: str, settings: dict[str, str], named: str) -> None:
    with pytest.raises(HostConfigurationError, match=named):
        load(tmp_path, text, **settings)
