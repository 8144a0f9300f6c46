"""Starting, finding and stopping the local clouds: once however many ask, clear when they fail."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import pytest

from mc_assets.local_cloud import supervisor
from mc_assets.local_cloud.settings import LocalCloudError, LocalSettings
from ports import free_ports


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[LocalSettings]:
    aws, azure, site = free_ports(3)
    own = LocalSettings(tmp_path / "state", aws, azure, site)
    yield own
    supervisor.down(own)


def mc_local(settings: LocalSettings, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "MC_LOCAL_STATE": str(settings.state),
        "MC_LOCAL_AWS_PORT": str(settings.aws_port),
        "MC_LOCAL_AZURE_PORT": str(settings.azure_port),
        "MC_LOCAL_SITE_PORT": str(settings.first_site_port),
    }
    command = [Path(sys.executable).with_name("mc-local"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_many_who_ask_at_once_start_them_once(settings: LocalSettings) -> None:
    code = (
        "from mc_assets.local_cloud import supervisor\n"
        "from mc_assets.local_cloud.settings import LocalSettings\n"
        "from pathlib import Path\n"
        f"s = LocalSettings(Path({str(settings.state)!r}), {settings.aws_port}, "
        f"{settings.azure_port}, {settings.first_site_port})\n"
        "print(','.join(supervisor.up(s)[1]))\n"
    )
    asking = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    started = sorted(process.communicate()[0].strip() for process in asking)
    assert started == ["", "", "aws,azure"]


def test_what_was_written_survives_kill_9(settings: LocalSettings) -> None:
    supervisor.up(settings)
    client = s3(settings)
    client.put_object(Bucket="mc-assets-local", Key="kept", Body=b"bytes")
    for line in supervisor.status(settings):
        assert line.pid is not None
        os.kill(line.pid, signal.SIGKILL)
    _, started = supervisor.up(settings)
    assert started == ["aws", "azure"]
    assert client.get_object(Bucket="mc-assets-local", Key="kept")["Body"].read() == b"bytes"


def test_a_taken_port_is_said_in_one_sentence(settings: LocalSettings) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", settings.aws_port))
        stranger.listen()
        done = mc_local(settings, "up")
    assert done.returncode == 1
    assert str(settings.aws_port) in done.stderr
    assert "Traceback" not in done.stderr


def test_the_clouds_of_another_folder_are_not_taken_over(
    settings: LocalSettings, tmp_path: Path
) -> None:
    supervisor.up(settings)
    with pytest.raises(LocalCloudError, match="taken by the local clouds of"):
        supervisor.up(replace(settings, state=tmp_path / "other"))


def test_a_state_folder_from_a_newer_release_is_refused_and_left_alone(
    settings: LocalSettings,
) -> None:
    settings.state.mkdir()
    (settings.state / "VERSION").write_text("99\n")
    done = mc_local(settings, "up")
    assert done.returncode == 1
    assert "newer release" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in settings.state.iterdir()] == ["VERSION"]


def test_a_state_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    aws, azure, site = free_ports(3)
    done = mc_local(LocalSettings(tmp_path / "file" / "state", aws, azure, site), "up")
    assert done.returncode == 1
    assert "cannot write their state" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_with_other_things_in_it_is_not_made_a_state_folder(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis").write_text("words")
    aws, azure, site = free_ports(3)
    done = mc_local(LocalSettings(precious, aws, azure, site), "up")
    assert done.returncode == 1
    assert "not empty" in done.stderr
    assert [path.name for path in precious.iterdir()] == ["thesis"]


def test_env_points_a_shell_at_them(settings: LocalSettings) -> None:
    done = mc_local(settings, "env")
    assert done.returncode == 0, done.stderr
    script = (
        f"{done.stdout}\n{sys.executable} -c 'import json, os; print(json.dumps(dict(os.environ)))'"
    )
    shell = subprocess.run(
        ["sh", "-ec", script],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "AWS_PROFILE": "real"},
    )
    found = json.loads(shell.stdout)
    assert found["AWS_ENDPOINT_URL"] == settings.aws_url
    assert found["AZURE_AUTHORITY_HOST"] == found["AZURE_RESOURCE_MANAGER_URL"]
    assert Path(found["REQUESTS_CA_BUNDLE"]).exists()
    assert "AWS_PROFILE" not in found


def test_status_down_and_reset(settings: LocalSettings) -> None:
    assert mc_local(settings, "status").returncode == 1
    supervisor.up(settings)
    assert mc_local(settings, "status").returncode == 0
    assert mc_local(settings, "down").stdout == "stopped: aws, azure\n"
    assert mc_local(settings, "down").stdout == "nothing was running\n"
    assert mc_local(settings, "reset", "--yes").returncode == 0
    assert not settings.state.exists()


def test_reset_deletes_no_folder_that_is_not_a_state_folder(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis").write_text("words")
    aws, azure, site = free_ports(3)
    done = mc_local(LocalSettings(precious, aws, azure, site), "reset", "--yes")
    assert done.returncode == 1
    assert (precious / "thesis").exists()


def s3(settings: LocalSettings):
    values = supervisor.environment(settings)
    return boto3.client(
        "s3",
        endpoint_url=settings.aws_url,
        aws_access_key_id=values["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=values["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )
