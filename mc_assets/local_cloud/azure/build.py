"""The remote build: unpacks a package and installs the requirements that it names."""

import asyncio
import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mc_assets.local_cloud.azure.archive import PackageError, extract
from mc_assets.local_cloud.azure.deployment_log import DeploymentLog, Severity

PACKAGES = Path(".python_packages", "lib", "site-packages")
# Credentials of whoever started the server have no business in a package's own build scripts.
SECRET_PREFIXES = ("AWS_", "AZURE_", "MC_")
# A pipe's line limit; longer lines are pip's progress drawings, not messages.
LINE_LIMIT = 1024 * 1024


class BuildError(Exception):
    """The package could not be built; its text is the reason, the log has the details."""


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build and how."""

    upload: Path
    root: Path
    remote: bool
    runtime_version: str
    settings: Mapping[str, str]


async def build(request: BuildRequest, log: DeploymentLog) -> None:
    """Make `request.root` from the uploaded zip.

    Raises:
        BuildError: the zip is refused or its requirements cannot be installed.
    """
    try:
        files = await asyncio.to_thread(extract, request.upload, request.root)
    except PackageError as refusal:
        raise BuildError(str(refusal)) from refusal
    log.entry(f"Unpacked {files} files.")
    if request.remote:
        await _install(request, log)


async def _install(request: BuildRequest, log: DeploymentLog) -> None:
    entry = log.entry("Running the remote build.")
    _note_runtime(request.runtime_version, log, entry)
    shutil.rmtree(request.root / ".python_packages", ignore_errors=True)
    requirements = request.root / "requirements.txt"
    if not requirements.is_file():
        log.detail(entry, "There is no requirements.txt: nothing to install.", Severity.WARNING)
        return
    log.detail(entry, f"Installing requirements.txt into {PACKAGES}.")
    command = [*_installer(), "--target", str(request.root / PACKAGES), "-r", str(requirements)]
    environ = _build_environ(request.settings)
    exit_status = await _run_logged(command, request.root, environ, log, entry)
    if exit_status != 0:
        raise BuildError(
            f"The remote build failed: installing requirements.txt exited with {exit_status}."
        )


def _note_runtime(version: str, log: DeploymentLog, entry: str) -> None:
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    if version and version != running:
        text = f"The app asks for Python {version}; this local cloud builds and runs {running}."
        log.detail(entry, text, Severity.WARNING)


def _installer() -> list[str]:
    if importlib.util.find_spec("uv"):
        # Copies, because an app that edits its own packages must not reach uv's shared cache.
        uv = [sys.executable, "-m", "uv", "--no-progress", "pip", "install"]
        return [*uv, "--python", sys.executable, "--link-mode", "copy"]
    return [sys.executable, "-m", "pip", "install", "--no-input", "--progress-bar", "off"]


def _build_environ(settings: Mapping[str, str]) -> dict[str, str]:
    """App settings are visible to a build, which is how a user names another package index."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(SECRET_PREFIXES)
    }
    return {**settings, **inherited}


async def _run_logged(
    command: list[str],
    folder: Path,
    environ: Mapping[str, str],
    log: DeploymentLog,
    entry: str,
) -> int:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=LINE_LIMIT,
    )
    assert process.stdout is not None  # noqa: S101 - asked for with PIPE above
    try:
        async for line in process.stdout:
            log.detail(entry, line.decode(errors="replace").rstrip())
        return await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
