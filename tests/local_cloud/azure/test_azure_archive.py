"""archive.py: a package is unpacked whole, or refused before it does harm."""

import stat
import zipfile
from pathlib import Path

import pytest

from mc_assets.local_cloud.azure.archive import PackageError, extract
from small_function_apps import zipped


def _upload(folder: Path, content: bytes) -> Path:
    path = folder / "upload.zip"
    path.write_bytes(content)
    return path


def test_files_and_folders_arrive(tmp_path: Path) -> None:
    files = {"function_app.py": "x = 1", "model/": "", "model/model.onnx": b"\x00\x01"}
    root = tmp_path / "root"
    assert extract(_upload(tmp_path, zipped(files)), root) == 2
    assert (root / "function_app.py").read_text() == "x = 1"
    assert (root / "model" / "model.onnx").read_bytes() == b"\x00\x01"


@pytest.mark.parametrize(
    "name", ["../outside.py", "a/../../outside.py", "/etc/outside.py", "..\\outside.py"]
)
def test_paths_out_of_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    upload = _upload(tmp_path, zipped({"fine.py": "", name: "x"}))
    with pytest.raises(PackageError, match="outside the app's folder"):
        extract(upload, tmp_path / "root")
    assert not (tmp_path / "outside.py").exists()
    assert not (tmp_path / "root").exists()


def test_links_are_refused(tmp_path: Path) -> None:
    upload = tmp_path / "upload.zip"
    link = zipfile.ZipInfo("innocent")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(upload, "w") as package:
        package.writestr(link, "/etc/passwd")
    with pytest.raises(PackageError, match="link"):
        extract(upload, tmp_path / "root")


def test_bombs_are_refused_before_they_unfold(tmp_path: Path) -> None:
    upload = _upload(tmp_path, zipped({"zeros": bytes(64 * 1024**2)}))
    with pytest.raises(PackageError, match="bomb"):
        extract(upload, tmp_path / "root")
    assert not (tmp_path / "root").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_one_name_twice_is_refused(tmp_path: Path) -> None:
    upload = tmp_path / "upload.zip"
    with zipfile.ZipFile(upload, "w") as package:
        package.writestr("app.py", "one")
        package.writestr("app.py", "two")
    with pytest.raises(PackageError, match="same name"):
        extract(upload, tmp_path / "root")


def test_a_file_below_a_file_is_refused(tmp_path: Path) -> None:
    upload = _upload(tmp_path, zipped({"a": "file", "a/b": "below it"}))
    with pytest.raises(PackageError, match="below another file"):
        extract(upload, tmp_path / "root")


@pytest.mark.parametrize("damage", ["text", "cut", "flipped"])
def test_what_is_no_zip_is_refused(tmp_path: Path, damage: str) -> None:
    whole = zipped({"a.py": "print('hello')\n" * 50})
    flipped = bytearray(whole)
    flipped[60] ^= 0xFF
    content = {"text": b"no zip at all", "cut": whole[:-30], "flipped": bytes(flipped)}[damage]
    with pytest.raises(PackageError):
        extract(_upload(tmp_path, content), tmp_path / "root")
