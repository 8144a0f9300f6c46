"""What goes between S3 and a job's folder: channels, code and checkpoints in, archives out."""

import gzip
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from mc_assets.local_cloud.aws.classic_toolkit import is_command, program, submit_directory
from mc_assets.local_cloud.aws.container import Container
from mc_assets.local_cloud.aws.errors import client_error
from mc_assets.local_cloud.aws.s3_mirror import S3Mirror
from mc_assets.local_cloud.aws.training_job import TrainingJob
from mc_assets.local_cloud.aws.training_request import OPT_ML


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of an `s3://` URI.

    Raises:
        TrainingFailure: it is not one.
    """
    parts = urlsplit(uri, allow_fragments=False)
    if parts.scheme != "s3" or not parts.netloc:
        raise client_error(f"{uri!r} is not an S3 URI of the form s3://bucket/key.")
    return parts.netloc, uri.removeprefix(f"s3://{parts.netloc}").removeprefix("/")


def require_bucket(s3: S3Mirror, uri: str) -> None:
    bucket, _ = split_uri(uri)
    if not s3.has_bucket(bucket):
        raise client_error(f"The bucket {bucket} of {uri} does not exist.")


def fetch_channel(s3: S3Mirror, uri: str, folder: Path) -> None:
    """Copy every object under a prefix, or the one object of that name, into a folder.

    Raises:
        TrainingFailure: no such bucket, nothing under the prefix, or a key that would lead out
            of the folder.
    """
    require_bucket(s3, uri)
    if fetch_prefix(s3, uri, folder) == 0:
        raise client_error(f"Data download failed: there is no object under {uri}.")


def fetch_prefix(s3: S3Mirror, uri: str, folder: Path) -> int:
    """Like fetch_channel, but nothing to copy is fine; returns how many objects were copied."""
    bucket, prefix = split_uri(uri)
    folder.mkdir(parents=True, exist_ok=True)
    keys = s3.keys(bucket, prefix)
    for key in keys:
        target = (folder / _relative(key, prefix)).resolve()
        if not target.is_relative_to(folder.resolve()):
            raise client_error(f"The key of s3://{bucket}/{key} leads out of its channel.")
        if key.endswith("/"):
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        s3.download(bucket, key, target)
    return len(keys)


def fetch_code(s3: S3Mirror, job: TrainingJob, container: Container) -> None:
    """Bring sagemaker_submit_directory into the code folder.

    It is an archive, in S3 or in a channel, or a channel's folder as it is.

    Raises:
        TrainingFailure: there is none, or it cannot be unpacked.
    """
    uri = submit_directory(job)
    archive = container.temporary / "sourcedir.tar.gz"
    try:
        if uri.startswith(f"{OPT_ML}/"):
            archive = container.local(uri)
        elif job.request.get("EnableNetworkIsolation"):
            raise client_error(
                f"With network isolation the container cannot fetch its code from {uri}: give it "
                f"by a channel, and its path below {OPT_ML} as sagemaker_submit_directory."
            )
        else:
            s3.download(*split_uri(uri), archive)
        if archive.is_dir():
            shutil.copytree(archive, container.code, dirs_exist_ok=True)
        else:
            with tarfile.open(archive) as tar:
                tar.extractall(container.code, filter="data")
    except FileNotFoundError as error:
        raise client_error(f"The code archive {uri} does not exist.") from error
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise client_error(f"The code archive {uri} cannot be unpacked: {error}.") from error
    script = container.code / program(job)
    if is_command(script.name) and script.is_file():
        script.chmod(script.stat().st_mode | 0o111)


def upload_archive(s3: S3Mirror, container: Container, folder: Path, uri: str) -> None:
    bucket, key = split_uri(uri)
    archive = container.temporary / "upload.tar.gz"
    make_archive(folder, archive)
    s3.upload(archive, bucket, key)
    archive.unlink()


def upload_files(s3: S3Mirror, folder: Path, uri: str) -> None:
    """Copy a folder's files to keys under a prefix."""
    bucket, prefix = split_uri(uri)
    for path in _files(folder):
        s3.upload(path, bucket, f"{prefix.rstrip('/')}/{path.relative_to(folder).as_posix()}")


def make_archive(folder: Path, archive: Path) -> None:
    """A gzipped tar of a folder's content; the same content gives the same bytes."""
    with (
        archive.open("wb") as stream,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=stream, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in sorted(folder.rglob("*")):
            tar.add(path, path.relative_to(folder).as_posix(), recursive=False, filter=_timeless)


class CheckpointSync:
    """Uploads what has changed in the checkpoint folder since it last looked."""

    def __init__(self, s3: S3Mirror, folder: Path, uri: str) -> None:
        self._s3 = s3
        self._folder = folder
        self._bucket, self._prefix = split_uri(uri)
        self._uploaded = self._stamps()

    def upload(self) -> None:
        for path, stamp in self._stamps().items():
            if self._uploaded.get(path) == stamp:
                continue
            relative = path.relative_to(self._folder).as_posix()
            key = f"{self._prefix.rstrip('/')}/{relative}".lstrip("/")
            # The script may replace a file at any moment; the next look finds what it became.
            with suppress(FileNotFoundError):
                self._s3.upload(path, self._bucket, key)
                self._uploaded[path] = stamp

    def _stamps(self) -> dict[Path, tuple[int, int]]:
        stamps = {}
        for path in _files(self._folder):
            with suppress(FileNotFoundError):
                status = path.stat()
                stamps[path] = (status.st_mtime_ns, status.st_size)
        return stamps


def _relative(key: str, prefix: str) -> str:
    """A key's place in its channel: what follows the prefix, counted in whole path segments."""
    if key == prefix:
        return key.rsplit("/", 1)[-1]
    folder = f"{prefix}/" if key.startswith(f"{prefix}/") else prefix[: prefix.rfind("/") + 1]
    return key.removeprefix(folder)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _timeless(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mtime = 0
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    return entry
