"""A local Azure in a process of its own, and the real SDK clients pointed at it."""

import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import requests

from mc_assets.local_cloud.settings import Credentials, load_credentials
from ports import free_ports

WEST = "westeurope"


def free_port() -> int:
    (port,) = free_ports(1)
    return port


@dataclass
class AzureServer:
    """Start, end and talk to one server; the SDK clients are made on demand."""

    state: Path
    port: int = field(default_factory=free_port)
    first_site_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca(self) -> str:
        return str(self.state / "azure" / "ca.pem")

    @property
    def log(self) -> Path:
        return self.state.with_suffix(".log")

    @property
    def credentials(self) -> Credentials:
        return load_credentials(self.state)

    def launch(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "mc_assets.local_cloud.azure"]
        command += ["--state", str(self.state), "--port", str(self.port)]
        command += ["--first-site-port", str(self.first_site_port)]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)

    def start(self) -> None:
        self.process = self.launch()
        deadline = time.monotonic() + 60
        while not self.is_healthy():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"The server did not start:\n{self.log.read_text()}")
            time.sleep(0.05)

    def is_healthy(self) -> bool:
        try:
            return requests.get(f"{self.url}/_mc/health", verify=self.ca, timeout=5).ok
        except (requests.ConnectionError, OSError):
            return False

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal and return the exit status."""
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(30)

    def credential(self, secret: str | None = None) -> Any:
        from azure.identity import ClientSecretCredential

        known = self.credentials
        return ClientSecretCredential(
            known.tenant_id,
            known.client_id,
            secret or known.client_secret,
            authority=self.url,
            disable_instance_discovery=True,
            connection_verify=self.ca,
        )

    @property
    def errors(self) -> Any:
        """The exceptions of the SDK."""
        from azure.core import exceptions

        return exceptions

    @cached_property
    def token(self) -> str:
        return self.credential().get_token(f"{self.url}/.default").token

    def client(self, kind: Any, **options: Any) -> Any:
        return kind(
            self.credential(),
            self.credentials.subscription_id,
            base_url=self.url,
            credential_scopes=[f"{self.url}/.default"],
            polling_interval=0.1,
            connection_verify=self.ca,
            **options,
        )

    @cached_property
    def resource(self) -> Any:
        from azure.mgmt.resource.resources import ResourceManagementClient

        return self.client(ResourceManagementClient)

    @cached_property
    def storage(self) -> Any:
        from azure.mgmt.storage import StorageManagementClient

        return self.client(StorageManagementClient)

    @cached_property
    def web(self) -> Any:
        from azure.mgmt.web import WebSiteManagementClient

        return self.client(WebSiteManagementClient)

    def arm(self, method: str, path: str, **options: Any) -> requests.Response:
        """A raw request with a good token and an api-version."""
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        params = {"api-version": "2025-05-01", **options.pop("params", {})}
        return requests.request(
            method,
            self.url + path,
            headers=headers,
            params=params,
            verify=self.ca,
            timeout=30,
            **options,
        )

    def scm(
        self,
        method: str,
        site: str,
        path: str,
        auth: tuple[str, str] | None = None,
        **options: Any,
    ) -> requests.Response:
        headers = {} if auth else {"Authorization": f"Bearer {self.token}"}
        return requests.request(
            method,
            f"{self.url}/scm/{site}/api{path}",
            headers=headers,
            auth=auth,
            verify=self.ca,
            timeout=60,
            **options,
        )

    def push(self, site: str, package: bytes, flex: bool = False) -> requests.Response:
        path = "/publish?RemoteBuild=true" if flex else "/zipdeploy?isAsync=true"
        return self.scm("POST", site, path, data=package)

    def deploy(self, site: str, package: bytes, flex: bool = False) -> dict[str, Any]:
        """Push a package and return the record of its deployment once it has ended."""
        pushed = self.push(site, package, flex)
        assert pushed.status_code == 202, pushed.text
        return self.wait(site)

    def wait(self, site: str) -> dict[str, Any]:
        """The newest deployment of a site, once it has ended."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            response = self.scm("GET", site, "/deployments/latest")
            if response.status_code == 200:
                return response.json()
            assert response.status_code == 202, response.text
            time.sleep(0.1)
        raise AssertionError(f"The deployment of {site} did not end.")

    def log_text(self, site: str, deployment: str) -> str:
        """All of a deployment's log, entries and their details."""
        lines: list[str] = []
        for entry in self.scm("GET", site, f"/deployments/{deployment}/log").json():
            lines.append(entry["message"])
            if entry["details_url"]:
                details = self.scm("GET", site, f"/deployments/{deployment}/log/{entry['id']}")
                lines += [line["message"] for line in details.json()]
        return "\n".join(lines)

    def group(self, name: str) -> str:
        self.resource.resource_groups.create_or_update(name, {"location": WEST})
        return name

    def plan(self, group: str, sku: str) -> str:
        body = {
            "location": WEST,
            "kind": "functionapp",
            "sku": {"name": sku},
            "properties": {"reserved": True},
        }
        plans = self.web.app_service_plans
        return plans.begin_create_or_update(group, f"plan-{group}-{sku}", body).result().id

    def container(self, group: str, account: str) -> str:
        """An account with a container; returns the container's address."""
        storage = self.storage
        body = {"location": WEST, "sku": {"name": "Standard_LRS"}, "kind": "StorageV2"}
        made = storage.storage_accounts.begin_create(group, account, body).result()
        storage.blob_containers.create(group, account, "packages", {})
        return f"{made.primary_endpoints.blob}packages"

    def premium_app(self, group: str, name: str, **settings: str) -> Any:
        """An app on an Elastic Premium plan, built remotely, its group made as well."""
        self.group(group)
        wanted = {"SCM_DO_BUILD_DURING_DEPLOYMENT": "true", **settings}
        body = {
            "location": WEST,
            "kind": "functionapp,linux",
            "properties": {
                "serverFarmId": self.plan(group, "EP1"),
                "reserved": True,
                "httpsOnly": True,
                "siteConfig": {
                    "linuxFxVersion": "Python|3.11",
                    "appSettings": [{"name": k, "value": v} for k, v in wanted.items()],
                },
            },
        }
        return self.web.web_apps.begin_create_or_update(group, name, body).result()

    def flex_app(self, group: str, name: str, version: str = "3.11") -> Any:
        """An app on a Flex Consumption plan with a container for its packages."""
        self.group(group)
        body = {
            "location": WEST,
            "kind": "functionapp,linux",
            "properties": {
                "serverFarmId": self.plan(group, "FC1"),
                "reserved": True,
                "functionAppConfig": {
                    "deployment": {
                        "storage": {
                            "type": "blobContainer",
                            "value": self.container(group, name.replace("-", "")),
                            "authentication": {"type": "SystemAssignedIdentity"},
                        }
                    },
                    "runtime": {"name": "python", "version": version},
                    "scaleAndConcurrency": {"maximumInstanceCount": 40, "instanceMemoryMB": 2048},
                },
            },
        }
        return self.web.web_apps.begin_create_or_update(group, name, body).result()

    def call(self, site: Any, path: str, key: str | None = None) -> requests.Response:
        """GET a path of a site, with a function key if one is given."""
        headers = {"x-functions-key": key} if key else {}
        url = f"https://{site.default_host_name}{path}"
        return requests.get(url, headers=headers, verify=self.ca, timeout=30)

    def host_key(self, group: str, site: str) -> str:
        return self.web.web_apps.list_host_keys(group, site).function_keys["default"]

    def end(self) -> None:
        if self.process and self.process.poll() is None:
            self.stop()
