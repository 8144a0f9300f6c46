"""The local certificate authority and the server certificate it signs."""

import re
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
import trustme
from cryptography import x509

from mc_assets.local_cloud.settings import write_atomically

HOST_NAMES = ("127.0.0.1", "localhost")
RENEWAL_MARGIN = timedelta(days=30)
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
# Where Debian keeps its roots; a relocated Python build does not look there by itself.
DEBIAN_ROOTS = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files a listener is started with."""

    certificate: Path
    private_key: Path


def prepare_tls(folder: Path) -> TlsFiles:
    """Make what is missing of the authority and the server certificate in `folder`.

    The authority is made once, since clients keep trusting its file; the server's certificate is
    renewed from it when it nears its end. The bundle of roots is rewritten at each call, because
    the system's roots change.
    """
    authority = _authority(folder)
    files = TlsFiles(folder / "server.pem", folder / "server.key")
    if not _is_current(files):
        issued = authority.issue_cert(*HOST_NAMES)
        chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
        write_atomically(files.private_key, issued.private_key_pem.bytes(), mode=0o600)
        write_atomically(files.certificate, chain)
    bundle = [*_system_roots(), authority.cert_pem.bytes().decode()]
    write_atomically(folder / "ca-bundle.pem", _joined(bundle).encode())
    return files


def _authority(folder: Path) -> trustme.CA:
    certificate, private_key = folder / "ca.pem", folder / "ca.key"
    if certificate.exists() and private_key.exists():
        return trustme.CA.from_pem(certificate.read_bytes(), private_key.read_bytes())
    authority = trustme.CA(organization_name="mc_assets local cloud")
    write_atomically(private_key, authority.private_key_pem.bytes(), mode=0o600)
    write_atomically(certificate, authority.cert_pem.bytes())
    (folder / "server.pem").unlink(missing_ok=True)
    return authority


def _is_current(files: TlsFiles) -> bool:
    if not (files.certificate.exists() and files.private_key.exists()):
        return False
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    return certificate.not_valid_after_utc - datetime.now(UTC) > RENEWAL_MARGIN


def _system_roots() -> list[str]:
    places = (ssl.get_default_verify_paths().cafile, DEBIAN_ROOTS, certifi.where())
    return [Path(place).read_text() for place in places if place and Path(place).is_file()]


def _joined(texts: Iterable[str]) -> str:
    unique = dict.fromkeys(match for text in texts for match in CERTIFICATE.findall(text))
    return "\n".join(unique) + "\n"
