"""The session's local clouds, reached through a proxy that spoils what is asked of them."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import trustme
from fault_proxy import FaultProxy

from mc_assets.local_cloud.settings import LocalSettings


@dataclass(frozen=True)
class ProxiedClouds:
    """Where the clouds are, and certificates for whoever stands in front of them."""

    settings: LocalSettings
    tls: ssl.SSLContext
    untrusted: ssl.SSLContext

    @classmethod
    def of(cls, settings: LocalSettings) -> "ProxiedClouds":
        """With the local authority's: one good now, and one that is good only from tomorrow."""
        folder = settings.state / "azure"
        ca = trustme.CA.from_pem((folder / "ca.pem").read_bytes(), (folder / "ca.key").read_bytes())
        tomorrow = datetime.now(UTC) + timedelta(days=1)

        def context(not_before: datetime | None) -> ssl.SSLContext:
            made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            last = tomorrow + timedelta(days=30)
            ca.issue_cert("127.0.0.1", not_before=not_before, not_after=last).configure_cert(made)
            return made

        return cls(settings, context(None), context(tomorrow))

    def aws(self) -> FaultProxy:
        return FaultProxy(self.settings.aws_url)

    def azure(self) -> FaultProxy:
        return self.over_tls(self.settings.azure_url)

    def over_tls(self, upstream: str) -> FaultProxy:
        authority = str(self.settings.ca_file)
        return FaultProxy(upstream, authority, tls=self.tls, untrusted=self.untrusted)
