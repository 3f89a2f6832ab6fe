"""Rooms over HTTP."""

from collections.abc import Sequence

from fastapi import Response
from starlette.requests import Request

from roost.core.database import ReadSession, WriteSession
from roost.core.idempotency import Idempotent
from roost.core.ids import RowId
from roost.core.paging import Page
from roost.core.problems import problem_responses
from roost.core.routers import api_router
from roost.places import homes
from roost.places.dependencies import Reader, Writer, devices_of
from roost.places.home_schemas import RoomCreate, RoomRead, RoomUpdate
from roost.places.repository import RoomRow, get_home, get_room, list_rooms

router = api_router("homes")


@router.get(
    "/homes/{home_id}/rooms",
    operation_id="list_rooms",
    summary="Rooms of a home",
    responses=problem_responses(400, 401, 403, 404),
)
async def read_rooms(
    request: Request, principal: Reader, session: ReadSession, page: Page, home_id: RowId
) -> list[RoomRead]:
    """The rooms of the home, by id, with how much is in each."""
    await get_home(session, principal, home_id)
    rows = await list_rooms(session, home_id, after_id=page.after_id, limit=page.limit + 1)
    return await _rooms_read(request, session, page.cut(rows, lambda row: row.room.id))


@router.post(
    "/homes/{home_id}/rooms",
    operation_id="create_room",
    summary="Make a room",
    status_code=201,
    response_model=RoomRead,
    responses=problem_responses(401, 403, 404, 409),
)
async def create_room(  # noqa: PLR0917 - FastAPI calls it by keyword
    request: Request,
    principal: Writer,
    session: WriteSession,
    idempotency: Idempotent,
    home_id: RowId,
    wanted: RoomCreate,
) -> Response | RoomRead:
    """A new room; 409 when the home has one of this name."""
    replay = await idempotency.replay(session, f"user:{principal.user_id}")
    if replay is not None:
        return replay
    home = await homes.get_for_change(session, principal, home_id)
    room = await homes.create_room(session, request.app.state.clock, principal, home, wanted.name)
    created = _room_read(RoomRow(room, home.organization_id, 0), {})
    await idempotency.remember(session, created)
    return created


@router.get(
    "/homes/{home_id}/rooms/{room_id}",
    operation_id="get_room",
    summary="One room",
    responses=problem_responses(401, 403, 404),
)
async def read_room(
    request: Request, principal: Reader, session: ReadSession, home_id: RowId, room_id: RowId
) -> RoomRead:
    """A room of that home."""
    row = await get_room(session, principal, home_id, room_id)
    return (await _rooms_read(request, session, [row]))[0]


@router.patch(
    "/homes/{home_id}/rooms/{room_id}",
    operation_id="update_room",
    summary="Rename a room",
    responses=problem_responses(401, 403, 404, 409),
)
async def update_room(  # noqa: PLR0917 - FastAPI calls it by keyword
    request: Request, principal: Writer, session: WriteSession, home_id: RowId, room_id: RowId, wanted: RoomUpdate
) -> RoomRead:
    """Another name; 409 when another room of the home has it."""
    where = await homes.get_room_for_change(session, principal, home_id, room_id)
    await homes.rename_room(session, request.app.state.clock, principal, where, wanted.name)
    return await read_room(request, principal, session, home_id, room_id)


@router.delete(
    "/homes/{home_id}/rooms/{room_id}",
    operation_id="delete_room",
    summary="Delete a room",
    status_code=204,
    responses=problem_responses(401, 403, 404),
)
async def delete_room(
    request: Request, principal: Writer, session: WriteSession, home_id: RowId, room_id: RowId
) -> None:
    """Remove the room. Devices and residents that were in it stay in the home."""
    where = await homes.get_room_for_change(session, principal, home_id, room_id)
    await homes.remove_room(session, request.app.state.clock, principal, devices_of(request), where)


async def _rooms_read(request: Request, session: ReadSession, rows: Sequence[RoomRow]) -> list[RoomRead]:
    devices = await devices_of(request).count_in_rooms(session, [row.room.id for row in rows])
    return [_room_read(row, devices) for row in rows]


def _room_read(row: RoomRow, devices: dict[int, int]) -> RoomRead:
    return RoomRead(
        id=row.room.id,
        home_id=row.room.home_id,
        name=row.room.name,
        device_count=devices.get(row.room.id, 0),
        resident_count=row.resident_count,
        created_at=row.room.created_at,
        updated_at=row.room.updated_at,
    )
