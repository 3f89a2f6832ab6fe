"""All endpoints of this room; here, registering and the profile of whoever is signed in."""

from typing import Any

from starlette.requests import Request

from roost.access.answers import client_address
from roost.access.dependencies import CurrentUser
from roost.access.models import User
from roost.access.names import unique_key
from roost.access.passwords import weakness
from roost.core.database import ReadSession
from roost.core.errors import Invalid
from roost.core.idempotency import Idempotent
from roost.core.problems import problem_responses
from roost.core.routers import api_router, gather
from roost.places import assignment_endpoints, home_endpoints, resident_endpoints, room_endpoints
from roost.places.profiles import get_profile
from roost.places.registration import register
from roost.places.schemas import Profile, RegisterRequest

_accounts = api_router("accounts")


@_accounts.post(
    "/auth/register",
    operation_id="register",
    status_code=201,
    summary="Register",
    response_model=Profile,
    responses=problem_responses(409),
)
async def register_user(request: Request, body: RegisterRequest, idempotency: Idempotent) -> Any:
    """Makes the user, a personal organization in which the user is owner, and a first home."""
    why_weak = weakness(body.password, email=body.email, username=body.username or "")
    if why_weak:
        raise Invalid(why_weak, code="weak_password", errors=[{"pointer": "/password", "detail": why_weak}])
    state = request.app.state
    # Before the transaction: a hash takes longer than everything else that happens in it.
    password_hash = await state.passwords.hash(body.password)
    async with state.database.write() as session:
        replay = await idempotency.replay(session, "anyone")
        if replay is not None:
            return replay
        registered = await register(
            session,
            state.clock,
            email=body.email,
            password_hash=password_hash,
            username=body.username,
            full_name=body.full_name,
            organization_name=body.organization_name,
        )
        profile = await get_profile(session, registered.user)
        await idempotency.remember(session, profile)
    state.sessions.throttle.trust(unique_key(body.email), client_address(request))
    return profile


@_accounts.get("/auth/me", operation_id="get_me", summary="Who is signed in", responses=problem_responses(401))
async def get_me(user: CurrentUser, session: ReadSession) -> Profile:
    """The profile with roles, scopes, organizations and homes, as far as this token reaches."""
    return await get_profile(session, await session.get_one(User, user.user_id), user)


@_accounts.get("/users/me", operation_id="get_my_user", summary="Who is signed in", responses=problem_responses(401))
async def get_my_user(user: CurrentUser, session: ReadSession) -> Profile:
    """The same as `/auth/me`."""
    return await get_me(user, session)


router = gather(
    [
        home_endpoints.router,
        room_endpoints.router,
        resident_endpoints.router,
        assignment_endpoints.router,
        home_endpoints.admin_router,
        _accounts,
    ]
)
