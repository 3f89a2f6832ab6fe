"""Changing one's own profile."""

from starlette.requests import Request

from roost.access.answers import client_address
from roost.access.authentication import grants_of
from roost.access.dependencies import SignedInUser
from roost.access.models import User
from roost.access.names import unique_key
from roost.access.users import service
from roost.access.users.mails import tell_old_address
from roost.access.users.repository import Person
from roost.access.users.schemas import ProfileUpdate
from roost.core.errors import Invalid
from roost.core.problems import problem_responses
from roost.core.routers import api_router
from roost.places.profiles import get_profile
from roost.places.schemas import Profile

router = api_router("accounts")


@router.patch(
    "/users/me",
    operation_id="update_my_user",
    summary="Change your profile",
    responses=problem_responses(401, 403, 409, 429),
)
async def update_my_user(request: Request, principal: SignedInUser, wanted: ProfileUpdate) -> Profile:
    """Name, username, e-mail address. Another address needs the password, since whoever has it can reset that one."""
    state = request.app.state
    given = wanted.model_dump(include={"full_name", "username", "email"}, exclude_unset=True)
    if unique_key(given.get("email", principal.email)) != unique_key(principal.email):
        await _check_password(request, principal.user_id, wanted.current_password)
    async with state.database.write() as session:
        user = await session.get_one(User, principal.user_id)
        before = user.email
        person = Person(user, await grants_of(session, user.id))
        await service.change(session, state.clock, principal, person, given)
        profile = await get_profile(session, user)
    await tell_old_address(state.mailer, before, profile.email)
    return profile


async def _check_password(request: Request, user_id: int, password: str | None) -> None:
    state = request.app.state
    async with state.database.read() as session:
        user = await session.get_one(User, user_id)
    if user.password_hash is None:
        return
    if password is None:
        detail = "Another e-mail address needs your current password."
        raise Invalid(detail, code="password_missing", errors=[{"pointer": "/current_password", "detail": detail}])
    await state.sessions.check_password(user_id, password, client_address(request))
