"""What is tried: each load on the local cloud it is for, and the plain server to compare with."""

import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

from deployed_app import deploy
from loads import ArmLoad, FunctionLoad, S3Load
from mc_assets.local_cloud.settings import BUCKET, LocalSettings, load_credentials
from pressure import Load
from rivals import bare_uvicorn, plain_moto

FUNCTION_APP = """
import azure.functions as func

app = func.FunctionApp()


@app.route(route="echo", methods=["POST"])
def echo(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.get_body(), mimetype="application/octet-stream")
"""
# The number of the app that is called: the clients of Resource Manager count from zero.
CALLED = 1000

# Starts a server for the time of the comparison, and yields the same load on it.
Rival = Callable[[], AbstractContextManager[Load]]


@dataclass(frozen=True, slots=True)
class Trial:
    """A load on one of the local clouds, and the plain server it is compared with, if any."""

    name: str
    server: str
    load: Load
    rival_name: str = ""
    rival: Rival | None = None


def s3(clouds: LocalSettings) -> Trial:
    load = S3Load(clouds.aws_url, BUCKET, load_credentials(clouds.state))

    @contextmanager
    def rival() -> Iterator[Load]:
        with plain_moto(clouds.state / "moto.log") as url:
            plain = replace(load, url=url)
            plain.client().create_bucket(Bucket=BUCKET)
            yield plain

    return Trial("S3", "aws", load, "moto_server", rival)


def resource_manager(clouds: LocalSettings) -> Trial:
    ca_file, credentials = str(clouds.ca_file), load_credentials(clouds.state)
    return Trial("Resource Manager", "azure", ArmLoad(clouds.azure_url, ca_file, credentials))


def function_host(clouds: LocalSettings) -> Trial:
    load = _deployed_function(clouds)
    folder = clouds.state / "azure"

    @contextmanager
    def rival() -> Iterator[Load]:
        files = (folder / "server.pem", folder / "server.key")
        with bare_uvicorn(clouds.state / "uvicorn.log", *files) as url:
            yield replace(load, url=url)

    return Trial("Function host", "azure", load, "bare uvicorn", rival)


def _deployed_function(clouds: LocalSettings) -> FunctionLoad:
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as files:
        files.writestr("function_app.py", FUNCTION_APP)
        files.writestr("host.json", '{"version": "2.0"}')
    app = deploy(clouds, CALLED, package.getvalue())
    return FunctionLoad(f"{app.url}/api/echo", str(clouds.ca_file), app.key)


TRIALS: dict[str, Callable[[LocalSettings], Trial]] = {
    "s3": s3,
    "arm": resource_manager,
    "functions": function_host,
}
