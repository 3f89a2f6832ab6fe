"""Access tokens: signed JWTs with the claims of the contract, and `sid`, the session they belong to."""

from dataclasses import dataclass

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from roost.access.principals import Grant, scopes_of
from roost.core.clock import Clock
from roost.core.errors import Unauthorized
from roost.core.ids import new_request_id
from roost.core.settings import Settings

_LEEWAY_S = 5


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a verified access token says."""

    user_id: int
    session_id: int
    expires_at_s: int


class AccessTokens:
    """Issues and verifies access tokens with one secret and one algorithm."""

    def __init__(self, settings: Settings, secret: str, clock: Clock) -> None:
        self._key = OctKey.import_key(secret)
        self._algorithm = settings.jwt_algorithm
        self._issuer = settings.jwt_issuer
        self._audience = settings.jwt_audience
        self._clock = clock
        self.expires_in_s = settings.access_token_expire_minutes * 60

    def issue(self, *, user_id: int, email: str, session_id: int, grants: tuple[Grant, ...]) -> str:
        """A token for this session, good for `expires_in_s` seconds."""
        now = self._clock.now_ms() // 1000
        claims: dict[str, object] = {
            "sub": str(user_id),
            "email": email,
            "scope": " ".join(scopes_of(grants)),
            "iss": self._issuer,
            "aud": self._audience,
            "iat": now,
            "exp": now + self.expires_in_s,
            "jti": new_request_id(),
            "sid": str(session_id),
        }
        return jwt.encode({"alg": self._algorithm, "typ": "JWT"}, claims, self._key, algorithms=[self._algorithm])

    def verify(self, token: str) -> AccessClaims:
        """The claims of a token that is genuine, meant for this hub and not expired; raises Unauthorized."""
        try:
            claims = jwt.decode(token, self._key, algorithms=[self._algorithm]).claims
            expires_at_s = int(claims["exp"])
            verified = AccessClaims(int(claims["sub"]), int(claims["sid"]), expires_at_s)
            begins_at_s = max(int(claims["iat"]), int(claims.get("nbf", 0)))
            meant_for_us = claims.get("iss") == self._issuer and claims.get("aud") == self._audience
        except (JoseError, ValueError, TypeError, KeyError):
            raise invalid_token("The access token is not one that this hub issued; sign in again.") from None
        if not meant_for_us:
            raise invalid_token("The access token is for another audience; sign in here.")
        if self._clock.now_ms() / 1000 >= expires_at_s + _LEEWAY_S:
            raise invalid_token("The access token has expired; refresh it or sign in again.", code="token_expired")
        if begins_at_s > self._clock.now_ms() / 1000 + _LEEWAY_S:
            raise invalid_token("The access token is not valid yet; compare the clocks.", code="token_not_yet_valid")
        return verified


def invalid_token(detail: str, *, code: str = "invalid_token") -> Unauthorized:
    """The refusal of a token, in the words of RFC 6750."""
    header = {"WWW-Authenticate": 'Bearer realm="roost", error="invalid_token"'}
    return Unauthorized(detail, code=code, headers=header)
