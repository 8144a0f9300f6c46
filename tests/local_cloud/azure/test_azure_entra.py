"""entra.py through azure-identity and MSAL's own paths."""

from typing import Any

import jwt
import pytest
import requests
from azure_server import AzureServer


def test_token_is_a_jwt_that_resource_manager_takes(azure: AzureServer) -> None:
    claims = jwt.decode(azure.token, options={"verify_signature": False})
    assert claims["tid"] == azure.credentials.tenant_id
    assert claims["aud"] == azure.url
    assert claims["exp"] - claims["iat"] == 3599
    assert azure.arm("GET", "/subscriptions").status_code == 200


def test_wrong_secret_is_an_invalid_client(azure: AzureServer) -> None:
    with pytest.raises(azure.errors.ClientAuthenticationError, match="AADSTS7000215"):
        azure.credential("wrong").get_token(f"{azure.url}/.default")
    form = {"grant_type": "client_credentials", "client_id": azure.credentials.client_id}
    address = f"{azure.url}/{azure.credentials.tenant_id}/oauth2/v2.0/token"
    reply = requests.post(address, form | {"client_secret": "wrong"}, verify=azure.ca, timeout=10)
    assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client")


def test_unknown_tenant_and_client_are_named(azure: AzureServer) -> None:
    from azure.identity import ClientSecretCredential

    known = azure.credentials
    options: dict[str, Any] = {
        "authority": azure.url,
        "disable_instance_discovery": True,
        "connection_verify": azure.ca,
    }
    stranger = ClientSecretCredential(known.tenant_id, "nobody", known.client_secret, **options)
    with pytest.raises(azure.errors.ClientAuthenticationError, match="AADSTS700016"):
        stranger.get_token(f"{azure.url}/.default")
    elsewhere = ClientSecretCredential("elsewhere", known.client_id, "x", **options)
    with pytest.raises(azure.errors.ClientAuthenticationError):
        elsewhere.get_token(f"{azure.url}/.default")


def test_adfs_authority_needs_no_switch(azure: AzureServer) -> None:
    from azure.identity import ClientSecretCredential

    known = azure.credentials
    credential = ClientSecretCredential(
        "adfs",
        known.client_id,
        known.client_secret,
        authority=azure.url,
        connection_verify=azure.ca,
    )
    assert credential.get_token(f"{azure.url}/.default").token


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "AuthenticationFailed"),
        ("Basic abc", "AuthenticationFailed"),
        ("Bearer abc", "InvalidAuthenticationToken"),
        ("forged", "InvalidAuthenticationToken"),
        ("expired", "ExpiredAuthenticationToken"),
    ],
)
def test_requests_without_a_good_token(
    azure: AzureServer, authorization: str | None, code: str
) -> None:
    key = (azure.state / "azure" / "token.key").read_bytes()
    claims = jwt.decode(azure.token, options={"verify_signature": False})
    made = {
        "forged": f"Bearer {jwt.encode(claims, b'x' * 32, 'HS256')}",
        "expired": f"Bearer {jwt.encode(claims | {'exp': 1}, key, 'HS256')}",
    }
    value = made.get(authorization or "", authorization)
    headers = {"Authorization": value} if value else {}
    reply = requests.get(
        f"{azure.url}/subscriptions?api-version=2022-12-01",
        headers=headers,
        verify=azure.ca,
        timeout=10,
    )
    assert (reply.status_code, reply.json()["error"]["code"]) == (401, code)
    assert azure.credentials.tenant_id in reply.headers["WWW-Authenticate"]
