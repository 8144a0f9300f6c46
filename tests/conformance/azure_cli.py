"""The Azure CLI in a terminal, and the apps that its tests deploy and call."""

import shlex
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import requests
from client_environments import Client
from terminal import Open, Ran, Terminal

from linear_training import fit
from mc_assets import idx
from mc_assets.packaging import build_package
from small_function_apps import function_app, gated_app, zipped
from tiny_onnx import normalised, tiny_onnx

# One deployment ends with a wait of 60 s, another tries for 90 s to find a name.
PATIENCE_S = 240
FUNCTION_APP = Path(__file__).parents[2] / "function_app"
QUIET = "--disable-app-insights true"


@dataclass(frozen=True)
class AzureCli:
    """`az` as a user types it, in one terminal."""

    terminal: Terminal

    @classmethod
    def opened(cls, client: Client, open_terminal: Open, version: str = "azure-cli") -> "AzureCli":
        return cls(open_terminal(client(version).folder / "bin"))

    @property
    def home(self) -> Path:
        return self.terminal.home

    @property
    def config(self) -> Path:
        return Path(self.terminal.environment["AZURE_CONFIG_DIR"])

    @property
    def ca_bundle(self) -> str:
        return self.terminal.environment["REQUESTS_CA_BUNDLE"]

    def apart(self) -> "AzureCli":
        """The same with a configuration and a sign-in of its own."""
        config = {"AZURE_CONFIG_DIR": str(self.home / "apart")}
        return AzureCli(replace(self.terminal, environment={**self.terminal.environment, **config}))

    def __call__(self, line: str) -> Ran:
        """`az` with these arguments, which has to succeed."""
        return self.terminal.must("az", *shlex.split(line), timeout=PATIENCE_S)

    def fails(self, line: str, exit_code: int = 1) -> str:
        """`az` with these arguments, which has to end with this code; what it says on stderr."""
        ran = self.run(line)
        assert ran.exit_code == exit_code, str(ran)
        return ran.stderr

    def run(self, line: str) -> Ran:
        return self.terminal.run("az", *shlex.split(line), timeout=PATIENCE_S)

    def start(self, line: str) -> Future[Ran]:
        """The command in a thread of its own."""
        pool = ThreadPoolExecutor(1)
        started = pool.submit(self.run, line)
        pool.shutdown(wait=False)
        return started

    def use_local_cloud(self) -> None:
        """The two commands that make a cloud of the user's own known to `az`.

        With the slash at the end that every cloud's address has: some commands append to it.
        """
        url = self.terminal.environment["AZURE_RESOURCE_MANAGER_URL"]
        self(f"cloud register -n Local --endpoint-resource-manager {url}/")
        self("cloud set -n Local")

    def login(self, secret: str = "$AZURE_CLIENT_SECRET") -> Ran:
        """In a shell, so that the transcript of the commands holds no secret."""
        line = f'-u "$AZURE_CLIENT_ID" -p "{secret}" --tenant "$AZURE_TENANT_ID"'
        return self.terminal.run("sh", "-c", f"az login --service-principal {line}")

    def sign_in(self) -> "AzureCli":
        self.use_local_cloud()
        done = self.login()
        assert done.exit_code == 0, str(done)
        return self

    def write(self, name: str, content: bytes) -> None:
        (self.home / name).write_bytes(content)

    def call(self, host: str, path: str, key: str = "", body: Any = None) -> requests.Response:
        """GET, or POST if there is a body, over the TLS that the terminal trusts."""
        return requests.request(
            "GET" if body is None else "POST",
            f"https://{host}{path}",
            headers={"x-functions-key": key} if key else {},
            json=body,
            verify=self.ca_bundle,
            timeout=60,
        )

    def host(self, app: str) -> str:
        """The name at which an app, given as `-g GROUP -n APP`, is called."""
        return self(f"functionapp show {app} --query defaultHostName -o tsv").stdout.strip()

    def key(self, app: str) -> str:
        listed = self(f"functionapp keys list {app}").json
        return listed["functionKeys"]["default"]


def hello_zip(version: str) -> bytes:
    """An app whose GET /api/hello answers with its version."""
    return zipped(function_app(version))


def gated_zip(version: str) -> bytes:
    """The same, but its build waits for the file that the app setting GATE names."""
    return zipped(gated_app(version))


def unbuildable_zip() -> bytes:
    return zipped(function_app("bad") | {"requirements.txt": "./no-such-folder\n"})


def digits_zip(mnist: Path) -> bytes:
    """This project's own package, with a linear model of the first training digits."""
    images = idx.read_images((mnist / idx.TRAIN_IMAGES).read_bytes())[:10_000]
    labels = idx.read_labels((mnist / idx.TRAIN_LABELS).read_bytes())[:10_000]
    weights = fit(normalised(images).reshape(-1, 784), labels, ridge=300.0)
    return build_package(FUNCTION_APP, tiny_onnx(weights.astype(np.float32))).data
