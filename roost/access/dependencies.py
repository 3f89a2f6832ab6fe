"""Principals for endpoints.

`CurrentUser` is anyone with a good token, `requires(scope)` those who hold the scope, and `SignedInUser` a person who
signed in: what decides over the account itself is not for API tokens.
"""

from typing import Annotated, Any

from fastapi import Depends, Security
from fastapi.security import OAuth2PasswordBearer, SecurityScopes
from starlette.requests import Request

from roost.access.audit.journal import AuditJournal
from roost.access.audit.refusals import CALLER
from roost.access.principals import UserPrincipal
from roost.access.roles import SCOPES
from roost.core.errors import Forbidden, Unauthorized

bearer = OAuth2PasswordBearer(
    tokenUrl="/api/v1/auth/login", scheme_name="User", scopes=SCOPES, auto_error=False,
    description="An access token of a signed-in user, or a personal API token (`rpat_…`).",
)  # fmt: skip


async def _principal(
    request: Request, scopes: SecurityScopes, token: Annotated[str | None, Depends(bearer)]
) -> UserPrincipal:
    if not token:
        raise Unauthorized("Sign in first: this needs an access token as `Authorization: Bearer …`.")
    principal = await identify_user(request, token)
    ensure_scopes(principal, scopes.scopes)
    return principal


async def identify_user(request: Request, token: str) -> UserPrincipal:
    """The user behind a bearer token, whatever its kind. Raises Unauthorized."""
    state = request.app.state
    principal: UserPrincipal = await state.authentication.authenticate(token)
    request.scope[CALLER] = principal
    if request.client is not None:
        audit: AuditJournal = state.audit
        audit.used_by(principal, request.client.host)
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


def ensure_signed_in(principal: UserPrincipal) -> int:
    """The caller's session. Raises Forbidden for an API token."""
    if principal.session_id is None:
        raise Forbidden(
            "An API token cannot do this; sign in with your password, a passkey or your provider.", code="needs_sign_in"
        )
    return principal.session_id


async def _signed_in(user: CurrentUser) -> UserPrincipal:
    ensure_signed_in(user)
    return user


SignedInUser = Annotated[UserPrincipal, Depends(_signed_in)]
"""Anyone who signed in, in person: 401 without a user, 403 `needs_sign_in` for an API token."""
