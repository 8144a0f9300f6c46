"""Code versions follow the code: every byte, every name, nothing compiled."""

from pathlib import Path

import pytest

from mc_assets.code_version import code_version


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "b.txt").write_text("words\n")
    return tmp_path


def test_equal_code_has_an_equal_version(folder: Path) -> None:
    before = code_version(folder)
    (folder / "a.py").touch()
    (folder / "a.pyc").write_bytes(b"compiled")
    assert code_version(folder) == before


def test_a_byte_a_name_and_a_choice_each_change_it(folder: Path) -> None:
    versions = {code_version(folder), code_version(folder, extra="epochs=2")}
    (folder / "a.py").write_text("x = 2\n")
    versions.add(code_version(folder))
    (folder / "a.py").rename(folder / "c.py")
    versions.add(code_version(folder))
    assert len(versions) == 4


def test_a_file_that_is_not_there_is_an_error_not_a_version() -> None:
    with pytest.raises(FileNotFoundError):
        code_version("stages/nothing.py")
