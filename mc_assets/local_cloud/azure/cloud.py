"""What every part of the local Azure shares: one record, made once by the server."""

from dataclasses import dataclass
from pathlib import Path

from mc_assets.local_cloud.azure.deployments import Deployments
from mc_assets.local_cloud.azure.entra import TokenIssuer
from mc_assets.local_cloud.azure.operations import Operations
from mc_assets.local_cloud.azure.site_hosting import SiteHosting
from mc_assets.local_cloud.settings import Credentials
from mc_assets.local_cloud.store import DocumentStore


@dataclass(frozen=True, slots=True)
class Cloud:
    """Reached from a request as `request.app.state.cloud`."""

    folder: Path
    url: str
    credentials: Credentials
    store: DocumentStore
    tokens: TokenIssuer
    operations: Operations
    hosting: SiteHosting
    deployments: Deployments
