"""docs/local-clouds.md as a reader follows it: every block of commands and code on it is run."""

import re
from pathlib import Path

import pytest
from aws_cli import programs_of_version_2
from azure_cli import AzureCli, hello_zip
from client_environments import Client
from terminal import BIN, Open, Terminal

PAGE = Path(__file__).parents[2] / "docs" / "local-clouds.md"
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE.read_text(), re.DOTALL)


def block(word: str) -> str:
    """The one block on the page with this word in it."""
    (found,) = (text for _, text in BLOCKS if word in text)
    return found


def shell(terminal: Terminal, commands: str) -> str:
    ran = terminal.must("bash", "-ec", commands)
    return ran.stdout


def test_no_block_is_left_out() -> None:
    assert len(BLOCKS) == 7


def test_every_link_within_the_page_leads_somewhere() -> None:
    headings = re.findall(r"^#+ (.*)$", PAGE.read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE.read_text())) <= anchors


def test_aws(client: Client, open_terminal: Open) -> None:
    sdk = open_terminal(client("sagemaker-sdk").folder / "bin")
    for folder, name, content in (
        ("code", "train.py", "print('one epoch of it')"),
        ("data", "x.csv", "1,2"),
    ):
        (sdk.home / folder).mkdir()
        (sdk.home / folder / name).write_text(content)
    sdk.must("python", "-c", block("ModelTrainer"))
    aws = open_terminal(programs_of_version_2(client))
    listed = shell(aws, block("aws s3 ls"))
    assert aws.environment["MC_BUCKET"] in listed
    assert '"Completed"' in listed
    assert "one epoch of it" in shell(aws, block("aws logs tail"))


def test_azure(client: Client, open_terminal: Open, request: pytest.FixtureRequest) -> None:
    az = AzureCli.opened(client, open_terminal).apart()
    shell(az.terminal, block("az login"))
    az.write("settings.json", b'{"GREETING": "from the page"}')
    az.write("app.zip", hello_zip("page"))
    request.addfinalizer(lambda: az.run("group delete -n rg-try --yes"))
    shell(az.terminal, block("config-zip"))
    assert shell(az.terminal, block("curl")) == "page from the page"
    listed = az.terminal.must(str(BIN / "python"), "-c", block("WebSiteManagementClient"))
    assert "try-app 127.0.0.1:" in listed.stdout
