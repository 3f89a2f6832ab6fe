"""Where somebody is signed in, and ending it."""

from starlette.requests import Request
from starlette.responses import Response

from roost.access.answers import cleared_cookie
from roost.access.audit.log import Actor, Deed, record
from roost.access.credentials.schemas import SessionRead, SessionsEnded
from roost.access.dependencies import SignedInUser, ensure_signed_in
from roost.access.sessions import end_all_sessions, end_session, list_sessions
from roost.core.database import ReadSession, WriteSession
from roost.core.errors import NotFound
from roost.core.ids import RowId
from roost.core.paging import Page
from roost.core.problems import problem_responses
from roost.core.routers import api_router

router = api_router("accounts", prefix="/auth/sessions")


@router.get(
    "", operation_id="list_sessions", summary="Where I am signed in", responses=problem_responses(400, 401, 403)
)
async def read_sessions(request: Request, user: SignedInUser, session: ReadSession, page: Page) -> list[SessionRead]:
    """The open sessions of the caller, oldest first."""
    rows = await list_sessions(
        session, request.app.state.clock, user.user_id, after_id=page.after_id, limit=page.limit + 1
    )
    return [SessionRead.of(row, user.session_id) for row in page.cut(rows, lambda row: row.id)]


@router.post(
    "/end-others",
    operation_id="end_other_sessions",
    summary="Sign out everywhere else",
    responses=problem_responses(401, 403),
)
async def end_other_sessions(request: Request, user: SignedInUser, session: WriteSession) -> SessionsEnded:
    """Ends every session of the caller but this one; their live sockets close at once."""
    ended = await end_all_sessions(session, request.app.state.clock, user.user_id, but=ensure_signed_in(user))
    if ended:
        record(session, Deed("user.other_sessions_ended", Actor.of(user), details={"sessions_ended": ended}))
    return SessionsEnded(ended=ended)


@router.post(
    "/end-all", operation_id="end_all_sessions", summary="Sign out everywhere", responses=problem_responses(401, 403)
)
async def end_every_session(
    request: Request, response: Response, user: SignedInUser, session: WriteSession
) -> SessionsEnded:
    """Ends every session of the caller, this one included."""
    ended = await end_all_sessions(session, request.app.state.clock, user.user_id)
    record(session, Deed("user.all_sessions_ended", Actor.of(user), details={"sessions_ended": ended}))
    response.headers["Set-Cookie"] = cleared_cookie(request)
    return SessionsEnded(ended=ended)


@router.delete(
    "/{session_id}",
    operation_id="end_session",
    status_code=204,
    summary="Sign out somewhere",
    responses=problem_responses(401, 403, 404),
)
async def end_one_session(request: Request, user: SignedInUser, session: WriteSession, session_id: RowId) -> None:
    """Ends one session of the caller."""
    if await end_session(session, request.app.state.clock, session_id, user_id=user.user_id) is None:
        raise NotFound("You have no such session.", code="session_not_found")
    record(session, Deed("user.session_ended", Actor.of(user), object_kind="session", object_id=session_id))
