"""What people do with residents, and what the hub notes about it on their timelines."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.audit.log import Actor, Deed, record
from roost.access.principals import UserPrincipal
from roost.core.clock import Clock
from roost.core.errors import Forbidden, Invalid
from roost.places.models import Home, Resident, ResidentEvent, Room
from roost.places.repository import WRITE, ResidentRow, find_home, find_room, get_resident, no_home, no_room
from roost.places.resident_schemas import EventKind, NoteCreate, ResidentCreateHere, ResidentUpdate

# How far a client's clock may be ahead.
_CLOCKS_DIFFER = timedelta(minutes=5)
_PLAIN_FIELDS = ("full_name", "preferred_name", "date_of_birth", "notes")


async def create(
    session: AsyncSession, clock: Clock, principal: UserPrincipal, home_id: int, wanted: ResidentCreateHere
) -> Resident:
    """Somebody moves in. Raises NotFound, Forbidden or Invalid when it cannot be there."""
    now = clock.now()
    home = await _home_for(session, principal, home_id)
    room = await _room_for(session, principal, wanted.room_id, home)
    _refuse_unborn(wanted, now)
    resident = Resident(
        home_id=home.id,
        room_id=None if room is None else room.id,
        full_name=wanted.full_name,
        preferred_name=wanted.preferred_name,
        date_of_birth=wanted.date_of_birth,
        notes=wanted.notes,
        contacts=[contact.model_dump() for contact in wanted.contacts],
        audio_consent=False,
        created_at=now,
        updated_at=now,
    )
    session.add(resident)
    await session.flush()
    _note(session, principal, resident, kind="moved_in", text=f"Moved in: {_where(home, room)}.", at=now)
    record(session, _deed("resident.created", principal, resident, home.organization_id, home_id=home.id))
    if wanted.audio_consent:
        _set_consent(session, principal, resident, home.organization_id, given=True, now=now)
    await session.flush()
    return resident


async def get_for_change(session: AsyncSession, principal: UserPrincipal, resident_id: int) -> ResidentRow:
    """The resident, locked. NotFound when it cannot be seen, Forbidden when it can only be looked at."""
    row = await get_resident(session, principal, resident_id, lock=True)
    if not principal.can(WRITE, row.organization_id, row.resident.home_id):
        raise Forbidden(f"You may look at resident {resident_id}, but not change it.", code="missing_scope")
    return row


async def change(
    session: AsyncSession, clock: Clock, principal: UserPrincipal, row: ResidentRow, wanted: ResidentUpdate
) -> None:
    """Set what `wanted` gives; a move and a change of consent are noted on the timeline."""
    now, resident, given = clock.now(), row.resident, wanted.model_fields_set
    _refuse_unborn(wanted, now)
    for name in _PLAIN_FIELDS:
        if name in given:
            setattr(resident, name, getattr(wanted, name))
    if "contacts" in given:
        resident.contacts = [contact.model_dump() for contact in wanted.contacts]
    if given & {"home_id", "room_id"}:
        await _move(session, principal, row, wanted, now)
    if "audio_consent" in given and wanted.audio_consent != resident.audio_consent:
        _set_consent(session, principal, resident, row.organization_id, given=wanted.audio_consent, now=now)
    resident.updated_at = now
    # Which fields, not what stands in them: the audit log cannot be corrected or forgotten, a person's data must be.
    record(session, _deed("resident.changed", principal, resident, row.organization_id, fields=sorted(given)))
    await session.flush()


async def remove(session: AsyncSession, principal: UserPrincipal, row: ResidentRow) -> None:
    """Forget the resident, the timeline included."""
    record(session, _deed("resident.deleted", principal, row.resident, row.organization_id))
    await session.execute(delete(Resident).where(Resident.id == row.resident.id))


async def add_note(
    session: AsyncSession, clock: Clock, principal: UserPrincipal, row: ResidentRow, wanted: NoteCreate
) -> ResidentEvent:
    """A note on the timeline. Raises Invalid for one about the future."""
    now = clock.now()
    if wanted.occurred_at is not None and wanted.occurred_at > now + _CLOCKS_DIFFER:
        why = "A note is about what has happened; this time is still to come."
        raise Invalid(why, errors=[{"pointer": "/occurred_at", "detail": why}])
    event = _note(session, principal, row.resident, kind="note", text=wanted.text, at=now)
    event.occurred_at = wanted.occurred_at or now
    await session.flush()
    return event


async def leave_room(session: AsyncSession, principal: UserPrincipal, room: Room, now: datetime) -> None:
    """Whoever lives in the room stays in the home, without a room."""
    for resident in await session.scalars(select(Resident).where(Resident.room_id == room.id).with_for_update()):
        resident.room_id, resident.updated_at = None, now
        _note(session, principal, resident, kind="moved", text=f"Left {room.name}: the room is no more.", at=now)
    await session.flush()


async def _move(
    session: AsyncSession, principal: UserPrincipal, row: ResidentRow, wanted: ResidentUpdate, now: datetime
) -> None:
    resident, given = row.resident, wanted.model_fields_set
    home = await _home_for(session, principal, wanted.home_id if "home_id" in given else resident.home_id)
    if home.organization_id != row.organization_id:
        raise Invalid(
            "A resident cannot move to a home of another organization; make a new entry there.",
            errors=[{"pointer": "/home_id", "detail": "The home belongs to another organization."}],
        )
    # Rooms stay behind when somebody moves to another home.
    stays = home.id == resident.home_id and "room_id" not in given
    room_id = resident.room_id if stays else wanted.room_id
    room = await _room_for(session, principal, room_id, home)
    if (home.id, room_id) == (resident.home_id, resident.room_id):
        return
    from_where = f"{row.home_name}, {row.room_name}" if row.room_name else row.home_name
    resident.home_id, resident.room_id = home.id, room_id
    _note(session, principal, resident, kind="moved", text=f"Moved from {from_where} to {_where(home, room)}.", at=now)


async def _home_for(session: AsyncSession, principal: UserPrincipal, home_id: int) -> Home:
    home = await find_home(session, principal, home_id)
    if home is None:
        raise no_home(home_id)
    if not principal.can(WRITE, home.organization_id, home.id):
        raise Forbidden(f"You may look at home {home_id}, but not change who lives there.", code="missing_scope")
    return home


async def _room_for(session: AsyncSession, principal: UserPrincipal, room_id: int | None, home: Home) -> Room | None:
    if room_id is None:
        return None
    room = await find_room(session, principal, room_id)
    if room is None:
        raise no_room(room_id)
    if room.home_id != home.id:
        why = f"Room {room_id} is in another home than {home.id}."
        raise Invalid(why, code="room_elsewhere", errors=[{"pointer": "/room_id", "detail": why}])
    return room


def _set_consent(
    session: AsyncSession, principal: UserPrincipal, resident: Resident, organization_id: int,
    *, given: bool, now: datetime,
) -> None:  # fmt: skip
    resident.audio_consent, resident.audio_consent_at, resident.audio_consent_by = given, now, principal.email
    kind: EventKind = "consent_given" if given else "consent_withdrawn"
    said = "Consent to sound recording was given." if given else "Consent to sound recording was withdrawn."
    _note(session, principal, resident, kind=kind, text=said, at=now)
    record(session, _deed(f"resident.{kind}", principal, resident, organization_id))


def _refuse_unborn(wanted: ResidentCreateHere | ResidentUpdate, now: datetime) -> None:
    # A day more, since it is tomorrow already in some time zones.
    if wanted.date_of_birth is not None and wanted.date_of_birth > (now + timedelta(days=1)).date():
        why = "The date of birth is still to come."
        raise Invalid(why, errors=[{"pointer": "/date_of_birth", "detail": why}])


def _note(
    session: AsyncSession, principal: UserPrincipal, resident: Resident, *, kind: EventKind, text: str, at: datetime
) -> ResidentEvent:
    event = ResidentEvent(
        resident_id=resident.id,
        kind=kind,
        text=text,
        occurred_at=at,
        author_id=principal.user_id,
        author_name=principal.email,
        created_at=at,
    )
    session.add(event)
    return event


def _where(home: Home, room: Room | None) -> str:
    return home.name if room is None else f"{home.name}, {room.name}"


def _deed(action: str, principal: UserPrincipal, resident: Resident, organization_id: int, **details: Any) -> Deed:
    return Deed(
        action,
        Actor.of(principal),
        organization_id=organization_id,
        object_kind="resident",
        object_id=resident.id,
        details=details,
    )
