"""Organizations, their members and invitations as they cross the wire."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from roost.access.names import DisplayName, EmailAddress, Username
from roost.access.schemas import Password, Strict, Timestamp
from roost.core.ids import RowId

MemberRole = Literal["viewer", "editor", "owner", "technician"]
InvitationStatus = Literal["pending", "accepted", "revoked", "expired"]
HomeIds = Annotated[list[RowId], Field(max_length=500, description="Homes that a technician is assigned to.")]
Token = Annotated[str, Field(min_length=1, max_length=128)]


class OrganizationCreate(Strict):
    """A new organization, owned by the caller."""

    name: DisplayName


class OrganizationUpdate(Strict):
    """What can be changed of an organization."""

    name: DisplayName | None = None


class OrganizationRead(BaseModel):
    """An organization, and what the caller is in it."""

    id: int
    name: str
    role: str | None = Field(description="The caller's role in it; null for those whose reach is everywhere.")
    member_count: int | None = Field(description="Null for those who may not see its members.")
    created_at: Timestamp
    updated_at: Timestamp


class MemberUpdate(Strict):
    """Another role; of a technician also the homes, which stay as they are when left out."""

    role: MemberRole
    home_ids: HomeIds | None = None

    @model_validator(mode="after")
    def _homes_of_technicians(self) -> "MemberUpdate":
        if self.home_ids and self.role != "technician":
            raise ValueError("Only a technician is assigned to homes; leave home_ids out.")
        return self


class MemberRead(BaseModel):
    """Somebody who belongs to an organization."""

    user_id: int
    username: str
    email: str
    full_name: str | None
    is_active: bool
    role: str
    home_ids: list[int] = Field(description="The homes of a technician.")
    manageable: bool = Field(description="Whether the caller may change this membership.")
    joined_at: Timestamp


class InvitationCreate(Strict):
    """Whom to invite, and as what."""

    model_config = ConfigDict(json_schema_extra={"example": {"email": "you@example.org", "role": "viewer"}})

    email: EmailAddress
    role: MemberRole
    home_ids: HomeIds = Field(default_factory=list)

    @model_validator(mode="after")
    def _homes_of_technicians(self) -> "InvitationCreate":
        if self.home_ids and self.role != "technician":
            raise ValueError("Only a technician is assigned to homes; leave home_ids out.")
        return self


class InvitationRead(BaseModel):
    """An invitation, without its link."""

    id: int
    organization_id: int
    email: str
    role: str
    home_ids: list[int]
    status: InvitationStatus
    invited_by: int | None
    created_at: Timestamp
    expires_at: Timestamp
    accepted_at: Timestamp | None


class InvitationCreated(InvitationRead):
    """A new invitation. Whoever opens the link gets the role."""

    accept_url: str | None = Field(description="Shown this once.")
    emailed: bool = Field(description="Whether the link went out by mail; otherwise hand it over yourself.")


class InvitationToken(Strict):
    """The token of an invitation: what stands behind the # of its link."""

    token: Token


class InvitationPreview(BaseModel):
    """What the holder of the link is offered."""

    organization_name: str
    email: str
    role: str
    status: InvitationStatus
    invited_by: str | None
    expires_at: Timestamp
    account_exists: bool = Field(description="Whether somebody has this e-mail address here: they sign in first.")


class InvitationAccept(Strict):
    """The token alone for somebody who is signed in; with a password, to make the account."""

    model_config = ConfigDict(json_schema_extra={"example": {"token": "rinv_…"}})

    token: Token
    password: Password | None = None
    full_name: DisplayName | None = None
    username: Username | None = None


class InvitationAccepted(BaseModel):
    """Who belongs where from now on."""

    organization_id: int
    organization_name: str
    role: str
    user_id: int
    email: str
    account_created: bool
