"""What registering sends, and the profile that it answers with."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from roost.access.names import DisplayName, EmailAddress, Username
from roost.access.schemas import Timestamp, UserRead


class RegisterRequest(BaseModel):
    """Somebody new."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"email": "you@example.org", "password": "Test1234!"}}
    )

    email: EmailAddress
    password: Annotated[str, Field(max_length=256, json_schema_extra={"format": "password"})]
    username: Username | None = None
    full_name: DisplayName | None = None
    organization_name: DisplayName | None = None


class OrganizationSummary(BaseModel):
    """An organization of the caller, and the caller's role in it."""

    id: int
    name: str
    role: str


class HomeSummary(BaseModel):
    """A home that the caller can see."""

    id: int
    name: str
    organization_id: int
    created_at: Timestamp


class Profile(UserRead):
    """A user with organizations and homes."""

    organizations: list[OrganizationSummary]
    homes: list[HomeSummary]
    has_password: bool = Field(description="False for whoever signs in by other ways only.")
