"""Entra: discovery and client-credentials tokens, in the v2.0 and the AD FS form."""

import secrets
import time
import uuid
from datetime import UTC, datetime
from hmac import compare_digest
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qs

import jwt
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mc_assets.local_cloud.settings import Credentials, write_atomically

TOKEN_LIFETIME_S = 3599
ALGORITHM = "HS256"
ADFS = "adfs"


class EntraError(Exception):
    """An OAuth error answer; source: RFC 6749 section 5.2, with Entra's AADSTS codes."""

    def __init__(self, status: int, error: str, number: int, text: str) -> None:
        super().__init__(text)
        self.status, self.error, self.number, self.text = status, error, number, text

    def response(self) -> Response:
        body = {
            "error": self.error,
            "error_description": f"AADSTS{self.number}: {self.text}",
            "error_codes": [self.number],
            "timestamp": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}",
            "trace_id": str(uuid.uuid4()),
            "correlation_id": str(uuid.uuid4()),
        }
        return JSONResponse(body, self.status)


class TokenIssuer:
    """Issues and verifies the bearer tokens of one state folder."""

    def __init__(self, key_file: Path, url: str, credentials: Credentials) -> None:
        if not key_file.exists():
            write_atomically(key_file, secrets.token_bytes(32), mode=0o600)
        self._key = key_file.read_bytes()
        self.url = url
        self.credentials = credentials

    def issue(self, audience: str, lifetime_s: int = TOKEN_LIFETIME_S) -> str:
        now = int(time.time())
        claims = {
            "aud": audience,
            "iss": f"{self.url}/{self.credentials.tenant_id}/v2.0",
            "iat": now,
            "nbf": now,
            "exp": now + lifetime_s,
            "tid": self.credentials.tenant_id,
            "oid": self.credentials.client_id,
            "sub": self.credentials.client_id,
            "appid": self.credentials.client_id,
            "idtyp": "app",
            "ver": "2.0",
        }
        return jwt.encode(claims, self._key, ALGORITHM)

    def verify(self, token: str) -> dict[str, Any]:
        """Return the claims of a token of ours, whatever its audience.

        Clients ask for the same resource under several spellings, so the audience says little.

        Raises:
            jwt.InvalidTokenError: forged or malformed; its subclass ExpiredSignatureError: expired.
        """
        options: Any = {"verify_aud": False, "require": ["exp", "tid"]}
        return jwt.decode(token, self._key, [ALGORITHM], options=options)


async def discover(request: Request) -> Response:
    issuer: TokenIssuer = request.app.state.cloud.tokens
    tenant = request.path_params.get("tenant", ADFS)
    try:
        _require_tenant(issuer, tenant)
    except EntraError as refusal:
        return refusal.response()
    base = f"{issuer.url}/{tenant}/oauth2"
    base = base if tenant == ADFS else f"{base}/v2.0"
    return JSONResponse(
        {
            "issuer": f"{issuer.url}/{tenant}/v2.0",
            "authorization_endpoint": f"{base}/authorize",
            "token_endpoint": f"{base}/token",
            "device_authorization_endpoint": f"{base}/devicecode",
            "jwks_uri": f"{issuer.url}/{tenant}/discovery/v2.0/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            "response_types_supported": ["code"],
            "subject_types_supported": ["pairwise"],
            "scopes_supported": ["openid"],
        }
    )


async def grant_token(request: Request) -> Response:
    issuer: TokenIssuer = request.app.state.cloud.tokens
    form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
    try:
        _require_tenant(issuer, request.path_params.get("tenant", ADFS))
        _require_client(issuer.credentials, form)
    except EntraError as refusal:
        return refusal.response()
    audience = form.get("scope", form.get("resource", "")).removesuffix("/.default")
    return JSONResponse(
        {
            "token_type": "Bearer",
            "expires_in": TOKEN_LIFETIME_S,
            "ext_expires_in": TOKEN_LIFETIME_S,
            "access_token": issuer.issue(audience),
        },
        headers={"Cache-Control": "no-store"},
    )


def _require_tenant(issuer: TokenIssuer, tenant: str) -> None:
    if tenant not in (ADFS, issuer.credentials.tenant_id):
        _refuse(400, "invalid_request", 90002, f"Tenant '{tenant}' was not found in this cloud.")


def _require_client(credentials: Credentials, form: dict[str, str]) -> None:
    grant = form.get("grant_type", "")
    if grant != "client_credentials":
        _refuse(400, "unsupported_grant_type", 70003, f"The grant type '{grant}' is not supported.")
    client = form.get("client_id", "")
    if client != credentials.client_id:
        text = f"Application with identifier '{client}' was not found in the directory."
        _refuse(400, "unauthorized_client", 700016, text)
    given, expected = form.get("client_secret", ""), credentials.client_secret
    if not compare_digest(given.encode(), expected.encode()):
        _refuse(401, "invalid_client", 7000215, "Invalid client secret provided.")


def _refuse(status: int, error: str, number: int, text: str) -> NoReturn:
    raise EntraError(status, error, number, text)


ROUTES = [
    Route("/adfs/.well-known/openid-configuration", discover),
    Route("/{tenant}/.well-known/openid-configuration", discover),
    Route("/{tenant}/v2.0/.well-known/openid-configuration", discover),
    Route("/adfs/oauth2/token", grant_token, methods=["POST"]),
    Route("/{tenant}/oauth2/token", grant_token, methods=["POST"]),
    Route("/{tenant}/oauth2/v2.0/token", grant_token, methods=["POST"]),
]
