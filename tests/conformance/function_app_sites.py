"""Function apps on the local Azure: made with the SDK, filled with curl, called with requests."""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import requests
from terminal import Open, Terminal

from mc_assets.local_cloud.settings import LocalSettings
from small_function_apps import zipped

APPS = Path(__file__).parent / "function_apps"
LOCATION = "ukwest"
IN_PROGRESS = (0, 1, 2)
SUCCESS = 4
DEPLOYMENT_SECONDS = 180


@dataclass(frozen=True)
class Deployment:
    """What the SCM site tells of a deployment that has ended."""

    record: Mapping[str, Any]
    log: str

    @property
    def succeeded(self) -> bool:
        return self.record["status"] == SUCCESS


@dataclass(frozen=True)
class AzureAccount:
    """The clients of Azure's SDK, told what `mc-local env` has exported in a terminal."""

    terminal: Terminal
    state: Path

    @classmethod
    def opened(cls, open_terminal: Open, local_clouds: LocalSettings) -> "AzureAccount":
        """In a new terminal; the test is skipped where there is no curl to fill an app with."""
        terminal = open_terminal()
        if not shutil.which("curl", path=terminal.environment["PATH"]):
            pytest.skip("packages are pushed with curl, and there is no curl here")
        return cls(terminal, local_clouds.state)

    @cached_property
    def resource(self) -> Any:
        from azure.mgmt.resource.resources import ResourceManagementClient

        return self._client(ResourceManagementClient)

    @cached_property
    def storage(self) -> Any:
        from azure.mgmt.storage import StorageManagementClient

        return self._client(StorageManagementClient)

    @cached_property
    def web(self) -> Any:
        from azure.mgmt.web import WebSiteManagementClient

        return self._client(WebSiteManagementClient)

    @property
    def token(self) -> str:
        return self._credential.get_token(self._scope).token

    @property
    def ca(self) -> str:
        return self.terminal.environment["REQUESTS_CA_BUNDLE"]

    def site(self, name: str, sku: str, **settings: str) -> "FunctionAppSite":
        """A new app in a group and on a plan of its own, with these app settings."""
        site = FunctionAppSite(self, name, is_flex=sku == "FC1")
        site.create(sku, settings)
        return site

    def deployed(
        self, name: str, sku: str, files: Mapping[str, bytes], **settings: str
    ) -> "FunctionAppSite":
        """A new app that serves this package; built remotely, as Flex Consumption always does."""
        build = {} if sku == "FC1" else {"SCM_DO_BUILD_DURING_DEPLOYMENT": "true"}
        site = self.site(name, sku, **build, **settings)
        deployment = site.deploy(files)
        assert deployment.succeeded, deployment.log
        return site

    def _client(self, kind: Any) -> Any:
        return kind(
            self._credential,
            self.terminal.environment["AZURE_SUBSCRIPTION_ID"],
            base_url=self._url,
            credential_scopes=[self._scope],
            polling_interval=0.2,
            connection_verify=self.ca,
        )

    @cached_property
    def _credential(self) -> Any:
        from azure.identity import ClientSecretCredential

        known = self.terminal.environment
        return ClientSecretCredential(
            known["AZURE_TENANT_ID"],
            known["AZURE_CLIENT_ID"],
            known["AZURE_CLIENT_SECRET"],
            authority=known["AZURE_AUTHORITY_HOST"],
            disable_instance_discovery=True,
            connection_verify=self.ca,
        )

    @property
    def _url(self) -> str:
        return self.terminal.environment["AZURE_RESOURCE_MANAGER_URL"]

    @property
    def _scope(self) -> str:
        return f"{self._url}/.default"


@dataclass(frozen=True)
class FunctionAppSite:
    """One function app: its users have its URL, its keys and its log, nothing else."""

    azure: AzureAccount
    name: str
    is_flex: bool

    @property
    def group(self) -> str:
        return f"group-{self.name}"

    @property
    def web_apps(self) -> Any:
        return self.azure.web.web_apps

    @cached_property
    def session(self) -> requests.Session:
        session = requests.Session()
        session.verify = self.azure.ca
        # A proxy or a certificate bundle of the machine has no part in this.
        session.trust_env = False
        return session

    def create(self, sku: str, settings: Mapping[str, str]) -> None:
        self.azure.resource.resource_groups.create_or_update(self.group, {"location": LOCATION})
        plan = {
            "location": LOCATION,
            "kind": "functionapp",
            "sku": {"name": sku},
            "properties": {"reserved": True},
        }
        plans = self.azure.web.app_service_plans
        made = plans.begin_create_or_update(self.group, f"plan-{self.name}", plan).result()
        properties: dict[str, Any] = {"serverFarmId": made.id, "reserved": True, "httpsOnly": True}
        if self.is_flex:
            properties["functionAppConfig"] = self._flex_config()
        pairs = [{"name": name, "value": value} for name, value in settings.items()]
        runtime = {} if self.is_flex else {"linuxFxVersion": "Python|3.11"}
        properties["siteConfig"] = {"appSettings": pairs, **runtime}
        body = {"location": LOCATION, "kind": "functionapp,linux", "properties": properties}
        self.web_apps.begin_create_or_update(self.group, self.name, body).result()

    def deploy(self, files: Mapping[str, bytes]) -> Deployment:
        """Push a package with curl, to be built remotely, and wait for the end of it.

        Flex Consumption takes it by One Deploy with a token, the other plans by zipdeploy with the
        publishing credentials.
        """
        package = self.azure.terminal.home / f"{self.name}.zip"
        package.write_bytes(zipped(files))
        path = "publish?RemoteBuild=true" if self.is_flex else "zipdeploy?isAsync=true"
        status = ("-o", "/dev/null", "-w", "%{http_code}", "--data-binary", f"@{package}")
        pushed = self.azure.terminal.must(*self._curl, *status, f"{self.scm_url}/api/{path}")
        assert pushed.stdout == "202", str(pushed)
        deadline = time.monotonic() + DEPLOYMENT_SECONDS
        while (record := self._ask_scm("/deployments/latest"))["status"] in IN_PROGRESS:
            assert time.monotonic() < deadline, record
            time.sleep(0.3)
        return Deployment(record, self._deployment_log(record["id"]))

    def change_settings(self, **settings: str) -> None:
        """Set app settings beside those there are; the app restarts with them."""
        known = self.web_apps.list_application_settings(self.group, self.name).properties
        self.web_apps.update_application_settings(
            self.group, self.name, {"properties": {**known, **settings}}
        )

    def functions(self) -> dict[str, Any]:
        """What Azure lists, by name."""
        listed = self.web_apps.list_functions(self.group, self.name)
        return {each.name.rpartition("/")[2]: each for each in listed}

    @property
    def keys(self) -> Any:
        return self.web_apps.list_host_keys(self.group, self.name)

    def function_key(self, function: str) -> str:
        keys = self.web_apps.list_function_keys(self.group, self.name, function)
        return keys["default"]

    def call(
        self, path: str, method: str = "GET", key: str | None = None, **options: Any
    ) -> requests.Response:
        headers = {**options.pop("headers", {}), **({"x-functions-key": key} if key else {})}
        options = {"allow_redirects": False, "timeout": 60, **options}
        return self.session.request(method, self.url + path, headers=headers, **options)

    def log(self) -> str:
        """The app's own log, as the local Azure keeps it."""
        (file,) = (self.azure.state / "azure" / "logs").glob(f"{self.name}*.log")
        return file.read_text()

    def log_comes_to_hold(self, text: str, times: int = 1, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while self.log().count(text) < times:
            assert time.monotonic() < deadline, f"{text!r} {times} times in:\n{self.log()[-3000:]}"
            time.sleep(0.05)

    @cached_property
    def url(self) -> str:
        return f"https://{self._host('Standard')}"

    @cached_property
    def scm_url(self) -> str:
        return f"https://{self._host('Repository')}"

    def _host(self, kind: str) -> str:
        site = self.web_apps.get(self.group, self.name)
        (host,) = [state.name for state in site.host_name_ssl_states if state.host_type == kind]
        return host

    @cached_property
    def _curl(self) -> tuple[str, ...]:
        # In a file of curl's own, so that no transcript shows it.
        login = self.azure.terminal.home / f"{self.name}.curl"
        if self.is_flex:
            login.write_text(f'header = "Authorization: Bearer {self.azure.token}"\n')
        else:
            user = self.web_apps.begin_list_publishing_credentials(self.group, self.name).result()
            password = user.publishing_password
            login.write_text(f'user = "{user.publishing_user_name}:{password}"\n')
        certificates = ("--cacert", self.azure.ca)
        return ("curl", "--silent", "--show-error", *certificates, "--config", str(login))

    def _deployment_log(self, deployment: str) -> str:
        path = f"/deployments/{deployment}/log"
        lines: list[str] = []
        for entry in self._ask_scm(path):
            lines.append(entry["message"])
            if entry["details_url"]:
                lines += [line["message"] for line in self._ask_scm(f"{path}/{entry['id']}")]
        return "\n".join(lines)

    def _ask_scm(self, path: str) -> Any:
        # Asked often: not worth a line each in the transcript.
        quiet = replace(self.azure.terminal, note=lambda _: None)
        return quiet.must(*self._curl, f"{self.scm_url}/api{path}").json

    def _flex_config(self) -> dict[str, Any]:
        account = self.name.replace("-", "")
        body = {"location": LOCATION, "sku": {"name": "Standard_LRS"}, "kind": "StorageV2"}
        made = self.azure.storage.storage_accounts.begin_create(self.group, account, body).result()
        self.azure.storage.blob_containers.create(self.group, account, "packages", {})
        return {
            "deployment": {
                "storage": {
                    "type": "blobContainer",
                    "value": f"{made.primary_endpoints.blob}packages",
                    "authentication": {"type": "SystemAssignedIdentity"},
                }
            },
            "runtime": {"name": "python", "version": "3.11"},
            "scaleAndConcurrency": {"maximumInstanceCount": 40, "instanceMemoryMB": 2048},
        }


def project(name: str) -> dict[str, bytes]:
    """Every file of one of the apps in `function_apps`."""
    root = APPS / name
    files = (path for path in root.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}
