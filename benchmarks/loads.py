"""What one client asks of S3, of Resource Manager, of a function app: endless and checked.

Each load is a frozen record that travels to the client processes; calling it with a client's number
gives that client's calls. Whatever a client makes it overwrites or deletes, so that nothing but a
leak can make a server grow.
"""

import io
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import boto3
import requests
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from mc_assets.local_cloud.settings import REGION, Credentials
from pressure import Call

KB, MB = 1 << 10, 1 << 20
S3_SIZES = (1 * KB, 256 * KB, 4 * KB, 1 * MB, 64 * KB, 8 * MB)
S3_KEYS = 12
PARTS = TransferConfig(multipart_threshold=5 * MB, multipart_chunksize=5 * MB, max_concurrency=2)
BODY_SIZES = (1 * KB, 12 * KB, 3 * KB, 6 * KB)
# One request in so many comes over a new connection.
FRESH_CONNECTION = 20
API_VERSION = {"api-version": "2025-05-01"}


class WrongAnswerError(Exception):
    """The server answered, but not what it should."""


@dataclass(frozen=True, slots=True)
class S3Load:
    """Objects of 1 kB to 8 MB: put, head, get, list, delete, and uploads in parts."""

    url: str
    bucket: str
    credentials: Credentials

    def __call__(self, client: int) -> Iterator[Call]:
        s3 = self.client()
        bodies = {size: os.urandom(size) for size in (*S3_SIZES, 12 * MB)}
        prefix = f"load/{client}/"
        for turn in itertools.count():
            key = f"{prefix}{turn % S3_KEYS}"
            body = bodies[S3_SIZES[turn % len(S3_SIZES)]]
            yield "put", partial(s3.put_object, Bucket=self.bucket, Key=key, Body=body)
            yield "head", partial(self._head, s3, key, body)
            yield "get", partial(self._get, s3, key, body)
            yield "list", partial(self._list, s3, prefix, key)
            if turn % 4 == 3:
                yield "delete", partial(s3.delete_object, Bucket=self.bucket, Key=key)
            if turn % S3_KEYS == 5:
                in_parts = f"{prefix}in-parts"
                yield "multipart", partial(self._upload_in_parts, s3, in_parts, bodies[12 * MB])
                yield "get", partial(self._get, s3, in_parts, bodies[12 * MB])
                yield "abort", partial(self._abort, s3, f"{prefix}aborted", bodies[8 * MB])

    def client(self) -> Any:
        """boto3 as everyone makes it, but that no retry may hide a failure."""
        return boto3.client(
            "s3",
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id=self.credentials.aws_access_key_id,
            aws_secret_access_key=self.credentials.aws_secret_access_key,
            config=Config(retries={"total_max_attempts": 1}),
        )

    def _head(self, s3: Any, key: str, body: bytes) -> None:
        length = s3.head_object(Bucket=self.bucket, Key=key)["ContentLength"]
        _require(length == len(body), f"{length} bytes instead of {len(body)}")

    def _get(self, s3: Any, key: str, body: bytes) -> None:
        read = s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        _require(read == body, "another body than was put")

    def _list(self, s3: Any, prefix: str, key: str) -> None:
        listed = s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        names = [entry["Key"] for entry in listed.get("Contents", [])]
        _require(key in names, "a key that was put is not listed")

    def _upload_in_parts(self, s3: Any, key: str, body: bytes) -> None:
        s3.upload_fileobj(io.BytesIO(body), self.bucket, key, Config=PARTS)

    def _abort(self, s3: Any, key: str, body: bytes) -> None:
        place = {"Bucket": self.bucket, "Key": key}
        upload = s3.create_multipart_upload(**place)["UploadId"]
        s3.upload_part(**place, UploadId=upload, PartNumber=1, Body=body)
        s3.abort_multipart_upload(**place, UploadId=upload)


@dataclass(frozen=True, slots=True)
class ArmLoad:
    """Tokens, groups, apps with their settings, storage keys: what the tools ask all day."""

    url: str
    ca_file: str
    credentials: Credentials

    def __call__(self, client: int) -> Iterator[Call]:
        with session_trusting(self.ca_file) as session:
            self.sign_in(session)
            self.make_app(session, client)
            ask = partial(self.ask, session)
            app, account = self.app(client), self.account(client)
            for turn in itertools.count():
                settings = {"properties": {"TURN": str(turn), "FUNCTIONS_EXTENSION_VERSION": "~4"}}
                passing = f"{self.subscription}/resourceGroups/passing-{client}"
                yield "token", partial(self.sign_in, session)
                yield "list groups", partial(ask, "GET", f"{self.subscription}/resourceGroups")
                yield "put group", partial(ask, "PUT", passing, {"location": "westeurope"})
                yield "get group", partial(ask, "GET", passing)
                yield "get app", partial(ask, "GET", app)
                yield "list apps", partial(ask, "GET", f"{self.group(client)}/{_SITES}")
                yield "put settings", partial(ask, "PUT", f"{app}/config/appsettings", settings)
                yield "list settings", partial(self._settings, session, app, str(turn))
                yield "storage keys", partial(ask, "POST", f"{account}/listKeys")
                yield "delete group", partial(ask, "DELETE", passing)

    @property
    def subscription(self) -> str:
        return f"/subscriptions/{self.credentials.subscription_id}"

    def group(self, client: int) -> str:
        return f"{self.subscription}/resourceGroups/load-{client}"

    def account(self, client: int) -> str:
        return f"{self.group(client)}/providers/Microsoft.Storage/storageAccounts/load{client}"

    def app(self, client: int) -> str:
        return f"{self.group(client)}/{_SITES}/load-{client}"

    def sign_in(self, session: requests.Session) -> None:
        """Get a new token, as a client does whose last one has expired."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self.credentials.client_id,
            "client_secret": self.credentials.client_secret,
            "scope": f"{self.url}/.default",
        }
        place = f"{self.url}/{self.credentials.tenant_id}/oauth2/v2.0/token"
        answer = session.post(place, data=form, headers={"Authorization": ""}, timeout=30)
        answer.raise_for_status()
        session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def ask(self, session: requests.Session, method: str, path: str, body: Any = None) -> Any:
        """What Resource Manager says; None where it says nothing."""
        place = self.url + path
        answer = session.request(method, place, params=API_VERSION, json=body, timeout=30)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def make_app(self, session: requests.Session, client: int) -> None:
        """A group with a storage account, an Elastic Premium plan and an app on it."""
        place = {"location": "westeurope"}
        plan = f"{self.group(client)}/providers/Microsoft.Web/serverfarms/load"
        account = {**place, "sku": {"name": "Standard_LRS"}, "kind": "StorageV2"}
        sku = {"sku": {"name": "EP1"}, "properties": {"reserved": True}}
        properties = {
            "serverFarmId": plan,
            "reserved": True,
            "siteConfig": {"linuxFxVersion": "Python|3.11"},
        }
        app = {**place, "kind": "functionapp,linux", "properties": properties}
        self.ask(session, "PUT", self.group(client), place)
        self.ask(session, "PUT", self.account(client), account)
        self.ask(session, "PUT", plan, {**place, "kind": "functionapp", **sku})
        self.ask(session, "PUT", self.app(client), app)

    def _settings(self, session: requests.Session, app: str, turn: str) -> None:
        answer = self.ask(session, "POST", f"{app}/config/appsettings/list")
        _require(answer["properties"]["TURN"] == turn, "a setting is not what was put")


@dataclass(frozen=True, slots=True)
class FunctionLoad:
    """Bodies of 1 kB to 12 kB for a function that sends them back, mostly on kept connections."""

    url: str
    ca_file: str
    key: str

    def __call__(self, client: int) -> Iterator[Call]:
        bodies = [bytes([client]) + os.urandom(size - 1) for size in BODY_SIZES]
        with session_trusting(self.ca_file) as session:
            for turn in itertools.count():
                body = bodies[turn % len(bodies)]
                if turn % FRESH_CONNECTION:
                    yield "call", partial(self._call, session, body)
                else:
                    yield "call on a new connection", partial(self._call_anew, body)

    def _call(self, session: requests.Session, body: bytes) -> None:
        headers = {"x-functions-key": self.key}
        answer = session.post(self.url, data=body, headers=headers, timeout=30)
        answer.raise_for_status()
        _require(answer.content == body, "another body than was sent")

    def _call_anew(self, body: bytes) -> None:
        with session_trusting(self.ca_file) as session:
            self._call(session, body)


def session_trusting(ca_file: str) -> requests.Session:
    """A session that knows no other authority, nor any proxy, whatever the environment says."""
    session = requests.Session()
    session.trust_env = False
    session.verify = ca_file
    return session


_SITES = "providers/Microsoft.Web/sites"


def _require(right: bool, wrong: str) -> None:
    if not right:
        raise WrongAnswerError(wrong)
