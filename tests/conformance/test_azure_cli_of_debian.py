"""The Azure CLI 2.45 that Debian 12 ships: it knows nothing of how clouds describe themselves."""

from azure_cli import AzureCli, hello_zip
from client_environments import Client
from terminal import Open

GROUP = "rg-debian"
APP = f"-g {GROUP} -n debian-app"


def test_the_walkthrough(client: Client, open_terminal: Open) -> None:
    az = AzureCli.opened(client, open_terminal, "azure-cli-2.45").apart()
    # It needs every address named, and takes an authority it does not know as AD FS alone.
    url = az.terminal.environment["AZURE_RESOURCE_MANAGER_URL"]
    az(
        f"cloud register -n Local --endpoint-resource-manager {url} "
        f"--endpoint-active-directory {url}/adfs --endpoint-active-directory-resource-id {url}/ "
        f"--endpoint-active-directory-graph-resource-id {url}/ "
        "--suffix-storage-endpoint no-storage-data-plane.invalid"
    )
    az("cloud set -n Local")
    assert az.login().exit_code == 0
    az(f"group create -n {GROUP} -l ukwest")
    az(f"storage account create -n debianstore -g {GROUP} -l ukwest --sku Standard_LRS")
    az(
        f"functionapp create {APP} --storage-account debianstore --consumption-plan-location ukwest"
        " --os-type Linux --runtime python --runtime-version 3.9 --functions-version 4"
    )
    az.write("settings.json", b'{"GREETING": "from Debian"}')
    az(f"functionapp config appsettings set {APP} --settings @settings.json")
    az.write("app.zip", hello_zip("debian"))
    deployed = az(
        f"functionapp deployment source config-zip {APP} --src app.zip --build-remote true"
    )
    assert deployed.json["status"] == 4
    answer = az.call(az.host(APP), "/api/hello", az.key(APP))
    assert (answer.status_code, answer.text) == (200, "debian from Debian")
    az(f"group delete -n {GROUP} --yes")
