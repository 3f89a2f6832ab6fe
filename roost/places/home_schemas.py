"""Homes and rooms as they cross the wire."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from roost.access.schemas import Timestamp
from roost.core.ids import RowId
from roost.places.texts import Address, PlaceName, TimeZone


class Body(BaseModel):
    """What a user sends: a misspelt field is told, not ignored."""

    model_config = ConfigDict(extra="forbid")


class Change(Body):
    """Only what is given changes, and something has to be given."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(f"name at least one of {', '.join(type(self).model_fields)}")
        return self


class HomeCreate(Body):
    """A new home."""

    name: PlaceName
    organization_id: RowId | None = Field(None, description="Needed by those who may make homes in several.")
    address: Address | None = None
    timezone: TimeZone | None = Field(None, description="What times of day mean there; null = as the hub's clock.")


class HomeUpdate(Change):
    """What changes of a home."""

    name: PlaceName = ""
    address: Address | None = None
    timezone: TimeZone | None = None


class HomeRead(BaseModel):
    """A home, and how much is in it."""

    id: int
    organization_id: int
    organization_name: str
    name: str
    address: str | None
    timezone: str | None
    room_count: int
    device_count: int
    resident_count: int
    created_at: Timestamp
    updated_at: Timestamp


class RoomCreate(Body):
    """A new room; its name is the only one of its kind in the home."""

    name: PlaceName


class RoomUpdate(Body):
    """What changes of a room."""

    name: PlaceName


class RoomRead(BaseModel):
    """A room, and how much is in it."""

    id: int
    home_id: int
    name: str
    device_count: int
    resident_count: int
    created_at: Timestamp
    updated_at: Timestamp
