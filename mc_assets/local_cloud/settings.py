"""Where the local clouds keep state, which ports they take, which credentials they accept."""

import json
import os
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

# Raised whenever a release writes the state folder in a way that older code misreads.
STATE_VERSION = 1

PROJECT = Path(__file__).parents[2]
AWS_PORT = 7460
AZURE_PORT = 7461
FIRST_SITE_PORT = 7470

ACCOUNT_ID = "123456789012"
REGION = "us-east-1"
BUCKET = "mc-assets-local"
ROLE_NAME = "mc-assets-sagemaker"
ROLE_ARN = f"arn:aws:iam::{ACCOUNT_ID}:role/{ROLE_NAME}"


class LocalCloudError(Exception):
    """Something a person can put right; its text is the whole message."""


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """Folder and ports of one pair of local clouds; every listener is on 127.0.0.1."""

    state: Path
    aws_port: int = AWS_PORT
    azure_port: int = AZURE_PORT
    first_site_port: int = FIRST_SITE_PORT

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> "LocalSettings":
        """Read MC_LOCAL_STATE, MC_LOCAL_AWS_PORT, MC_LOCAL_AZURE_PORT and MC_LOCAL_SITE_PORT.

        The state is kept in `.local_cloud` in the project unless the first says where.
        """
        return cls(
            state=Path(environ.get("MC_LOCAL_STATE", PROJECT / ".local_cloud")).resolve(),
            aws_port=_port(environ, "MC_LOCAL_AWS_PORT", AWS_PORT),
            azure_port=_port(environ, "MC_LOCAL_AZURE_PORT", AZURE_PORT),
            first_site_port=_port(environ, "MC_LOCAL_SITE_PORT", FIRST_SITE_PORT),
        )

    @property
    def aws_url(self) -> str:
        return f"http://127.0.0.1:{self.aws_port}"

    @property
    def azure_url(self) -> str:
        return f"https://127.0.0.1:{self.azure_port}"

    @property
    def ca_file(self) -> Path:
        """The local certificate authority alone."""
        return self.state / "azure" / "ca.pem"

    @property
    def ca_bundle(self) -> Path:
        """The system's roots plus the local authority, for REQUESTS_CA_BUNDLE."""
        return self.state / "azure" / "ca-bundle.pem"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What clients sign in with; made once per state folder, readable by its owner alone."""

    aws_access_key_id: str
    aws_secret_access_key: str
    tenant_id: str
    client_id: str
    client_secret: str
    subscription_id: str


def open_state(state: Path) -> None:
    """Make the state folder, or refuse one that a newer release has written.

    Raises:
        LocalCloudError: the folder carries a version this release does not know.
    """
    state.mkdir(parents=True, exist_ok=True)
    marker = state / "VERSION"
    if not marker.exists():
        if any(path.name != "lock" for path in state.iterdir()):
            raise LocalCloudError(
                f"{state} is no state folder of the local clouds (it has no VERSION file) and is "
                "not empty: point MC_LOCAL_STATE at a folder of its own."
            )
        write_atomically(marker, f"{STATE_VERSION}\n".encode())
        return
    found = marker.read_text().strip()
    if not found.isdigit() or int(found) > STATE_VERSION:
        raise LocalCloudError(
            f"The state folder {state} was written by a newer release (state version {found}, "
            f"this release knows {STATE_VERSION}): upgrade mc_assets, or point MC_LOCAL_STATE "
            "elsewhere."
        )


def load_credentials(state: Path) -> Credentials:
    """Read the credentials of a state folder, making them on first use."""
    path = state / "credentials.json"
    if not path.exists():
        fresh = Credentials(
            aws_access_key_id="MCLOCAL" + secrets.token_hex(6).upper(),
            # Hexadecimal: one in 64 of the others begins with a dash, which `az login -p` takes for
            # an option.
            aws_secret_access_key=secrets.token_hex(20),
            tenant_id=str(uuid.uuid4()),
            client_id=str(uuid.uuid4()),
            client_secret=secrets.token_hex(20),
            subscription_id=str(uuid.uuid4()),
        )
        write_atomically(path, json.dumps(asdict(fresh), indent=1).encode(), mode=0o600)
    return Credentials(**json.loads(path.read_text()))


def write_atomically(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write beside the target and rename, so a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with beside.open("wb") as stream:
            beside.chmod(mode)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, str(default))
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise LocalCloudError(
            f"{name} is {text!r}, which is not a port number between 1 and 65535."
        )
    return int(text)
