"""The credentials of a state folder: made once, and fit for a command line."""

from dataclasses import astuple
from pathlib import Path

from mc_assets.local_cloud.settings import load_credentials


def test_credentials_are_made_once_and_kept_from_others(tmp_path: Path) -> None:
    made = load_credentials(tmp_path)
    assert load_credentials(tmp_path) == made
    assert (tmp_path / "credentials.json").stat().st_mode & 0o777 == 0o600


def test_no_command_line_takes_a_credential_for_an_option(tmp_path: Path) -> None:
    # As many as make one that begins with a dash all but certain, were any in 64 to do so.
    made = [astuple(load_credentials(tmp_path / str(number))) for number in range(500)]
    assert not [value for each in made for value in each if not value[0].isalnum()]
