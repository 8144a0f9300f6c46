"""tls.py: the authority is made once, the server's certificate renewed from it."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from mc_assets.local_cloud.azure.tls import prepare_tls


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_second_start_changes_nothing(tmp_path: Path) -> None:
    prepare_tls(tmp_path)
    before = _contents(tmp_path)
    prepare_tls(tmp_path)
    assert _contents(tmp_path) == before


def test_private_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    files = prepare_tls(tmp_path)
    for path in (files.private_key, tmp_path / "ca.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_bundle_holds_the_system_roots_and_ours(tmp_path: Path) -> None:
    prepare_tls(tmp_path)
    bundle = (tmp_path / "ca-bundle.pem").read_text()
    assert (tmp_path / "ca.pem").read_text().strip() in bundle
    assert bundle.count("BEGIN CERTIFICATE") > 50


def test_certificate_near_its_end_is_renewed_from_the_same_authority(tmp_path: Path) -> None:
    files = prepare_tls(tmp_path)
    authority = trustme.CA.from_pem(
        (tmp_path / "ca.pem").read_bytes(), (tmp_path / "ca.key").read_bytes()
    )
    ending = authority.issue_cert("127.0.0.1", not_after=datetime.now(UTC) + timedelta(days=2))
    old = ending.cert_chain_pems[0].bytes()
    files.certificate.write_bytes(old)
    root = (tmp_path / "ca.pem").read_bytes()
    prepare_tls(tmp_path)
    assert files.certificate.read_bytes() != old
    assert (tmp_path / "ca.pem").read_bytes() == root
