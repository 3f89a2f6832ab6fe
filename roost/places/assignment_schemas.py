"""Assignments as they cross the wire."""

from pydantic import BaseModel

from roost.access.schemas import Timestamp
from roost.core.ids import RowId
from roost.places.home_schemas import Body


class AssignmentCreate(Body):
    """A technician of the home's organization, and the home."""

    user_id: RowId
    home_id: RowId


class AssignedUser(BaseModel):
    """The technician."""

    id: int
    username: str
    email: str
    full_name: str | None


class AssignedRoom(BaseModel):
    """A room of the assigned home: technicians put devices into rooms."""

    id: int
    name: str


class AssignedHome(BaseModel):
    """The home, with what one needs to find it."""

    id: int
    organization_id: int
    organization_name: str
    name: str
    address: str | None
    timezone: str | None
    rooms: list[AssignedRoom]


class AssignmentRead(BaseModel):
    """A technician who may work in a home."""

    id: int
    user_id: int
    home_id: int
    organization_id: int
    user: AssignedUser
    home: AssignedHome
    created_at: Timestamp
