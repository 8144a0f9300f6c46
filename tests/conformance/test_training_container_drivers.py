"""The SDK v3's jobs compared with the drivers it uploads, unmodified, in a real /opt/ml."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest
from client_environments import Client
from terminal import Open
from training_container import (
    CHANNEL,
    MACHINE,
    OPT_ML,
    RESOURCES,
    SCRIPTS,
    Container,
    LocalSageMaker,
    Told,
    differences,
    given,
)

ENDS = ("well", "raise", "exit", "tell", "wait")
PYTHON = Path(sys.executable)
# A mount that only this process and its children see; nothing changes for anybody else.
IN_OPT_ML = (
    "unshare", "--map-root-user", "--mount", "sh", "-ec",
    'mount -t tmpfs none /opt; mkdir /opt/ml; mount --bind "$0" /opt/ml; cd /opt/ml; exec "$@"',
)  # fmt: skip


@pytest.fixture(scope="module")
def opt_ml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for those that are to be /opt/ml."""
    folder = tmp_path_factory.mktemp("drivers")
    if not shutil.which("unshare"):
        pytest.skip("there is no unshare here to have an /opt/ml of one's own")
    if PYTHON.resolve().is_relative_to("/opt"):
        pytest.skip("Python itself lies in /opt here, where the drivers need a folder of their own")
    tried = subprocess.run([*IN_OPT_ML, folder, "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(
            f"this machine lets nobody have an /opt/ml of their own: {tried.stderr.strip()}"
        )
    return folder


@pytest.fixture(scope="module")
def submitted(client: Client, open_terminal: Open, opt_ml: Path) -> Mapping[str, str]:
    """The names of the jobs that the SDK has submitted, by how they end."""
    sdk = client("sagemaker-sdk")
    terminal = open_terminal(sdk.folder / "bin")
    script = str(SCRIPTS / "probe_with_sdk_v3.py")
    terminal.must(str(sdk.python), script, "names.json", *ENDS)
    return json.loads((terminal.home / "names.json").read_text())


@pytest.fixture(scope="module")
def local(submitted: Mapping[str, str]) -> LocalSageMaker:
    return LocalSageMaker()


class Drivers:
    """The drivers that came with a job, carried out as its request says."""

    def __init__(self, local: LocalSageMaker, names: Mapping[str, str], folder: Path) -> None:
        self._local = local
        self._names = names
        self._folder = folder

    def start(self, end: str) -> tuple[str, Container]:
        name = self._names[end]
        request = self._local.sagemaker.describe_training_job(TrainingJobName=name)
        channels = request["InputDataConfig"]
        base = Container.prepared(
            self._folder / end,
            hyperparameters=request["HyperParameters"],
            inputdataconfig={channel["ChannelName"]: CHANNEL for channel in channels},
            resourceconfig=RESOURCES,
        )
        self._local.download(channels, base / "input" / "data")
        algorithm = request["AlgorithmSpecification"]
        command = [*algorithm["ContainerEntrypoint"], *algorithm["ContainerArguments"]]
        environment = given(name, request["TrainingJobArn"], PYTHON, **request["Environment"])
        return name, Container.started(base, PYTHON, [*IN_OPT_ML, str(base), *command], environment)

    def told(self, end: str) -> tuple[Told, Told]:
        """What became of the local job and of the drivers alone."""
        name, container = self.start(end)
        return self._local.told(name), container.told(named=OPT_ML)


@pytest.fixture(scope="module")
def drivers(local: LocalSageMaker, submitted: Mapping[str, str], opt_ml: Path) -> Iterator[Drivers]:
    yield Drivers(local, submitted, opt_ml)
    local.stop_all(submitted.values())


@pytest.fixture(scope="module")
def well(drivers: Drivers) -> tuple[Told, Told]:
    return drivers.told("well")


def test_environment_is_the_drivers(well: tuple[Told, Told]) -> None:
    ours, theirs = (told.probe["environment"] for told in well)
    assert set(found := differences(ours, theirs)) == set(MACHINE), found


@pytest.mark.parametrize("what", ["argv", "folder", "imports_from", "umask", "tree", "config"])
def test_script_finds_the_same(well: tuple[Told, Told], what: str) -> None:
    ours, theirs = (told.probe[what] for told in well)
    assert ours == theirs


@pytest.mark.parametrize("end", ["well", "raise", "exit", "tell"])
def test_script_ends_the_same(drivers: Drivers, well: tuple[Told, Told], end: str) -> None:
    ours, theirs = well if end == "well" else drivers.told(end)
    assert (ours.exit_code, ours.failure) == (theirs.exit_code, theirs.failure)
    assert ours.exit_code == {"well": 0, "raise": 1, "exit": 3, "tell": 3}[end]


def test_sigterm_reaches_the_script_here_and_not_through_the_drivers(
    drivers: Drivers, local: LocalSageMaker
) -> None:
    # The drivers' shell hands no signal on; here the script is asked first, as SageMaker's
    # documentation promises it.
    name, container = drivers.start("wait")
    try:
        script = container.wait_for_script()
        container.process.terminate()
        container.process.wait(60)
        assert script.status() != psutil.STATUS_ZOMBIE
        assert not (container.base / "output" / "data" / "heard").exists()
    finally:
        container.kill()

    local.wait_for_line(name, "waiting")
    local.stop(name)
    job = local.ended(name)
    assert job["TrainingJobStatus"] == "Stopped"
    assert local.output(job)["heard"] == b"SIGTERM"
