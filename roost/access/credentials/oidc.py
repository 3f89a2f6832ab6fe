"""Signing in with another provider by OpenID Connect: the authorization code flow with PKCE, state and nonce."""

import asyncio
import importlib
import logging
import secrets
from dataclasses import dataclass
from typing import Any

from roost.core.clock import Clock
from roost.core.settings import Settings

_log = logging.getLogger(__name__)

SCOPE = "openid email profile"
_TIMEOUT_S = 10.0
_LEEWAY_S = 60
_KNOW_FOR_S = 3600.0
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
_NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
# What authlib speaks with, and itself: only hubs that have a provider load them.
_MODULES = {
    "client": "authlib.integrations.httpx_client",
    "claims": "authlib.oidc.core.claims",
    "errors": "authlib.common.errors",
    "http": "httpx2",
    "jwt": "joserfc.jwt",
    "jwk": "joserfc.jwk",
    "jose_errors": "joserfc.errors",
}


class OidcFailed(Exception):  # noqa: N818 - it reads as what it says
    """The provider cannot be used, or said something that does not hold; `code` is for the sign-in page."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, slots=True)
class ExternalUser:
    """Who somebody is at the provider. The e-mail address counts only when the provider vouches for it."""

    issuer: str
    subject: str
    email: str | None
    email_verified: bool
    name: str | None


@dataclass(frozen=True, slots=True)
class Departure:
    """Where to send a browser, and what has to be remembered until it comes back."""

    url: str
    state: str
    nonce: str
    verifier: str


class OidcProvider:
    """The one provider that the settings name."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.name = settings.oidc_name
        self._issuer = settings.oidc_issuer or ""
        self._client_id = settings.oidc_client_id or ""
        secret = settings.oidc_client_secret
        self._client_secret = None if secret is None else secret.get_secret_value()
        self._clock = clock
        self._modules: dict[str, Any] = {}
        self._trust: Any = None
        self._metadata: tuple[float, dict[str, Any]] | None = None

    async def depart(self, redirect_uri: str) -> Departure:
        """Begin a sign-in. Raises OidcFailed."""
        metadata = await self._discover()
        nonce, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
        async with self._client(metadata, redirect_uri) as client:
            url, state = client.create_authorization_url(
                metadata["authorization_endpoint"],
                state=secrets.token_urlsafe(32),
                code_verifier=verifier,
                nonce=nonce,
            )
        return Departure(url, state, nonce, verifier)

    async def arrive(
        self, redirect_uri: str, *, code: str, issuer: str | None, nonce: str, verifier: str
    ) -> ExternalUser:
        """Who came back with this code. `issuer`: which provider the answer says it is from. Raises OidcFailed."""
        metadata = await self._discover()
        says_issuer = metadata.get("authorization_response_iss_parameter_supported") is True
        if (issuer is not None or says_issuer) and issuer != metadata["issuer"]:
            raise OidcFailed("oidc_failed", "The answer came from another provider.")
        errors = (
            self._modules["errors"].AuthlibBaseError,
            self._modules["http"].HTTPError,
            self._modules["jose_errors"].JoseError,
            ValueError,
            KeyError,
            TypeError,
        )
        try:
            async with self._client(metadata, redirect_uri) as client:
                token = await client.fetch_token(
                    metadata["token_endpoint"], grant_type="authorization_code", code=code, code_verifier=verifier
                )
                claims = await self._verify(client, metadata, token, nonce)
                if "email" not in claims and metadata.get("userinfo_endpoint"):
                    claims = await self._more(client, metadata, claims)
        except errors as error:
            raise OidcFailed("oidc_failed", f"The provider's answer does not hold: {error}") from error
        return _external_user(metadata["issuer"], claims)

    def _client(self, metadata: dict[str, Any], redirect_uri: str) -> Any:
        methods = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        method = "none"
        if self._client_secret is not None:
            method = "client_secret_basic" if "client_secret_basic" in methods else "client_secret_post"
        return self._modules["client"].AsyncOAuth2Client(
            client_id=self._client_id,
            client_secret=self._client_secret,
            token_endpoint_auth_method=method,
            scope=SCOPE,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            timeout=_TIMEOUT_S,
            verify=self._trust,
        )

    async def _verify(self, client: Any, metadata: dict[str, Any], token: dict[str, Any], nonce: str) -> dict[str, Any]:
        answer = await client.request("GET", metadata["jwks_uri"], withhold_token=True)
        answer.raise_for_status()
        keys = self._modules["jwk"].KeySet.import_key_set(answer.json())
        signed = self._modules["jwt"].decode(token["id_token"], keys, algorithms=_ALGORITHMS)
        claims = self._modules["claims"].CodeIDToken(
            signed.claims,
            signed.header,
            options={
                "iss": {"essential": True, "value": metadata["issuer"]},
                "aud": {"essential": True, "value": self._client_id},
            },
            params={"nonce": nonce, "client_id": self._client_id, "access_token": token.get("access_token")},
        )
        claims.validate(now=self._clock.now_ms() // 1000, leeway=_LEEWAY_S)
        return dict(claims)

    async def _more(self, client: Any, metadata: dict[str, Any], claims: dict[str, Any]) -> dict[str, Any]:
        answer = await client.get(metadata["userinfo_endpoint"])
        answer.raise_for_status()
        said: dict[str, Any] = answer.json()
        if said.get("sub") != claims["sub"]:
            raise ValueError("it speaks of somebody else")
        return {**said, **claims}

    async def _discover(self) -> dict[str, Any]:
        await self._load()
        now_s = self._clock.monotonic()
        if self._metadata is not None and now_s - self._metadata[0] < _KNOW_FOR_S:
            return self._metadata[1]
        try:
            metadata = await self._fetch_metadata()
        except (self._modules["http"].HTTPError, ValueError) as error:
            _log.warning("The sign-in provider %s cannot be used: %s", self._issuer, error)
            raise OidcFailed("oidc_unavailable", "The provider cannot be reached.") from error
        self._metadata = (now_s, metadata)
        return metadata

    async def _fetch_metadata(self) -> dict[str, Any]:
        async with self._modules["http"].AsyncClient(timeout=_TIMEOUT_S, verify=self._trust) as client:
            answer = await client.get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
            answer.raise_for_status()
            metadata = answer.json()
        if not isinstance(metadata, dict) or metadata.get("issuer") != self._issuer:
            raise ValueError("it names another issuer")
        missing = [name for name in _NEEDED if not isinstance(metadata.get(name), str)]
        if missing:
            raise ValueError(f"it has no {missing[0]}")
        return metadata

    async def _load(self) -> None:
        if not self._modules:
            self._modules, self._trust = await asyncio.to_thread(_prepare)


def _prepare() -> tuple[dict[str, Any], Any]:
    """The modules, and the certificates of this machine: a client of its own would read them again for each request."""
    modules = {name: importlib.import_module(path) for name, path in _MODULES.items()}
    return modules, modules["http"].create_ssl_context()


def _external_user(issuer: str, claims: dict[str, Any]) -> ExternalUser:
    subject, email, name = claims.get("sub"), claims.get("email"), claims.get("name")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise OidcFailed("oidc_failed", "The provider does not say who this is.")
    return ExternalUser(
        issuer,
        subject,
        email if isinstance(email, str) else None,
        # Some providers write it as text.
        claims.get("email_verified") in {True, "true"},
        name if isinstance(name, str) else None,
    )
