"""Deployments: their records, their logs, and the work from an uploaded zip to a serving app."""

import asyncio
import logging
import shutil
import uuid
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from mc_assets.local_cloud.azure.build import BuildError, BuildRequest, build
from mc_assets.local_cloud.azure.clock import timestamp
from mc_assets.local_cloud.azure.deployment_log import DeploymentLog, Severity
from mc_assets.local_cloud.azure.function_host import IndexResult
from mc_assets.local_cloud.azure.kinds import ACCOUNTS, CONTAINERS, DEPLOYMENTS, VOLUMES
from mc_assets.local_cloud.azure.site_hosting import SiteHosting
from mc_assets.local_cloud.azure.sites import CONSUMPTION, FLEX, scm_name, tier
from mc_assets.local_cloud.store import Document, DocumentStore

logger = logging.getLogger(__name__)


class Status(IntEnum):
    """The `status` of a deployment; source: Kudu's DeployStatus, and -1 as Flex adds it."""

    CANCELLED = -1
    PENDING = 0
    BUILDING = 1
    DEPLOYING = 2
    FAILED = 3
    SUCCESS = 4


@dataclass(frozen=True, slots=True)
class Upload:
    """A package that has arrived, and what its sender said about it."""

    path: Path
    remote_build: bool
    deployer: str = "Push-Deployer"
    author: str = "N/A"
    message: str = "Created via a push deployment"


class Deployments:
    """At most one deployment per site at a time; each runs in the background to its end."""

    def __init__(self, store: DocumentStore, hosting: SiteHosting, uploads: Path) -> None:
        self._store = store
        self._hosting = hosting
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.uploads = uploads

    def recover(self) -> None:
        """Declare failed what an earlier process had under way, and drop what it left."""
        shutil.rmtree(self.uploads, ignore_errors=True)
        self.uploads.mkdir(parents=True)
        for _, record in self._store.items(DEPLOYMENTS):
            if not record["complete"]:
                text = "The deployment was interrupted: the service restarted while it ran."
                self._drop_content(record)
                self._fail(record, text, "BuildAborted")

    def start(self, site: Document, upload: Upload) -> Document:
        """Begin a deployment and return its record.

        Raises:
            OperationError: a deployment or a swap of the site is going on.
        """
        self._hosting.claim(site, "deployment")
        record = _new_record(site, upload)
        self._save(record)
        task = asyncio.create_task(self._run(site, record, upload))
        self._tasks[site["volume"]] = task
        return record

    async def wait(self, site: Document) -> None:
        task = self._tasks.get(site["volume"])
        if task:
            await asyncio.wait([task])

    async def cancel(self, volume: str) -> None:
        """Stop what is under way for a site that is about to go."""
        task = self._tasks.get(volume)
        if task:
            task.cancel()
            await asyncio.wait([task])

    async def close(self) -> None:
        await asyncio.gather(*[self.cancel(volume) for volume in list(self._tasks)])

    def running(self, site: Document) -> bool:
        return site["volume"] in self._tasks

    def list(self, site: Document) -> list[Document]:
        """Records of a site, newest first."""
        active = (self._store.get(VOLUMES, site["volume"]) or {}).get("active")
        found = self._store.items(DEPLOYMENTS, f"{site['volume']}/")
        records = [record | {"active": record["id"] == active} for _, record in found]
        return sorted(records, key=lambda record: record["received_time"], reverse=True)

    def get(self, site: Document, name: str) -> Document | None:
        """A record by its id, or the newest by the id 'latest'."""
        records = self.list(site)
        wanted = (record for record in records if name in ("latest", record["id"]))
        return next(wanted, None)

    def delete(self, site: Document, record: Document) -> None:
        self._store.delete(DEPLOYMENTS, f"{site['volume']}/{record['id']}")
        shutil.rmtree(self._folder(record), ignore_errors=True)

    def log(self, record: Document) -> DeploymentLog:
        return DeploymentLog(self._folder(record) / "log.jsonl")

    async def _run(self, site: Document, record: Document, upload: Upload) -> None:
        log, volume = self.log(record), site["volume"]
        log.entry(f"Received the package from {record['deployer']}.")
        try:
            await self._build(site, record, upload, log)
            await self._release(site, record, log)
        except asyncio.CancelledError:
            self._fail(record, "The deployment was cancelled.", "BuildAborted", Status.CANCELLED)
            raise
        except BuildError as failure:
            await self._give_up(record, str(failure))
        except OSError as error:
            await self._give_up(record, f"The package could not be written to disk: {error}.")
        except Exception:
            logger.exception("The deployment %s failed.", record["id"])
            await self._give_up(record, "The service itself failed; see the server's log.")
        finally:
            upload.path.unlink(missing_ok=True)
            self._tasks.pop(volume, None)
            self._hosting.release(volume)

    async def _build(
        self, site: Document, record: Document, upload: Upload, log: DeploymentLog
    ) -> None:
        self._progress(record, Status.BUILDING, "Building and deploying.", "BuildInProgress")
        _check_storage(self._store, site)
        request = BuildRequest(
            upload=upload.path,
            root=self._folder(record) / "wwwroot",
            remote=upload.remote_build,
            runtime_version=_runtime_version(site),
            settings=site["settings"],
        )
        await build(request, log)

    async def _release(self, site: Document, record: Document, log: DeploymentLog) -> None:
        self._progress(record, Status.DEPLOYING, "Starting the app.", "RuntimeStarting")
        index = await self._hosting.activate(site["id"], record["id"])
        await asyncio.to_thread(self._sweep, record)
        if index and index.error and tier(self._store, site) == FLEX:
            self._note_index_error(log, index, Severity.ERROR)
            text = "The app did not start: no function could be indexed."
            self._fail(record, text, "RuntimeFailed")
            return
        if index and index.error:
            self._note_index_error(log, index, Severity.WARNING)
        elif index:
            names = ", ".join(info.name for info in index.functions) or "none"
            log.entry(f"Functions found: {names}.")
        log.entry("Deployment successful.")
        now = timestamp()
        done = {"end_time": now, "last_success_end_time": now, "complete": True}
        self._progress(record, Status.SUCCESS, "", "RuntimeSuccessful", **done)

    def _sweep(self, record: Document) -> None:
        """Remove the content of every other deployment of the volume; their logs stay."""
        for folder in self._hosting.volume_folder(record["volume"]).iterdir():
            if folder.name != record["id"]:
                shutil.rmtree(folder / "wwwroot", ignore_errors=True)

    def _note_index_error(self, log: DeploymentLog, index: IndexResult, severity: Severity) -> None:
        entry = log.entry("The app could not be indexed; it has no functions.", severity)
        for line in (index.error or "").splitlines():
            log.detail(entry, line, severity)

    async def _give_up(self, record: Document, text: str) -> None:
        await asyncio.to_thread(self._drop_content, record)
        self._fail(record, text, "BuildFailed")

    def _drop_content(self, record: Document) -> None:
        active = (self._store.get(VOLUMES, record["volume"]) or {}).get("active")
        if active != record["id"]:
            shutil.rmtree(self._folder(record) / "wwwroot", ignore_errors=True)

    def _fail(
        self, record: Document, text: str, phase: str, status: Status = Status.FAILED
    ) -> None:
        self.log(record).entry(text, Severity.ERROR)
        self._progress(record, status, "", phase, end_time=timestamp(), complete=True)
        self._save(record | {"status_text": text})

    def _progress(
        self, record: Document, status: Status, text: str, phase: str, **more: Any
    ) -> None:
        record |= {"status": int(status), "progress": text, "phase": phase, **more}
        self._save(record)

    def _save(self, record: Document) -> None:
        self._store.put(DEPLOYMENTS, f"{record['volume']}/{record['id']}", record)

    def _folder(self, record: Document) -> Path:
        return self._hosting.volume_folder(record["volume"]) / record["id"]


def _new_record(site: Document, upload: Upload) -> Document:
    now = timestamp()
    return {
        "id": str(uuid.uuid4()),
        "volume": site["volume"],
        "site_name": scm_name(site),
        "status": int(Status.PENDING),
        "phase": "BuildRequestReceived",
        "status_text": "",
        "author_email": "N/A",
        "author": upload.author,
        "deployer": upload.deployer,
        "message": upload.message,
        "progress": "",
        "received_time": now,
        "start_time": now,
        "end_time": None,
        "last_success_end_time": None,
        "complete": False,
        "is_temp": False,
        "is_readonly": True,
    }


def _runtime_version(site: Document) -> str:
    flex = (site["functionAppConfig"] or {}).get("runtime", {}).get("version")
    return str(flex or (site["config"].get("linuxFxVersion") or "").partition("|")[2])


def _check_storage(store: DocumentStore, site: Document) -> None:
    """The service keeps packages in the user's storage account, and fails without it."""
    plan = tier(store, site)
    if plan == FLEX:
        address = site["functionAppConfig"]["deployment"]["storage"]["value"]
        if not _container_exists(store, address):
            raise BuildError(f"The deployment storage container {address} does not exist.")
    storage = ("AzureWebJobsStorage", "AzureWebJobsStorage__accountName")
    if plan == CONSUMPTION and not any(site["settings"].get(name) for name in storage):
        raise BuildError("The app setting AzureWebJobsStorage is missing or empty.")


def _container_exists(store: DocumentStore, address: str) -> bool:
    endpoint, _, container = address.rstrip("/").rpartition("/")
    return any(
        store.get(CONTAINERS, f"{key}/blobservices/default/containers/{container}")
        for key, account in store.items(ACCOUNTS)
        if endpoint.rstrip("/") == account["properties"]["primaryEndpoints"]["blob"].rstrip("/")
        or endpoint.startswith(f"https://{account['name']}.blob.")
    )
