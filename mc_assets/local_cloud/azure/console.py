"""The local Azure portal: pages about function apps and their deployments, to look at only."""

from collections.abc import Awaitable, Callable, Iterator
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from mc_assets.local_cloud.azure.cloud import Cloud
from mc_assets.local_cloud.azure.deployments import Status
from mc_assets.local_cloud.azure.kinds import SITES
from mc_assets.local_cloud.azure.sites import site_host, tier
from mc_assets.local_cloud.pages import (
    HEADERS,
    Html,
    facts,
    is_of_this_machine,
    link,
    log,
    page,
    paragraph,
    path,
    section,
    table,
)
from mc_assets.local_cloud.store import Document

ROOT = "/_console"
MOST_LOGS = 5

Page = Callable[[Request, Cloud], str | None]


def shown(make: Page) -> Callable[[Request], Awaitable[Response]]:
    """Have a page answered, for browsers on this machine, who need no credentials."""

    async def endpoint(request: Request) -> Response:
        if not is_of_this_machine(request.headers.get("host", "")):
            return _plain(HTTPStatus.MISDIRECTED_REQUEST, "This console is 127.0.0.1's alone.")
        found = make(request, request.app.state.cloud)
        if found is None:
            return _plain(HTTPStatus.NOT_FOUND, f"There is no {request.url.path}.")
        return HTMLResponse(found, headers=dict(HEADERS))

    return endpoint


def index(_: Request, cloud: Cloud) -> str:
    sites = sorted((site for _, site in cloud.store.items(SITES)), key=lambda site: site["name"])
    rows = [[_link_to(site), site["state"], site["group"], site["location"]] for site in sites]
    return page("The local Azure", table(["app", "state", "resource group", "location"], rows))


def app(request: Request, cloud: Cloud) -> str | None:
    """An app or one slot of it, by the names in the address; None if there is none."""
    wanted = (request.path_params["app"], request.path_params.get("slot"))
    found = (site for _, site in cloud.store.items(SITES) if (site["app"], site["slot"]) == wanted)
    site = next(found, None)
    if site is None:
        return None
    deployments = cloud.deployments.list(site)
    return page(
        site["name"],
        facts(_site_facts(cloud, site)),
        section("Functions", _functions(cloud, site)),
        *_deployments(cloud, deployments),
        goes_on=any(not record["complete"] for record in deployments),
    )


def _site_facts(cloud: Cloud, site: Document) -> dict[str, object]:
    url = f"https://{site_host(site)}"
    others = [
        _link_to(other)
        for _, other in cloud.store.items(SITES)
        if other["app"] == site["app"] and other["id"] != site["id"]
    ]
    return {
        "state": site["state"],
        "address": link(url, url),
        "resource group": site["group"],
        "plan": f"{site['plan'].rpartition('/')[2]} ({tier(cloud.store, site)})",
        "location": site["location"],
        "app and slots beside it": Html(", ".join(others)),
        "tags": ", ".join(f"{name}: {value}" for name, value in site["tags"].items()),
        # Their values may be secrets.
        "settings": ", ".join(sorted(site["settings"])),
        "resource id": site["id"],
    }


def _functions(cloud: Cloud, site: Document) -> Html:
    indexed = cloud.hosting.index(site)
    if indexed is None or not indexed.functions:
        return paragraph("There are none.")
    prefix = cloud.hosting.route_prefix(site)
    rows = [
        [
            each.name,
            f"/{prefix}/{each.route.lstrip('/')}" if each.is_http else "not over HTTP",
            ", ".join(each.methods) or "every method",
            each.auth_level,
        ]
        for each in indexed.functions
    ]
    return table(["function", "route", "methods", "key"], rows)


def _deployments(cloud: Cloud, records: list[Document]) -> Iterator[Html]:
    rows = [
        [
            record["id"],
            Status(record["status"]).name.lower() + (", active" if record["active"] else ""),
            record["received_time"],
            record["end_time"] or "",
            record["status_text"],
        ]
        for record in records
    ]
    yield section("Deployments", table(["deployment", "status", "received", "ended", ""], rows))
    for record in records[:MOST_LOGS]:
        yield section(f"Log of {record['id']}", log(_log_lines(cloud, record)), record["id"])


def _log_lines(cloud: Cloud, record: Document) -> Iterator[str]:
    told = cloud.deployments.log(record)
    for entry in told.entries():
        yield f"{entry['log_time']}  {entry['message']}"
        yield from (f"    {detail['message']}" for detail in told.details(entry["id"]))


def _link_to(site: Document) -> Html:
    names = [site["app"], "slots", site["slot"]] if site["slot"] else [site["app"]]
    return link(path(ROOT, "apps", *names), site["name"])


def _plain(status: HTTPStatus, text: str) -> Response:
    return PlainTextResponse(f"{text}\n", status, headers=dict(HEADERS))


ROUTES = [
    Route(ROOT, shown(index)),
    Route(f"{ROOT}/apps/{{app}}", shown(app)),
    Route(f"{ROOT}/apps/{{app}}/slots/{{slot}}", shown(app)),
]
