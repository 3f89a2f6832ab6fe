"""Residents and their timelines over HTTP."""

from typing import Annotated

from fastapi import Query, Response
from starlette.requests import Request

from roost.access.principals import UserPrincipal
from roost.core.database import ReadSession, WriteSession
from roost.core.idempotency import Idempotent
from roost.core.ids import RowId
from roost.core.paging import Page, PageRequest
from roost.core.problems import problem_responses
from roost.core.routers import api_router
from roost.places import residents
from roost.places.dependencies import Reader, Writer
from roost.places.models import ResidentEvent
from roost.places.repository import (
    ResidentFilter,
    ResidentRow,
    get_home,
    get_resident,
    list_events,
    list_residents,
)
from roost.places.resident_schemas import (
    Contact,
    EventKind,
    NoteCreate,
    ResidentCreate,
    ResidentCreateHere,
    ResidentEventRead,
    ResidentRead,
    ResidentUpdate,
)

Words = Annotated[str | None, Query(min_length=1, max_length=120, description="Part of a name.")]

router = api_router("residents")


@router.get(
    "/residents", operation_id="list_residents", summary="Residents", responses=problem_responses(400, 401, 403)
)
async def read_residents(  # noqa: PLR0917 - FastAPI calls it by keyword
    principal: Reader,
    session: ReadSession,
    page: Page,
    organization_id: Annotated[RowId | None, Query()] = None,
    home_id: Annotated[RowId | None, Query()] = None,
    room_id: Annotated[RowId | None, Query()] = None,
    q: Words = None,
) -> list[ResidentRead]:
    """The residents of all homes within the caller's reach, by id."""
    return await _list(principal, session, page, ResidentFilter(organization_id, home_id, room_id, q))


@router.get(
    "/homes/{home_id}/residents",
    operation_id="list_residents_of_home",
    summary="Residents of a home",
    responses=problem_responses(400, 401, 403, 404),
)
async def read_residents_of_home(  # noqa: PLR0917 - FastAPI calls it by keyword
    principal: Reader,
    session: ReadSession,
    page: Page,
    home_id: RowId,
    room_id: Annotated[RowId | None, Query()] = None,
    q: Words = None,
) -> list[ResidentRead]:
    """The residents of that home, by id."""
    await get_home(session, principal, home_id)
    return await _list(principal, session, page, ResidentFilter(None, home_id, room_id, q))


@router.post(
    "/residents",
    operation_id="create_resident",
    summary="Somebody moves in",
    status_code=201,
    response_model=ResidentRead,
    responses=problem_responses(401, 403, 404, 409),
)
async def create_resident(
    request: Request, principal: Writer, session: WriteSession, idempotency: Idempotent, wanted: ResidentCreate
) -> Response | ResidentRead:
    """A new resident of a home and, if given, one of its rooms."""
    return await _create(request, principal, session, idempotency, wanted.home_id, wanted)


@router.post(
    "/homes/{home_id}/residents",
    operation_id="create_resident_of_home",
    summary="Somebody moves into this home",
    status_code=201,
    response_model=ResidentRead,
    responses=problem_responses(401, 403, 404, 409),
)
async def create_resident_of_home(  # noqa: PLR0917 - FastAPI calls it by keyword
    request: Request,
    principal: Writer,
    session: WriteSession,
    idempotency: Idempotent,
    home_id: RowId,
    wanted: ResidentCreateHere,
) -> Response | ResidentRead:
    """A new resident of that home and, if given, one of its rooms."""
    return await _create(request, principal, session, idempotency, home_id, wanted)


@router.get(
    "/residents/{resident_id}",
    operation_id="get_resident",
    summary="One resident",
    responses=problem_responses(401, 403, 404),
)
async def read_resident(principal: Reader, session: ReadSession, resident_id: RowId) -> ResidentRead:
    """A resident, with profile, contacts and consent."""
    return _read(await get_resident(session, principal, resident_id))


@router.patch(
    "/residents/{resident_id}",
    operation_id="update_resident",
    summary="Change or move a resident",
    responses=problem_responses(401, 403, 404, 409),
)
async def update_resident(
    request: Request, principal: Writer, session: WriteSession, resident_id: RowId, wanted: ResidentUpdate
) -> ResidentRead:
    """Change what is given, leave the rest. Moves and consent are noted on the timeline."""
    row = await residents.get_for_change(session, principal, resident_id)
    await residents.change(session, request.app.state.clock, principal, row, wanted)
    return _read(await get_resident(session, principal, resident_id))


@router.delete(
    "/residents/{resident_id}",
    operation_id="delete_resident",
    summary="Forget a resident",
    status_code=204,
    responses=problem_responses(401, 403, 404),
)
async def delete_resident(principal: Writer, session: WriteSession, resident_id: RowId) -> None:
    """Remove the resident and the timeline; the audit log keeps that it happened, without the name."""
    await residents.remove(session, principal, await residents.get_for_change(session, principal, resident_id))


@router.get(
    "/residents/{resident_id}/events",
    operation_id="list_resident_events",
    summary="A resident's timeline",
    responses=problem_responses(400, 401, 403, 404),
)
async def read_resident_events(
    principal: Reader,
    session: ReadSession,
    page: Page,
    resident_id: RowId,
    kind: Annotated[EventKind | None, Query()] = None,
) -> list[ResidentEventRead]:
    """Notes, moves and changes of consent, newest first."""
    await get_resident(session, principal, resident_id)
    events = await list_events(session, resident_id, kind=kind, after_id=page.after_id, limit=page.limit + 1)
    return [_event(event) for event in page.cut(events, lambda event: event.id)]


@router.post(
    "/residents/{resident_id}/events",
    operation_id="add_resident_note",
    summary="Write a note",
    status_code=201,
    response_model=ResidentEventRead,
    responses=problem_responses(401, 403, 404, 409),
)
async def add_resident_note(  # noqa: PLR0917 - FastAPI calls it by keyword
    request: Request,
    principal: Writer,
    session: WriteSession,
    idempotency: Idempotent,
    resident_id: RowId,
    wanted: NoteCreate,
) -> Response | ResidentEventRead:
    """A note on the timeline, signed by whoever writes it."""
    replay = await idempotency.replay(session, f"user:{principal.user_id}")
    if replay is not None:
        return replay
    row = await residents.get_for_change(session, principal, resident_id)
    created = _event(await residents.add_note(session, request.app.state.clock, principal, row, wanted))
    await idempotency.remember(session, created)
    return created


async def _list(
    principal: UserPrincipal, session: ReadSession, page: PageRequest, wanted: ResidentFilter
) -> list[ResidentRead]:
    rows = await list_residents(session, principal, wanted, after_id=page.after_id, limit=page.limit + 1)
    return [_read(row) for row in page.cut(rows, lambda row: row.resident.id)]


async def _create(  # noqa: PLR0917 - what both endpoints got
    request: Request,
    principal: UserPrincipal,
    session: WriteSession,
    idempotency: Idempotent,
    home_id: int,
    wanted: ResidentCreateHere,
) -> Response | ResidentRead:
    replay = await idempotency.replay(session, f"user:{principal.user_id}")
    if replay is not None:
        return replay
    resident = await residents.create(session, request.app.state.clock, principal, home_id, wanted)
    created = _read(await get_resident(session, principal, resident.id))
    await idempotency.remember(session, created)
    return created


def _read(row: ResidentRow) -> ResidentRead:
    resident = row.resident
    return ResidentRead(
        id=resident.id,
        organization_id=row.organization_id,
        home_id=resident.home_id,
        home_name=row.home_name,
        room_id=resident.room_id,
        room_name=row.room_name,
        full_name=resident.full_name,
        preferred_name=resident.preferred_name,
        date_of_birth=resident.date_of_birth,
        notes=resident.notes,
        contacts=[Contact.model_validate(contact) for contact in resident.contacts],
        audio_consent=resident.audio_consent,
        audio_consent_at=resident.audio_consent_at,
        audio_consent_by=resident.audio_consent_by,
        created_at=resident.created_at,
        updated_at=resident.updated_at,
    )


def _event(event: ResidentEvent) -> ResidentEventRead:
    return ResidentEventRead.model_validate(event, from_attributes=True)
