"""Residents and their timelines as they cross the wire."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

from roost.access.names import DisplayName, EmailAddress
from roost.access.schemas import Timestamp
from roost.core.clock import from_ms, parse_time
from roost.core.ids import RowId
from roost.places.home_schemas import Body, Change
from roost.places.texts import Day, Line, Notes, PhoneNumber

EventKind = Literal["note", "moved_in", "moved", "consent_given", "consent_withdrawn"]


def _time(value: Any) -> Any:
    return from_ms(parse_time(value)) if isinstance(value, str | int) else value


class Contact(Body):
    """Somebody to call about a resident."""

    name: DisplayName
    relation: DisplayName | None = Field(None, examples=["daughter"])
    phone: PhoneNumber | None = None
    email: EmailAddress | None = None


Contacts = Annotated[list[Contact], Field(max_length=20)]
Consent = Annotated[bool, Field(strict=True, description="Whether sound may be recorded around this person.")]


class ResidentCreateHere(Body):
    """Somebody who moves into the home that the address names."""

    full_name: DisplayName
    room_id: RowId | None = None
    preferred_name: DisplayName | None = None
    date_of_birth: Day | None = None
    notes: Notes | None = None
    contacts: Contacts = Field(default_factory=list)
    audio_consent: Consent = False


class ResidentCreate(ResidentCreateHere):
    """Somebody who moves into a home."""

    home_id: RowId


class ResidentUpdate(Change):
    """What changes of a resident. Another home empties the room unless a room of that home is given."""

    full_name: DisplayName = ""
    home_id: RowId = 0
    room_id: RowId | None = None
    preferred_name: DisplayName | None = None
    date_of_birth: Day | None = None
    notes: Notes | None = None
    contacts: Contacts = Field(default_factory=list)
    audio_consent: Consent = False


class ResidentRead(BaseModel):
    """A resident."""

    id: int
    organization_id: int
    home_id: int
    home_name: str
    room_id: int | None
    room_name: str | None
    full_name: str
    preferred_name: str | None
    date_of_birth: date | None
    notes: str | None
    contacts: list[Contact]
    audio_consent: bool
    audio_consent_at: Timestamp | None = Field(description="When it was given or withdrawn; null = never asked.")
    audio_consent_by: str | None = Field(description="Which user noted that.")
    created_at: Timestamp
    updated_at: Timestamp


class NoteCreate(Body):
    """A note for the timeline."""

    text: Line
    occurred_at: (
        Annotated[
            datetime,
            BeforeValidator(_time, json_schema_input_type=str | int),
            Field(description="RFC 3339, or integer milliseconds since 1970; now, if it is left out."),
        ]
        | None
    ) = None


class ResidentEventRead(BaseModel):
    """A line of a timeline."""

    id: int
    resident_id: int
    kind: EventKind = Field(description="`note` was written by somebody, all others by the hub.")
    text: str
    occurred_at: Timestamp
    author_id: int | None
    author_name: str | None
    created_at: Timestamp
