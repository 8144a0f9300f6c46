"""Packages are the same bytes every time, hostile ones are refused, and a good one answers."""

import hashlib
import io
import json
import os
import shutil
import stat
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from mc_assets.packaging import (
    Package,
    PackageError,
    build_package,
    check_contents,
    inspect_package,
    smoke_test,
)
from tiny_onnx import expected_digits, tiny_images, tiny_onnx, tiny_weights

SOURCE = Path(__file__).parents[1] / "function_app"
NAMES = (
    "bad_input.py",
    "classifier.py",
    "function_app.py",
    "host.json",
    "images.py",
    "inflating.py",
    "json_body.py",
    "manifest.json",
    "model/model.onnx",
    "npy_body.py",
    "openapi.json",
    "page.html",
    "page.py",
    "payload.py",
    "picture.py",
    "requirements.txt",
    "well_formed_json.py",
)
BUDGET = 10_000_000


@pytest.fixture(scope="module")
def package() -> Package:
    return build_package(SOURCE, tiny_onnx(), {"job": "mnist-1"})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the function folder to change."""
    return shutil.copytree(
        SOURCE, tmp_path / "source", ignore=shutil.ignore_patterns("__pycache__")
    )


def _members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _zip(members: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


# Building


def test_the_same_files_give_the_same_bytes(package, source):
    for index, path in enumerate(sorted(source.iterdir())):
        path.chmod(0o600)
        os.utime(path, (index * 1e8, index * 1e8))
    assert build_package(source, tiny_onnx(), {"job": "mnist-1"}) == package


def test_only_the_functions_own_files_are_packaged(package, source):
    (source / "test_payload.py").write_text("")
    (source / "conftest.py").write_text("")
    (source / ".env").write_text("SECRET=1")
    (source / "local.settings.json").write_text("{}")
    (source / "manifest.json").write_text("{}")
    for folder in ("__pycache__", "tests", ".venv"):
        (source / folder).mkdir()
        (source / folder / "payload.py").write_text("")
        (source / folder / "payload.cpython-311.pyc").write_bytes(b"")
    again = build_package(source, tiny_onnx(), {"job": "mnist-1"})
    assert again.data == package.data
    assert tuple(name for name, _, _ in package.files) == NAMES


def test_every_entry_is_a_plain_file_without_a_clock(package):
    with zipfile.ZipFile(io.BytesIO(package.data)) as archive:
        assert tuple(archive.namelist()) == NAMES
        for entry in archive.infolist():
            assert entry.date_time == (1980, 1, 1, 0, 0, 0)
            assert entry.external_attr >> 16 == stat.S_IFREG | 0o644
            assert entry.compress_type == zipfile.ZIP_STORED


def test_the_manifest_says_what_is_inside(package):
    members = _members(package.data)
    manifest = json.loads(members["manifest.json"])
    listed = "".join(
        f"{hashlib.sha256(members[name]).hexdigest()}  {name}\n"
        for name in NAMES
        if name != "manifest.json"
    )
    assert manifest["version"] == package.version
    assert manifest["version"] == hashlib.sha256(listed.encode()).hexdigest()
    assert manifest["model"]["sha256"] == hashlib.sha256(tiny_onnx()).hexdigest()
    assert manifest["model"]["size"] == len(tiny_onnx())
    assert manifest["model"]["opset"] == 18
    assert manifest["model"]["inputs"] == [
        {"name": "input_0", "dtype": "float32", "shape": ["batch", 1, 28, 28]}
    ]
    assert manifest["extra"] == {"job": "mnist-1"}
    assert package.sha256 == hashlib.sha256(package.data).hexdigest()


def test_the_version_follows_the_files_and_not_the_extra(package, source):
    other_extra = build_package(source, tiny_onnx(), {"job": "mnist-2"})
    assert other_extra.version == package.version
    assert other_extra.sha256 != package.sha256
    assert build_package(source, tiny_onnx(tiny_weights(7))).version != package.version
    (source / "payload.py").write_text("# another\n")
    assert build_package(source, tiny_onnx()).version != package.version


@pytest.mark.parametrize("name", ["function_app.py", "host.json", "requirements.txt"])
def test_a_function_folder_without_a_needed_file_is_refused(source, name):
    (source / name).unlink()
    with pytest.raises(PackageError, match=name):
        build_package(source, tiny_onnx())


def test_a_link_in_the_function_folder_is_refused(source, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (source / "settings.py").symlink_to(tmp_path / "secret")
    with pytest.raises(PackageError, match=r"settings\.py is not a plain file"):
        build_package(source, tiny_onnx())


@pytest.mark.parametrize("model", [b"", b"<html></html>", tiny_onnx()[:-200]])
def test_what_is_no_model_is_refused(source, model):
    with pytest.raises(PackageError, match=r"model\.onnx"):
        build_package(source, model)


# Looking inside


def test_a_built_package_has_nothing_wrong_with_it(package):
    facts = inspect_package(package.data)
    assert check_contents(facts, BUDGET) == ()
    assert (facts.sha256, facts.version) == (package.sha256, package.version)
    assert facts.files == package.files
    assert facts.unpacked_size == sum(size for _, size, _ in package.files)
    assert facts.model.outputs[0].shape == ("batch", 10)
    assert facts.manifest["extra"] == {"job": "mnist-1"}


def test_a_deflated_package_of_the_same_files_is_as_good(package):
    deflated = _zip(_members(package.data), zipfile.ZIP_DEFLATED)
    facts = inspect_package(deflated)
    assert check_contents(facts, BUDGET) == ()
    assert facts.version == package.version


def _without(name: str) -> Callable[[dict[str, bytes]], object]:
    return lambda members: members.pop(name)


def _with(name: str, data: bytes) -> Callable[[dict[str, bytes]], object]:
    return lambda members: members.update({name: data})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_without("function_app.py"), "function_app.py is missing."),
        (_without("host.json"), "host.json is missing."),
        (_with("payload.py", b"#"), "manifest.json states another version than the package holds."),
        (_with("more.py", b"#"), "manifest.json states another files than the package holds."),
        (
            _with("model/model.onnx", tiny_onnx(tiny_weights(7))),
            "manifest.json states another model than the package holds.",
        ),
        (_with("manifest.json", b"{}"), "manifest.json states another version"),
        (
            _with("requirements.txt", b"# pinned:\nnumpy==2.4.6\nazure-functions<2\n"),
            "requirements.txt does not pin 'azure-functions<2' to one version with ==.",
        ),
        (_with("requirements.txt", b"-r other.txt\n"), "does not pin '-r other.txt'"),
        (_with("requirements.txt", b"numpy>=2  # newest\n"), "does not pin 'numpy>=2'"),
    ],
)
def test_what_is_wrong_with_the_contents_is_named(package, change, problem):
    members = _members(package.data)
    change(members)
    problems = check_contents(inspect_package(_zip(members)), BUDGET)
    assert any(problem in found for found in problems), problems


def test_the_size_budget_is_kept(package):
    facts = inspect_package(package.data)
    assert check_contents(facts, facts.unpacked_size) == ()
    assert len(check_contents(facts, facts.unpacked_size - 1)) == 1


def _entry(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = mode << 16
    return entry


def _plus(entry: zipfile.ZipInfo, data: bytes = b"#", method: int = zipfile.ZIP_STORED) -> bytes:
    """A good package with one more entry."""
    buffer = io.BytesIO(build_package(SOURCE, tiny_onnx()).data)
    with zipfile.ZipFile(buffer, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile's own, about a duplicate name
        archive.writestr(entry, data, method)
    return buffer.getvalue()


def _encrypted() -> bytes:
    data = bytearray(_zip({"function_app.py": b"#"}))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def _understated() -> bytes:
    """A member that unpacks to more than the table of contents states."""
    bomb = _zip({"function_app.py": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    return _stating_size(bomb, 5000)


def _stating_size(data: bytes, size: int) -> bytes:
    """The zip with another unpacked size of its first member in the table of contents."""
    at = data.index(b"PK\x01\x02") + 24
    return data[:at] + size.to_bytes(4, "little") + data[at + 4 :]


def _hidden_suffix() -> bytes:
    return _zip({"payload.py?.exe": b"#"}).replace(b"payload.py?.exe", b"payload.py\0.exe")


GOOD: dict[str, bytes] = dict.fromkeys(NAMES, b"{}")
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "not a readable zip"),
    "not a zip": (lambda: b"<html></html>" * 50, "not a readable zip"),
    "empty zip": (lambda: _zip({}), r"has no manifest\.json"),
    "parent folder": (lambda: _plus(_entry("../payload.py")), "does not belong"),
    "absolute": (lambda: _plus(_entry("/etc/cron.d/x.py")), "does not belong"),
    "drive": (lambda: _plus(_entry("C:\\x.py")), "does not belong"),
    "folder": (lambda: _plus(_entry("model/")), "does not belong"),
    "subfolder": (lambda: _plus(_entry("azure/functions.py")), "does not belong"),
    "second model": (lambda: _plus(_entry("model/other.onnx")), "does not belong"),
    "compiled": (lambda: _plus(_entry("payload.pyc")), "does not belong"),
    "dotfile": (lambda: _plus(_entry(".env")), "does not belong"),
    "dot slash": (lambda: _plus(_entry("./extra.py")), "does not belong"),
    "local settings": (lambda: _plus(_entry("local.settings.json")), "does not belong"),
    "test": (lambda: _plus(_entry("test_payload.py")), "does not belong"),
    "other case": (lambda: _plus(_entry("Payload.py")), "does not belong"),
    "line break": (lambda: _plus(_entry("payload.py\n")), "does not belong"),
    "duplicate": (lambda: _plus(_entry("payload.py")), "more than once"),
    "link": (lambda: _plus(_entry("x.py", stat.S_IFLNK | 0o777), b"/etc/passwd"), "is a link"),
    "fifo": (lambda: _plus(_entry("x.py", stat.S_IFIFO | 0o644)), "is a link or a device"),
    "bzip2": (lambda: _plus(_entry("x.py"), b"#", zipfile.ZIP_BZIP2), "other than store and"),
    "lzma": (lambda: _plus(_entry("x.py"), b"#", zipfile.ZIP_LZMA), "other than store and"),
    "encrypted": (_encrypted, "encrypted"),
    "bomb": (
        lambda: _plus(_entry("x.py"), bytes(5_000_000), zipfile.ZIP_DEFLATED),
        "over 100 times",
    ),
    "understated": (_understated, "not a readable zip"),
    "huge": (
        lambda: _stating_size(_zip({"x.py": b""}), 256 * 1024 * 1024 + 1),
        "unpacks to 268435457 bytes",
    ),
    "hidden suffix": (_hidden_suffix, "does not belong"),
    "many": (lambda: _zip({f"m{i}.py": b"" for i in range(65)}), "has 65 files"),
    "no manifest": (lambda: _zip({"function_app.py": b""}), r"has no manifest\.json"),
    "no model": (lambda: _zip({"manifest.json": b"{}"}), r"has no model/model\.onnx"),
    "manifest not json": (lambda: _zip(GOOD | {"manifest.json": b"{"}), "is not JSON"),
    "manifest not utf-8": (lambda: _zip(GOOD | {"manifest.json": b"\xff{}"}), "is not JSON"),
    "manifest deep": (lambda: _zip(GOOD | {"manifest.json": b"[" * 100_000}), "is not JSON"),
    "manifest a list": (lambda: _zip(GOOD | {"manifest.json": b"[]"}), "not a JSON object"),
    "model not onnx": (lambda: _zip(GOOD), r"model\.onnx"),
}


@pytest.mark.parametrize(("make", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_package_is_refused(make, message):
    with pytest.raises(PackageError, match=message):
        inspect_package(make())


def test_a_bomb_that_understates_itself_is_not_unpacked():
    data = _understated()
    tracemalloc.start()
    try:
        with pytest.raises(PackageError):
            inspect_package(data)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_package_cut_short_is_refused(package):
    for length in np.linspace(0, len(package.data) - 1, 40).astype(int):
        with pytest.raises(PackageError):
            inspect_package(package.data[:length])


def test_no_flipped_byte_passes_for_other_contents(package):
    """Flips in a date or a comment are harmless; in the contents they are refused or reported."""
    generator = np.random.default_rng(4)
    members = _members(package.data)
    refused = 0
    for at in generator.integers(0, len(package.data), 1000):
        data = bytearray(package.data)
        data[at] ^= 1 << int(generator.integers(8))
        try:
            facts = inspect_package(bytes(data))
        except PackageError:
            refused += 1
        else:
            assert facts.members == members or check_contents(facts, BUDGET)
    assert refused > 900


def test_no_damage_to_the_table_of_contents_is_an_accident(package):
    generator = np.random.default_rng(5)
    start = package.data.index(b"PK\x01\x02")
    members = _members(package.data)
    for _ in range(3000):
        data = bytearray(package.data)
        for at in generator.integers(start, len(data), 2):
            data[at] = int(generator.integers(256))
        try:
            facts = inspect_package(bytes(data))
        except PackageError:
            continue
        assert facts.members == members or check_contents(facts, BUDGET)


# Trying out


def _package_with(source: Path, function_app: str) -> bytes:
    (source / "function_app.py").write_text(function_app)
    return build_package(source, tiny_onnx()).data


def test_the_packaged_function_answers_in_a_clean_process(package, monkeypatch):
    monkeypatch.setenv("MC_MAX_BODY_BYTES", "1")  # must not reach the function
    monkeypatch.setenv("PYTHONPATH", str(SOURCE.parent))
    images = tiny_images(1001)
    tried = smoke_test(package.data, images)
    assert list(tried.digits) == expected_digits(images, tiny_weights())
    assert tried.model_sha256 == hashlib.sha256(tiny_onnx()).hexdigest()
    assert tried.package_version == package.version


def test_the_settings_reach_the_packaged_function(package):
    with pytest.raises(PackageError, match="answered 413"):
        smoke_test(package.data, tiny_images(1), {"MC_MAX_BODY_BYTES": "100"})


def test_a_model_that_gives_no_digits_fails_the_trial():
    model = tiny_onnx(np.full((784, 10), np.nan, np.float32))
    with pytest.raises(PackageError, match="answered 500"):
        smoke_test(build_package(SOURCE, model).data, tiny_images(3))


@pytest.mark.parametrize(
    ("function_app", "message"),
    [
        ("def classify(:\n", "SyntaxError"),
        ("import mc_assets\n", "mc_assets"),
        ("import torch\n", "torch"),
        ("import dagster\n", "dagster"),
        ("import function_runner\n", "No module named 'function_runner'"),
        ("raise OSError('the model could not be read')\n", "OSError: the model could not be read"),
        ("import os\nos._exit(7)\n", "exit status 7"),
        ("app = None\n", "must hold one FunctionApp, it holds 0"),
        (
            "import azure.functions as func\na, b = func.FunctionApp(), func.FunctionApp()\n",
            "must hold one FunctionApp, it holds 2",
        ),
        ("import azure.functions as func\napp = func.FunctionApp()\n", "no function 'health'"),
    ],
)
def test_a_package_that_cannot_serve_fails_with_the_reason(source, function_app, message):
    with pytest.raises(PackageError, match=message):
        smoke_test(_package_with(source, function_app), tiny_images(1))


LIAR = """
import json
from pathlib import Path

import azure.functions as func

app = func.FunctionApp()
manifest = json.loads(Path(__file__).with_name("manifest.json").read_text())
headers = {{"x-model-sha256": {model}, "x-package-version": manifest["version"]}}


@app.route(route="health")
def health(req):
    return func.HttpResponse("{{}}", headers=headers)


@app.route(route="classify")
def classify(req):
    raw = req.headers["content-type"] == "application/octet-stream"
    return func.HttpResponse(json.dumps({{"digits": {digits}}}), headers=headers)
"""
HONEST = 'manifest["model"]["sha256"]'


@pytest.mark.parametrize(
    ("model", "digits", "message"),
    [
        ("'0' * 64", "[1, 2]", "answered with x-model-sha256 '000"),
        (HONEST, "[1, 2, 3]", "gave 3 digits for 2 images"),
        (HONEST, "[1, 2] if raw else [1, 3]", r"other digits from JSON, \[1, 3\]"),
    ],
)
def test_a_function_that_contradicts_its_package_or_itself_fails(source, model, digits, message):
    liar = LIAR.format(model=model, digits=digits)
    with pytest.raises(PackageError, match=message):
        smoke_test(_package_with(source, liar), tiny_images(2))


def test_a_package_that_hangs_is_ended(source):
    with pytest.raises(PackageError, match=r"did not answer in 0\.5 s"):
        smoke_test(
            _package_with(source, "import time\ntime.sleep(600)\n"), tiny_images(1), timeout_s=0.5
        )
