"""Users as they cross the wire: what members of an organization see of each other, and what may be changed."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from roost.access.names import DisplayName, EmailAddress, Username
from roost.access.organizations.schemas import MemberRole
from roost.access.roles import RoleName
from roost.access.schemas import Password, Strict, Timestamp, UserRead
from roost.core.ids import RowId


class GrantRead(BaseModel):
    """A role, and where it counts: in an organization, in one home of it, or (both null) everywhere."""

    role: str
    organization_id: int | None
    home_id: int | None


class UserEntry(UserRead):
    """A user as the caller may see them: `roles`, `scopes` and `grants` of organizations within reach only."""

    grants: list[GrantRead]
    manageable: bool = Field(description="Whether the caller may change, deactivate and remove this user.")
    has_password: bool | None = Field(description="Null for those who may not manage this user, as the next one.")
    last_sign_in_at: Timestamp | None


class UserCreated(UserEntry):
    """A new user."""

    set_password_url: str | None = Field(
        description="Without a password: where the user chooses one. Shown this once; hand it over yourself."
    )
    emailed: bool = Field(description="Whether that link went out by mail.")


class _Creation(Strict):
    model_config = ConfigDict(json_schema_extra={"example": {"email": "you@example.org", "role": "viewer"}})

    email: EmailAddress
    password: Password | None = None
    username: Username | None = None
    full_name: DisplayName | None = None
    organization_id: RowId | None = None


class UserCreate(_Creation):
    """A new user with a role in an organization; without `organization_id` in the only one of the caller's."""

    role: MemberRole = "viewer"


class AdminUserCreate(_Creation):
    """The same with every role; `staff` and `admin` count everywhere and have no organization."""

    role: RoleName = "viewer"


class _Changes(Strict):
    full_name: DisplayName | None = None
    username: Username | None = None
    email: EmailAddress | None = None

    @field_validator("username", "email")
    @classmethod
    def _not_null(cls, value: str | None) -> str:
        if value is None:
            raise ValueError("It cannot be empty; leave it out to keep it.")
        return value


class ProfileUpdate(_Changes):
    """What one may change of oneself. Another e-mail address needs the password, if there is one."""

    current_password: Password | None = None


class UserUpdate(_Changes):
    """What those who manage a user may change."""

    is_active: bool | None = Field(default=None, strict=True)

    @field_validator("is_active")
    @classmethod
    def _yes_or_no(cls, value: bool | None) -> bool:
        if value is None:
            raise ValueError("It is true or false; leave it out to keep it.")
        return value


class AdminUserUpdate(UserUpdate):
    """The same, and a role: `staff` or `admin` everywhere (null takes it away), or one in `organization_id`."""

    role: RoleName | None = None
    organization_id: RowId | None = None
