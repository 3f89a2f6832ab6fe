"""Assignments over HTTP."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Query, Response
from starlette.requests import Request

from roost.access.dependencies import CurrentUser
from roost.core.database import ReadSession, WriteSession
from roost.core.idempotency import Idempotent
from roost.core.ids import RowId
from roost.core.paging import Page
from roost.core.problems import problem_responses
from roost.core.routers import api_router
from roost.places import assignments
from roost.places.assignment_schemas import (
    AssignedHome,
    AssignedRoom,
    AssignedUser,
    AssignmentCreate,
    AssignmentRead,
)
from roost.places.assignments import AssignmentFilter, AssignmentRow
from roost.places.dependencies import Writer
from roost.places.models import Room

router = api_router("assignments")


@router.get(
    "/assignments",
    operation_id="list_assignments",
    summary="Who works where",
    responses=problem_responses(400, 401),
)
async def read_assignments(  # noqa: PLR0917 - FastAPI calls it by keyword
    principal: CurrentUser,
    session: ReadSession,
    page: Page,
    user_id: Annotated[RowId | None, Query()] = None,
    home_id: Annotated[RowId | None, Query()] = None,
    organization_id: Annotated[RowId | None, Query()] = None,
) -> list[AssignmentRead]:
    """The caller's own assignments, with the homes. With a filter, also those of others whom the caller may look up."""
    wanted = AssignmentFilter(user_id, home_id, organization_id)
    rows = await assignments.list_assignments(session, principal, wanted, after_id=page.after_id, limit=page.limit + 1)
    return await _read(session, page.cut(rows, lambda row: row.grant.id))


@router.post(
    "/assignments",
    operation_id="create_assignment",
    summary="Assign a technician to a home",
    status_code=201,
    response_model=AssignmentRead,
    responses=problem_responses(401, 403, 404, 409),
)
async def create_assignment(
    request: Request, principal: Writer, session: WriteSession, idempotency: Idempotent, wanted: AssignmentCreate
) -> Response | AssignmentRead:
    """From now on the technician reaches the home; 409 for somebody who is no technician of its organization."""
    replay = await idempotency.replay(session, f"user:{principal.user_id}")
    if replay is not None:
        return replay
    row = await assignments.assign(
        session, request.app.state.clock, principal, user_id=wanted.user_id, home_id=wanted.home_id
    )
    created = (await _read(session, [row]))[0]
    await idempotency.remember(session, created)
    return created


@router.delete(
    "/assignments/{assignment_id}",
    operation_id="delete_assignment",
    summary="End an assignment",
    status_code=204,
    responses=problem_responses(401, 403, 404),
)
async def delete_assignment(principal: Writer, session: WriteSession, assignment_id: RowId) -> None:
    """At once: open connections of the technician lose the home as well."""
    await assignments.dismiss(session, principal, assignment_id)


async def _read(session: ReadSession, rows: Sequence[AssignmentRow]) -> list[AssignmentRead]:
    rooms = await assignments.rooms_of(session, {row.home.id for row in rows})
    return [_one(row, rooms[row.home.id]) for row in rows]


def _one(row: AssignmentRow, rooms: list[Room]) -> AssignmentRead:
    user, home = row.user, row.home
    return AssignmentRead(
        id=row.grant.id,
        user_id=user.id,
        home_id=home.id,
        organization_id=home.organization_id,
        user=AssignedUser(id=user.id, username=user.username, email=user.email, full_name=user.full_name),
        home=AssignedHome(
            id=home.id,
            organization_id=home.organization_id,
            organization_name=row.organization_name,
            name=home.name,
            address=home.address,
            timezone=home.timezone,
            rooms=[AssignedRoom(id=room.id, name=room.name) for room in rooms],
        ),
        created_at=row.grant.created_at,
    )
