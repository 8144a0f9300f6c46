"""Running sites: one TLS listener and one function host each, kept in step with their documents."""

import asyncio
import logging
import shutil
from collections import defaultdict
from pathlib import Path

from mc_assets.local_cloud.azure.function_host import AppContent, FunctionHost, IndexResult
from mc_assets.local_cloud.azure.function_host.host_json import HostConfiguration
from mc_assets.local_cloud.azure.kinds import DEPLOYMENTS, SITES, VOLUMES
from mc_assets.local_cloud.azure.listeners import SiteListener, claim_port
from mc_assets.local_cloud.azure.operations import OperationError
from mc_assets.local_cloud.azure.sites import (
    RUNNING,
    app_keys,
    new_site,
    swapped,
    with_function_keys,
    worker_environ,
)
from mc_assets.local_cloud.azure.tls import TlsFiles
from mc_assets.local_cloud.store import Document, DocumentStore

logger = logging.getLogger(__name__)


class SiteHosting:
    """Listeners by site, function hosts by volume; a swap changes only which one asks which."""

    def __init__(self, folder: Path, store: DocumentStore, tls: TlsFiles, first_port: int) -> None:
        self._folder = folder
        self._store = store
        self._tls = tls
        self._first_port = first_port
        self._listeners: dict[str, SiteListener] = {}
        self._hosts: dict[str, FunctionHost] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._claims: dict[str, str] = {}

    def claim(self, site: Document, activity: str) -> None:
        """Reserve a site's content for a deployment or a swap.

        Raises:
            OperationError: another of these is going on.
        """
        ongoing = self._claims.setdefault(site["volume"], "")
        if ongoing:
            message = f"A {ongoing} of the site '{site['name']}' is in progress."
            raise OperationError("Conflict", message)
        self._claims[site["volume"]] = activity

    def release(self, volume: str) -> None:
        self._claims.pop(volume, None)

    def create(self, site_id: str, group: str, app: str, slot: str | None) -> Document:
        """Take a port for a new site; the caller saves the document, then opens the site.

        Nothing is awaited, so that of two requests for one name the second finds the first.
        """
        used = {site["port"] for _, site in self._store.items(SITES)}
        used |= {listener.port for listener in self._listeners.values()}
        sock = claim_port(self._first_port, used)
        site = new_site(site_id, group, app, slot, sock.getsockname()[1])
        self._listeners[site_id.lower()] = SiteListener(sock, self._tls, self._host(site))
        return site

    async def open(self, site: Document) -> None:
        """Answer on a new site's port."""
        await self._listeners[site["id"].lower()].start()

    async def restore(self) -> None:
        """Serve every site of an earlier process at its old address.

        Raises:
            LocalCloudError: another program has taken the port of a site.
        """
        for site_id, site in self._store.items(SITES):
            sock = claim_port(site["port"], set(), only=site["name"])
            listener = SiteListener(sock, self._tls, self._host(site))
            self._listeners[site_id] = listener
            listener.waits_for(self._restore_content(site_id))
            await listener.start()

    async def _restore_content(self, site_id: str) -> None:
        site = self._site(site_id)
        index = await self.activate(site_id)
        if index and index.error:
            logger.warning("The app %s could not be indexed: %s", site["name"], index.error)

    async def activate(self, site_id: str, deployment: str | None = None) -> IndexResult | None:
        """Serve what the documents say; None when stopped or nothing is deployed.

        Requests go on being answered by the worker before until the new one is ready. With a
        deployment, that one becomes the active one as soon as it answers.
        """
        site = self._site(site_id)
        async with self._locks[site["volume"]]:
            site = self._site(site_id)
            index = await self._run(site, deployment)
            if deployment:
                self._store.put(VOLUMES, site["volume"], {"active": deployment})
            if index:
                self._give_keys(site_id, index)
        return index

    async def _run(self, site: Document, deployment: str | None) -> IndexResult | None:
        host, root = self._host(site), self.root(site, deployment)
        if site["state"] != RUNNING:
            await host.stop()
            return None
        if root is None:
            return None
        return await host.activate(AppContent(root, worker_environ(site)))

    def refresh_keys(self, site: Document) -> None:
        self._host(site).set_keys(app_keys(site))

    def index(self, site: Document) -> IndexResult | None:
        host = self._hosts.get(site["volume"])
        return host.index if host and self.root(site) else None

    def route_prefix(self, site: Document) -> str:
        """What comes before every route of the app, by its host.json."""
        root = self.root(site)
        return HostConfiguration.load(root, site["settings"]).route_prefix if root else "api"

    def root(self, site: Document, deployment: str | None = None) -> Path | None:
        """The wwwroot of a deployment, of the active one when none is named."""
        active = (self._store.get(VOLUMES, site["volume"]) or {}).get("active")
        name = deployment or active
        return self.volume_folder(site["volume"]) / name / "wwwroot" if name else None

    def volume_folder(self, volume: str) -> Path:
        return self._folder / "sites" / volume

    async def swap(self, source_id: str, target_id: str) -> None:
        """Exchange what two sites serve; no request is refused while it happens.

        The source's content is tried with the target's own settings before anything changes.

        Raises:
            OperationError: a site is stopped, gone, or cannot start with the other's settings.
        """
        source, target = self._both_running(source_id, target_id)
        sticky = self._site(source_id.partition("/slots/")[0])["sticky"]
        first, second = sorted((source["volume"], target["volume"]))
        async with self._locks[first], self._locks[second]:
            _, target_after = swapped(source, target, sticky)
            await self._warm_up(source, target_after)
            # Read again: a tag or a key may have been written during the warm-up.
            source, target = self._both_running(source_id, target_id)
            source_after, target_after = swapped(source, target, sticky)
            self._exchange(source_after, target_after)
            await self._warm_up(target, source_after)

    async def remove(self, site_id: str) -> None:
        """Stop serving a site and forget it with its content; one already gone is no error."""
        site = self._store.get(SITES, site_id.lower())
        if site is None:
            return
        listener = self._listeners.pop(site_id.lower(), None)
        if listener:
            await listener.close()
        async with self._locks[site["volume"]]:
            host = self._hosts.pop(site["volume"], None)
            if host:
                await host.close()
        with self._store.transaction():
            for key, _ in self._store.items(DEPLOYMENTS, f"{site['volume']}/"):
                self._store.delete(DEPLOYMENTS, key)
            self._store.delete(VOLUMES, site["volume"])
            self._store.delete(SITES, site_id.lower())
        self._log_file(site["volume"]).unlink(missing_ok=True)
        folder = self.volume_folder(site["volume"])
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def close(self) -> None:
        await asyncio.gather(*(listener.close() for listener in self._listeners.values()))
        await asyncio.gather(*(host.close() for host in self._hosts.values()))

    def _host(self, site: Document) -> FunctionHost:
        volume = site["volume"]
        if volume not in self._hosts:
            log = self._log_file(volume)
            log.parent.mkdir(parents=True, exist_ok=True)
            self._hosts[volume] = FunctionHost(volume, log)
            self._hosts[volume].set_keys(app_keys(site))
        return self._hosts[volume]

    def _log_file(self, volume: str) -> Path:
        return self._folder / "logs" / f"{volume}.log"

    def _give_keys(self, site_id: str, index: IndexResult) -> None:
        # Read again: keys may have been changed while the worker was starting.
        site = with_function_keys(self._site(site_id), index)
        self._store.put(SITES, site_id.lower(), site)
        self.refresh_keys(site)

    def _both_running(self, one_id: str, other_id: str) -> tuple[Document, Document]:
        sites = self._site(one_id), self._site(other_id)
        for site in sites:
            if site["state"] != RUNNING:
                message = f"Cannot swap slots: the site '{site['name']}' is stopped."
                raise OperationError("Conflict", message)
        return sites

    async def _warm_up(self, giver: Document, receiver_after: Document) -> None:
        """Restart the moving content when settings that stay with the slot differ."""
        root = self.root(receiver_after)
        if root is None or giver["settings"] == receiver_after["settings"]:
            return
        host = self._hosts[receiver_after["volume"]]
        index = await host.activate(AppContent(root, worker_environ(receiver_after)))
        if index.error:
            await host.activate(AppContent(root, worker_environ(giver)))
            message = f"The content for '{receiver_after['name']}' did not start: {index.error}"
            raise OperationError("Conflict", message)

    def _exchange(self, one: Document, other: Document) -> None:
        for site in (one, other):
            index = self.index(site)
            if index:
                site["keys"] = with_function_keys(site, index)["keys"]
        with self._store.transaction():
            for site in (one, other):
                self._store.put(SITES, site["id"].lower(), site)
        for site in (one, other):
            self.refresh_keys(site)
            self._listeners[site["id"].lower()].host = self._host(site)

    def _site(self, site_id: str) -> Document:
        site = self._store.get(SITES, site_id.lower())
        if site is None:
            raise OperationError("NotFound", f"The site {site_id} no longer exists.")
        return site
