"""Clients installed on demand, terminals to run them in, and the transcript at the end."""

import threading
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from client_environments import (
    Client,
    ClientEnvironment,
    ClientUnavailableError,
    clients,
    install,
)
from terminal import Open, Ran, Terminal

from mc_assets.local_cloud.settings import LocalSettings
from summary import tell

# Every command of a CLI; of a program given on the command line its beginning.
_LONGEST_COMMAND = 400
# So few tests hardly need every client.
_FEW = 20


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin to install the clients while other tests run: together they take minutes."""
    folder = Path(__file__).parent
    here = [item for item in session.items if folder in item.path.parents]
    if len(here) > _FEW and not session.config.option.collectonly:
        threading.Thread(target=_install_all, args=(_kept(session.config),), daemon=True).start()


def _install_all(kept: Path) -> None:
    for name in clients():
        # Whoever asks for it tries again, and says what is wrong.
        with suppress(ClientUnavailableError):
            install(name, kept)


def _kept(config: pytest.Config) -> Path:
    assert config.cache is not None
    return Path(config.cache.mkdir("clients"))


@pytest.fixture(scope="session")
def client(request: pytest.FixtureRequest) -> Client:
    """An installed client by its name in `clients/`; the test is skipped where it cannot be had."""
    kept = _kept(request.config)
    unavailable: dict[str, str] = {}

    def installed(name: str) -> ClientEnvironment:
        try:
            if name not in unavailable:
                return install(name, kept)
        except ClientUnavailableError as error:
            unavailable[name] = f"the client {name} cannot be installed here: {error}"
        if request.config.getoption("require_clients"):
            pytest.fail(unavailable[name])
        pytest.skip(unavailable[name])

    return installed


@pytest.fixture(scope="session")
def open_terminal(
    request: pytest.FixtureRequest,
    local_clouds: LocalSettings,
    tmp_path_factory: pytest.TempPathFactory,
) -> Open:
    """A new terminal pointed at the local clouds: the programs of these folders come first.

    What is run in it appears in the transcript at the end of the test run.
    """

    def opened(*path: Path, **variables: str) -> Terminal:
        home = tmp_path_factory.mktemp("home")
        return Terminal.opened(home, list(path), partial(_say, request.config), **variables)

    return opened


def _say(config: pytest.Config, ran: Ran) -> None:
    line = " ".join(ran.command.split())
    shown = line if len(line) <= _LONGEST_COMMAND else f"{line[:_LONGEST_COMMAND]}..."
    said = f"exit {ran.exit_code:>3}  {ran.seconds:6.1f} s  $ {shown}"
    tell(config, "commands of other people's clients", said)
