"""mc_assets.archive: an honest model.tar.gz is read; every other kind is refused with a reason."""

import gzip
import io
import random
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from mc_assets.archive import ArchiveError, read_members

ALLOWED = {"model.onnx": 1000, "metrics.json": 100}
HONEST = {"model.onnx": bytes(range(250)) * 4, "metrics.json": b"{}"}

Change = Callable[[tarfile.TarInfo], None]


def pack(*members: tuple[str, bytes, Change | None], format_: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=format_) as archive:
        for name, data, change in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            if change:
                change(info)
            archive.addfile(info, io.BytesIO(data) if info.size else None)
    return buffer.getvalue()


def honest() -> list[tuple[str, bytes, Change | None]]:
    return [(name, data, None) for name, data in HONEST.items()]


def of_type(kind: bytes, link: str = "") -> Change:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.linkname, info.size = kind, link, 0

    return change


def bomb(size: int) -> bytes:
    """A gzip of zeros only, a thousandth of its expanded size."""
    return gzip.compress(bytes(1_000_000)) * (size // 1_000_000)


def sparse(info: tarfile.TarInfo) -> None:
    info.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.map": "0,1",
        "GNU.sparse.size": "900",
    }


def sparse_map(text: str) -> Change:
    def change(info: tarfile.TarInfo) -> None:
        info.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.map": text}

    return change


HOSTILE = {
    "unknown member": (pack(*honest(), ("model.onnx.data", b"x", None)), "model.onnx.data"),
    "parent path": (pack(*honest(), ("../model.onnx", b"x", None)), r"\.\./model.onnx"),
    "hidden parent path": (pack(*honest(), ("./../model.onnx", b"x", None)), "none of"),
    "absolute path": (pack(*honest(), ("/etc/passwd", b"x", None)), "/etc/passwd"),
    "folder inside": (pack(("sub/model.onnx", b"x", None)), "sub/model.onnx"),
    "other case": (pack(*honest(), ("MODEL.ONNX", b"x", None)), "MODEL.ONNX"),
    "folder of the name": (pack(("model.onnx", b"", of_type(tarfile.DIRTYPE))), "no plain file"),
    "symbolic link": (
        pack(("model.onnx", b"", of_type(tarfile.SYMTYPE, "/etc/passwd"))),
        "model.onnx is no plain file",
    ),
    "hard link": (
        pack(*honest()[1:], ("model.onnx", b"", of_type(tarfile.LNKTYPE, "metrics.json"))),
        "model.onnx is no plain file",
    ),
    "device": (pack(("model.onnx", b"", of_type(tarfile.CHRTYPE))), "no plain file"),
    "fifo": (pack(("model.onnx", b"", of_type(tarfile.FIFOTYPE))), "no plain file"),
    "contiguous": (pack(("model.onnx", b"", of_type(tarfile.CONTTYPE))), "no plain file"),
    "sparse": (pack(("model.onnx", b"x" * 900, sparse)), "no plain file"),
    "sparse without a map": (pack(("model.onnx", b"x", sparse_map("a,b"))), "no sound|not a sound"),
    "duplicate": (pack(*honest(), honest()[0]), "model.onnx is in the archive twice"),
    "duplicate by ./": (pack(*honest(), ("./model.onnx", b"x", None)), "twice"),
    "too large": (pack(("metrics.json", b"x" * 101, None)), "metrics.json has 101 bytes"),
    "missing": (pack(*honest()[:1]), "lacks metrics.json"),
    "empty archive": (pack(), "lacks model.onnx, metrics.json"),
    "no bytes": (b"", "not a sound tar"),
    "not gzip": (b"<html>denied</html>", "not sound gzip"),
    "plain tar": (gzip.decompress(pack(*honest())), "not sound gzip"),
    "gzip of no tar": (gzip.compress(b"<html>denied</html>" * 100), "not a sound tar"),
    "bomb": (bomb(50_000_000), "expands beyond"),
    "long name": (pack(("a" * 300, b"x", None), format_=tarfile.GNU_FORMAT), "none of"),
    "tar after tar": (
        gzip.compress(gzip.decompress(pack(*honest())) + gzip.decompress(pack(*honest()))),
        "no sound tar after",
    ),
    "bytes after gzip": (pack(*honest()) + b"MZ tail", "not sound gzip"),
}


@pytest.mark.parametrize("prefix", ["", "./"])
@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_an_honest_archive_is_read(prefix: str, format_: int) -> None:
    folder = [(".", b"", of_type(tarfile.DIRTYPE))] if prefix else []
    members = [(prefix + name, data, None) for name, data in HONEST.items()]
    assert read_members(io.BytesIO(pack(*folder, *members, format_=format_)), ALLOWED) == HONEST


def test_an_archive_is_read_from_a_file_too(tmp_path: Path) -> None:
    path = tmp_path / "model.tar.gz"
    path.write_bytes(pack(*honest()))
    assert read_members(path, ALLOWED) == HONEST


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_refused(kind: str) -> None:
    data, reason = HOSTILE[kind]
    with pytest.raises(ArchiveError, match=reason):
        read_members(io.BytesIO(data), ALLOWED)


def test_memory_stays_near_the_caps_however_far_the_archive_expands() -> None:
    data = bomb(300_000_000)
    tracemalloc.start()
    with pytest.raises(ArchiveError, match="expands beyond"):
        read_members(io.BytesIO(data), ALLOWED)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


def test_truncation_anywhere_is_noticed() -> None:
    data = pack(*honest())
    for length in range(len(data)):
        with pytest.raises(ArchiveError):
            read_members(io.BytesIO(data[:length]), ALLOWED)


def test_a_flipped_bit_is_refused_or_harmless() -> None:
    data = pack(*honest())
    generator = random.Random(0)
    for _ in range(500):
        damaged = bytearray(data)
        damaged[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        try:
            found = read_members(io.BytesIO(damaged), ALLOWED)
        except ArchiveError:
            continue
        assert found == HONEST
