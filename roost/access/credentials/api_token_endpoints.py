"""Personal API tokens: made, listed, revoked by whoever is signed in."""

from datetime import timedelta
from typing import Any

from starlette.requests import Request

from roost.access.audit.log import Actor, Deed, record
from roost.access.credentials import api_tokens
from roost.access.credentials.schemas import ApiTokenCreate, ApiTokenCreated, ApiTokenRead
from roost.access.dependencies import SignedInUser
from roost.core.clock import Clock, rfc3339, to_ms
from roost.core.database import ReadSession, WriteSession
from roost.core.errors import Invalid
from roost.core.idempotency import Idempotent
from roost.core.ids import RowId
from roost.core.paging import Page
from roost.core.problems import problem_responses
from roost.core.routers import api_router

router = api_router("accounts", prefix="/auth/api-tokens")


@router.get("", operation_id="list_api_tokens", summary="My API tokens", responses=problem_responses(400, 401, 403))
async def read_api_tokens(user: SignedInUser, session: ReadSession, page: Page) -> list[ApiTokenRead]:
    """The caller's tokens, oldest first, without those that were revoked."""
    rows = await api_tokens.list_of(session, user.user_id, after_id=page.after_id, limit=page.limit + 1)
    return [ApiTokenRead.of(row) for row in page.cut(rows, lambda row: row.id)]


@router.post(
    "",
    operation_id="create_api_token",
    status_code=201,
    summary="Make an API token",
    response_model=ApiTokenCreated,
    responses=problem_responses(401, 403, 404, 409),
)
async def create_api_token(
    request: Request, user: SignedInUser, session: WriteSession, idempotency: Idempotent, wanted: ApiTokenCreate
) -> Any:
    """The token is in this answer and nowhere else. It may do what it was made for, as long as its user may."""
    replay = await idempotency.replay(session, f"user:{user.user_id}")
    if replay is not None:
        return replay
    clock: Clock = request.app.state.clock
    token, secret = await api_tokens.create(
        session,
        clock,
        user,
        name=wanted.name,
        scopes=wanted.scopes,
        expires_at_ms=_end_ms(clock, wanted),
        organization_id=wanted.organization_id,
    )
    details = {"scopes": token.scopes, "expires_at": rfc3339(token.expires_at) if token.expires_at else None}
    deed = Deed(
        "api_token.created", Actor.of(user), organization_id=token.organization_id,
        object_kind="api_token", object_id=token.id, object_name=token.name, details=details,
    )  # fmt: skip
    record(session, deed)
    created = ApiTokenCreated.model_validate({**ApiTokenRead.fields_of(token), "token": secret})
    await idempotency.remember(session, created, secrets=["token"])
    return created


@router.delete(
    "/{token_id}",
    operation_id="revoke_api_token",
    status_code=204,
    summary="Revoke an API token",
    responses=problem_responses(401, 403, 404),
)
async def revoke_api_token(request: Request, user: SignedInUser, session: WriteSession, token_id: RowId) -> None:
    """At once: what is connected with it is cut."""
    token = await api_tokens.revoke(session, request.app.state.clock, user.user_id, token_id)
    deed = Deed(
        "api_token.revoked", Actor.of(user), organization_id=token.organization_id,
        object_kind="api_token", object_id=token.id, object_name=token.name,
    )  # fmt: skip
    record(session, deed)


def _end_ms(clock: Clock, wanted: ApiTokenCreate) -> int | None:
    if wanted.expires_in_days is not None:
        return to_ms(clock.now() + timedelta(days=wanted.expires_in_days))
    if wanted.expires_at is None:
        return None
    if wanted.expires_at <= clock.now():
        why = "This time has passed."
        raise Invalid(why, errors=[{"pointer": "/expires_at", "detail": why}])
    return to_ms(wanted.expires_at)
