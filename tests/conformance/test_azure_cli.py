"""The walkthrough's own commands, in its order, typed to an unmodified Azure CLI."""

import json
from pathlib import Path

import numpy as np
import pytest
import requests
from azure_cli import AzureCli, digits_zip
from client_environments import Client
from terminal import Open

from mc_assets import idx
from tiny_onnx import normalised

APP = "-g walkthrough -n walkthrough-app"
SETTINGS = {"AzureWebJobsFeatureFlags": "EnableWorkerIndexing", "MC_INTRA_OP_THREADS": "1"}
DIGITS = 300
# What the package's linear model gets right of real digits, with a margin; chance is 0.1.
ACCURACY = 0.75


def test_the_walkthrough(client: Client, open_terminal: Open, mnist: Path) -> None:
    az = AzureCli.opened(client, open_terminal)
    az.write("settings.json", json.dumps(SETTINGS).encode())
    az.write("app.zip", digits_zip(mnist))
    _sign_in(az)
    _create_everything(az)
    _configure(az)
    deployed = az(
        f"functionapp deployment source config-zip {APP} --src app.zip --build-remote true"
    )
    assert (deployed.json["status"], deployed.json["complete"]) == (4, True)
    host, key = az.host(APP), az.key(APP)
    _classify(az, host, key, mnist)
    assert az("group delete -n walkthrough --yes").stdout == ""
    with pytest.raises(requests.ConnectionError):
        az.call(host, "/api/health")
    assert az("group exists -n walkthrough").json is False


def _sign_in(az: AzureCli) -> None:
    az.use_local_cloud()
    (account,) = az.login().json
    subscription = az.terminal.environment["AZURE_SUBSCRIPTION_ID"]
    assert (account["cloudName"], account["id"]) == ("Local", subscription)
    assert account["user"]["type"] == "servicePrincipal"


def _create_everything(az: AzureCli) -> None:
    group = az("group create -n walkthrough -l ukwest").json
    assert (group["name"], group["location"]) == ("walkthrough", "ukwest")
    assert group["properties"]["provisioningState"] == "Succeeded"
    account = az(
        "storage account create -n walkthroughstore -g walkthrough -l ukwest --sku Standard_LRS"
    ).json
    assert (account["sku"]["name"], account["provisioningState"]) == ("Standard_LRS", "Succeeded")
    app = az(
        f"functionapp create {APP} --storage-account walkthroughstore "
        "--consumption-plan-location ukwest --os-type Linux --runtime python "
        "--runtime-version 3.9 --functions-version 4"
    ).json
    assert (app["state"], app["kind"], app["location"]) == (
        "Running",
        "functionapp,linux",
        "UK West",
    )
    assert app["siteConfig"]["linuxFxVersion"] == "Python|3.9"


def _configure(az: AzureCli) -> None:
    shown = az(f"functionapp config appsettings set {APP} --settings @settings.json").json
    assert {each["name"] for each in shown} >= {*SETTINGS, "AzureWebJobsStorage"}
    listed = az(f"functionapp config appsettings list {APP}").json
    values = {each["name"]: each["value"] for each in listed}
    assert SETTINGS.items() <= values.items()
    assert "AccountName=walkthroughstore;" in values["AzureWebJobsStorage"]


def _classify(az: AzureCli, host: str, key: str, mnist: Path) -> None:
    images = idx.read_images((mnist / idx.TEST_IMAGES).read_bytes())[:DIGITS]
    labels = idx.read_labels((mnist / idx.TEST_LABELS).read_bytes())[:DIGITS]
    body = {"data": normalised(images).tolist()}
    answer = az.call(host, "/api/classify", key, body)
    assert answer.status_code == 200, answer.text
    assert np.mean(np.array(answer.json()["digits"]) == labels) > ACCURACY
    assert az.call(host, "/api/classify", "wrong", body).status_code == 401
    assert az.call(host, "/api/classify", "", body).status_code == 401
