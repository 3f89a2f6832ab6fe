"""Principals for endpoints: `CurrentUser` for anyone signed in, `requires(scope)` for those who hold the scope."""

from typing import Annotated, Any

from fastapi import Depends, Security
from fastapi.security import OAuth2PasswordBearer, SecurityScopes
from starlette.requests import Request

from roost.access.authentication import authenticate
from roost.access.principals import UserPrincipal
from roost.access.roles import SCOPES
from roost.core.errors import Forbidden, Unauthorized

bearer = OAuth2PasswordBearer(
    tokenUrl="/api/v1/auth/login", scheme_name="User", scopes=SCOPES, auto_error=False,
    description="An access token of a signed-in user.",
)  # fmt: skip


async def _principal(
    request: Request, scopes: SecurityScopes, token: Annotated[str | None, Depends(bearer)]
) -> UserPrincipal:
    if not token:
        raise Unauthorized("Sign in first: this needs an access token as `Authorization: Bearer …`.")
    state = request.app.state
    principal = await authenticate(state.database, state.tokens, token)
    ensure_scopes(principal, scopes.scopes)
    return principal


def ensure_scopes(principal: UserPrincipal, scopes: list[str]) -> None:
    """Raise Forbidden unless some role of the user carries every one of the scopes."""
    missing = [scope for scope in scopes if not principal.has(scope)]
    if missing:
        raise Forbidden(f"This needs the scope {missing[0]}, which none of your roles carries.", code="missing_scope")


def requires(*scopes: str) -> Any:
    """For `Annotated[UserPrincipal, requires("devices:read")]`: 401 without a user, 403 without every scope.

    Holding the scope somewhere is not enough to touch a thing: ask `principal.can` or start from `visible_to`.
    """
    return Security(_principal, scopes=list(scopes))


CurrentUser = Annotated[UserPrincipal, Security(_principal)]
"""Anyone who is signed in."""
