"""The AWS CLI, unmodified, against the local AWS."""

from client_environments import Client
from terminal import Open


def test_it_knows_who_it_is(client: Client, open_terminal: Open) -> None:
    terminal = open_terminal(client("aws-cli").folder / "bin")
    told = terminal.must("aws", "sts", "get-caller-identity")
    assert told.json["Account"]
