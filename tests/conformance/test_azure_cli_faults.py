"""What an unmodified Azure CLI says, and with which exit code, when something is wrong."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path

import jwt
import pytest
import requests
from azure_cli import QUIET, AzureCli, gated_zip, hello_zip, unbuildable_zip
from client_environments import Client
from terminal import Open, Ran

from mc_assets.local_cloud.settings import LocalSettings

GROUP, APP = "-g faults", "-g faults -n faults-app"
CREATE = (
    f"functionapp create {QUIET} --os-type Linux --runtime python --functions-version 4 "
    "--storage-account faultsstore"
)
DEPLOY = "functionapp deployment source config-zip --build-remote true"
# As the stacks of Azure and of the local cloud say; `az` compares it with the clock.
PYTHON_3_10_ENDS = datetime(2026, 10, 31, tzinfo=UTC)


@pytest.fixture(scope="module")
def az(client: Client, open_terminal: Open) -> Iterator[AzureCli]:
    """Signed in, with an app on a consumption plan that serves nothing yet."""
    az = AzureCli.opened(client, open_terminal).apart().sign_in()
    az.write("good.zip", hello_zip("good"))
    az.write("gated.zip", gated_zip("gated"))
    az.write("unbuildable.zip", unbuildable_zip())
    az("group create -n faults -l ukwest")
    az(f"storage account create {GROUP} -n faultsstore -l ukwest --sku Standard_LRS")
    az(f"{CREATE} {APP} --consumption-plan-location ukwest")
    yield az
    az("group delete -n faults --yes")


def _publisher(az: AzureCli, app: str) -> tuple[str, str]:
    """The publishing user of an app and its password."""
    found = az(f"functionapp deployment list-publishing-credentials {app}").json
    return found["publishingUserName"], found["publishingPassword"]


def _scm(az: AzureCli, site: str, path: str, auth: tuple[str, str]) -> requests.Response:
    address = f"{az.terminal.environment['AZURE_RESOURCE_MANAGER_URL']}/scm/{site}/api{path}"
    return requests.get(address, auth=auth, verify=az.ca_bundle, timeout=30)


def _wait_until_deploying(az: AzureCli, site: str, auth: tuple[str, str]) -> None:
    deadline = time.monotonic() + 60
    while not _scm(az, site, "/isdeploying", auth).json()["value"]:
        assert time.monotonic() < deadline, "The deployment did not begin."
        time.sleep(0.1)


@pytest.fixture(scope="module", autouse=True)
def abandoned_deployment(az: AzureCli, tmp_path_factory: pytest.TempPathFactory) -> Future[Ran]:
    """A deployment whose group was deleted while it ran; ends beside the other tests."""
    app = "-g midway -n midway-app"
    az("group create -n midway -l ukwest")
    az("storage account create -g midway -n midwaystore -l ukwest --sku Standard_LRS")
    az(f"{CREATE} {app} --storage-account midwaystore --consumption-plan-location ukwest")
    never = tmp_path_factory.mktemp("midway") / "never"
    az(f"functionapp config appsettings set {app} --settings GATE={never}")
    deploying = az.start(f"{DEPLOY} {app} --src gated.zip --timeout 30")
    _wait_until_deploying(az, "midway-app", _publisher(az, app))
    az("group delete -n midway --yes")
    return deploying


def test_a_failed_build_leaves_its_log_and_the_old_app(az: AzureCli) -> None:
    known = {each["id"] for each in az(f"functionapp log deployment list {APP}").json}
    az(f"{DEPLOY} {APP} --src good.zip")
    said = az.fails(f"{DEPLOY} {APP} --src unbuildable.zip")
    assert "Zip deployment failed." in said
    assert "installing requirements.txt exited with" in said
    assert "log deployment show" in said
    log = az(f"functionapp log deployment show {APP}").json
    assert "The remote build failed" in log[-1]["message"]
    (details,) = [entry["details_url"] for entry in log if entry["details_url"]]
    publisher = _publisher(az, APP)
    lines = requests.get(details, auth=publisher, verify=az.ca_bundle, timeout=30).json()
    assert any("no-such-folder" in line["message"] for line in lines)
    history = az(f"functionapp log deployment list {APP}").json
    new = [(each["status"], each["active"]) for each in history if each["id"] not in known]
    assert new == [(3, False), (4, True)]
    assert az.call(az.host(APP), "/api/hello", az.key(APP)).text == "good -"


def test_a_second_deployment_is_told_of_the_first(az: AzureCli, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    az(f"functionapp config appsettings set {APP} --settings GATE={gate}")
    first = az.start(f"{DEPLOY} {APP} --src gated.zip")
    try:
        _wait_until_deploying(az, "faults-app", _publisher(az, APP))
        said = az.fails(f"{DEPLOY} {APP} --src good.zip")
    finally:
        gate.touch()
    assert "There may be an ongoing deployment" in said
    assert first.result().exit_code == 0, str(first.result())
    assert az.call(az.host(APP), "/api/hello", az.key(APP)).text == "gated -"


def test_the_scm_site_takes_no_other_password(az: AzureCli) -> None:
    user, password = _publisher(az, APP)
    assert _scm(az, "faults-app", "/deployments", (user, password)).status_code == 200
    refused = _scm(az, "faults-app", "/deployments", (user, "wrong"))
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (
        401,
        'Basic realm="site"',
    )


def test_without_basic_authentication_it_deploys_with_a_token(az: AzureCli) -> None:
    policy = (
        f"resource update {GROUP} --namespace Microsoft.Web --parent sites/faults-app "
        "--resource-type basicPublishingCredentialsPolicies --name scm"
    )
    assert az(f"{policy} --set properties.allow=false").json["properties"] == {"allow": False}
    try:
        publisher = _publisher(az, APP)
        assert _scm(az, "faults-app", "/deployments", publisher).status_code == 401
        assert az(f"{DEPLOY} {APP} --src good.zip").json["status"] == 4
    finally:
        az(f"{policy} --set properties.allow=true")
    assert _scm(az, "faults-app", "/deployments", publisher).status_code == 200


def test_a_wrong_secret_does_not_sign_in(client: Client, open_terminal: Open) -> None:
    az = AzureCli.opened(client, open_terminal).apart()
    az.use_local_cloud()
    refused = az.login(secret="wrong")
    assert refused.exit_code == 1, str(refused)
    assert "AADSTS7000215: Invalid client secret" in refused.stderr
    assert "Please run 'az login'" in az.fails("group list")


def test_an_expired_token_is_refused_and_a_new_one_asked_for(
    az: AzureCli, local_clouds: LocalSettings
) -> None:
    """What an hour's waiting would do to the token that `az` keeps."""
    cache = az.config / "msal_token_cache.json"
    kept = json.loads(cache.read_text())
    key = (local_clouds.state / "azure" / "token.key").read_bytes()
    for token in kept["AccessToken"].values():
        claims = jwt.decode(token["secret"], options={"verify_signature": False})
        token["secret"] = jwt.encode(claims | {"exp": int(time.time()) - 1}, key, "HS256")
    cache.write_text(json.dumps(kept))
    assert "The access token has expired." in az.fails("group list")
    for token in kept["AccessToken"].values():
        token["expires_on"] = str(int(time.time()) - 1)
    cache.write_text(json.dumps(kept))
    assert "faults" in [group["name"] for group in az("group list").json]


@pytest.mark.parametrize(
    ("command", "exit_code", "said"),
    [
        ("group show -n nowhere", 3, "ResourceGroupNotFound"),
        ("group delete -n nowhere --yes", 3, "ResourceGroupNotFound"),
        (
            f"{CREATE} -g nowhere -n lost --consumption-plan-location ukwest",
            3,
            "Resource group 'nowhere' could not be found",
        ),
        ("functionapp show -g faults -n nobody", 3, "Microsoft.Web/sites/nobody"),
        (f"functionapp function show {APP} --function-name none", 3, "functions/none"),
        ("group create -n nowhere -l atlantis", 1, "LocationNotAvailableForResourceGroup"),
        (
            f"{CREATE} {GROUP} -n far --consumption-plan-location atlantis",
            1,
            "Location is invalid. Use: az functionapp list-consumption-locations",
        ),
        (
            f"{CREATE} {GROUP} -n older --runtime-version 2.7 --consumption-plan-location ukwest",
            1,
            "Invalid version: 2.7 for runtime python and os linux",
        ),
        (
            f"storage account create {GROUP} -n Not_A_Name -l ukwest --sku Standard_LRS",
            1,
            "AccountNameInvalid",
        ),
    ],
)
def test_what_it_says_to_a_wrong_command(
    az: AzureCli, command: str, exit_code: int, said: str
) -> None:
    assert said in az.fails(command, exit_code)


@pytest.mark.skipif(datetime.now(UTC) < PYTHON_3_10_ENDS, reason="Python 3.10 is still supported")
def test_a_python_that_has_reached_its_end_is_refused(az: AzureCli) -> None:
    old = f"{CREATE} {GROUP} -n old --runtime-version 3.10 --consumption-plan-location ukwest"
    assert f"3.10 has reached end-of-life on {PYTHON_3_10_ENDS.date()}" in az.fails(old)


def test_names_are_taken_across_groups(az: AzureCli) -> None:
    az("group create -n other-faults -l ukwest")
    create = "storage account create -g other-faults -l ukwest --sku Standard_LRS"
    assert "StorageAccountAlreadyTaken" in az.fails(f"{create} -n faultsstore")
    az(f"{create} -n otherfaultsstore")
    taken = az.fails(
        f"{CREATE} -g other-faults -n faults-app --storage-account otherfaultsstore "
        "--consumption-plan-location ukwest"
    )
    assert "Website with given name faults-app already exists" in taken
    az("group delete -n other-faults --yes")


def test_a_group_can_be_deleted_while_it_deploys(
    az: AzureCli, abandoned_deployment: Future[Ran]
) -> None:
    assert az("group exists -n midway").json is False
    assert "midway-app" not in [each["name"] for each in az("functionapp list").json]
    # `az` goes on asking for the deployment that has gone, until its own time is over.
    ended = abandoned_deployment.result()
    assert ended.exit_code == 3, str(ended)
    assert "ResourceGroupNotFound" in ended.stderr
