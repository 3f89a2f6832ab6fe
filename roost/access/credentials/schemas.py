"""What passwords, sessions, API tokens and one-time codes send and receive."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from roost.access.credentials.models import ApiToken
from roost.access.models import Session
from roost.access.names import DisplayName
from roost.access.roles import SCOPES
from roost.access.schemas import Code, Identifier, Password, Strict, Timestamp
from roost.core.clock import parse_time
from roost.core.ids import RowId

NewPassword = Annotated[str, Field(max_length=256, json_schema_extra={"format": "password"})]


class PasswordChange(Strict):
    """The password of whoever is signed in."""

    current_password: Password | None = Field(default=None, description="Needed by whoever has one.")
    new_password: NewPassword


class PasswordForgotten(Strict):
    """Who cannot sign in."""

    email: Identifier


class PasswordForgottenRead(BaseModel):
    """The same whether or not there is such an account."""

    detail: str
    mail_configured: bool = Field(description="Whether this hub can send mails at all; otherwise ask an administrator.")


class PasswordReset(Strict):
    """The token that stands behind the # of a reset link, and the password from now on."""

    token: Annotated[str, Field(min_length=1, max_length=2048)]
    password: NewPassword


class ResetLinkRead(BaseModel):
    """A link with which a user sets a password: mailed, or shown here to be handed over."""

    reset_url: str | None = Field(description="To hand over, once; null when it was mailed.")
    expires_at: Timestamp
    emailed: bool


class SessionRead(BaseModel):
    """Somewhere a user is signed in."""

    id: int
    current: bool = Field(description="Whether this request came with this session.")
    method: str = Field(description="password, password+code, passkey or oidc.")
    address: str | None = Field(description="From where it was last refreshed.")
    user_agent: str | None
    created_at: Timestamp
    used_at: Timestamp
    expires_at: Timestamp

    @classmethod
    def of(cls, session: Session, current_id: int | None) -> Self:
        """The session as its owner sees it."""
        return cls(
            id=session.id,
            current=session.id == current_id,
            method=session.method,
            address=session.address,
            user_agent=session.user_agent,
            created_at=session.created_at,
            used_at=session.used_at,
            expires_at=session.expires_at,
        )


class SessionsEnded(BaseModel):
    """How many sessions were ended."""

    ended: int


class ApiTokenCreate(Strict):
    """A token for a script. Without `expires_at` and `expires_in_days` it is good until it is revoked."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"name": "Node-RED", "scopes": ["devices:read", "telemetry:read"], "expires_in_days": 90}
        }
    )

    name: DisplayName
    scopes: Annotated[list[str], Field(min_length=1, max_length=100)]
    expires_at: datetime | None = None
    expires_in_days: Annotated[int, Field(ge=1, le=3650)] | None = None
    organization_id: RowId | None = Field(default=None, description="Only what happens in this organization.")

    @field_validator("scopes")
    @classmethod
    def _known_scopes(cls, value: list[str]) -> list[str]:
        unknown = [scope for scope in value if scope not in SCOPES]
        if unknown:
            raise ValueError(f"There is no scope {unknown[0][:64]!r}.")
        return value

    @field_validator("expires_at", mode="before")
    @classmethod
    def _readable_time(cls, value: object) -> object:
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            return parse_time(value) / 1000
        return value

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if self.expires_at is not None and self.expires_in_days is not None:
            raise ValueError("Send expires_at or expires_in_days, not both.")
        return self


class ApiTokenRead(BaseModel):
    """An API token without its secret."""

    id: int
    name: str
    scopes: list[str]
    organization_id: int | None
    created_at: Timestamp
    expires_at: Timestamp | None
    last_used_at: Timestamp | None = Field(description="Noted within some seconds.")
    last_address: str | None

    @classmethod
    def fields_of(cls, token: ApiToken) -> dict[str, object]:
        """The fields of a token as its owner sees it."""
        return {name: getattr(token, name) for name in ApiTokenRead.model_fields}

    @classmethod
    def of(cls, token: ApiToken) -> Self:
        """The token as its owner sees it."""
        return cls.model_validate(cls.fields_of(token))


class ApiTokenCreated(ApiTokenRead):
    """A new API token with its secret."""

    token: str | None = Field(description="Shown this once; send it as `Authorization: Bearer …`. Null in a replay.")


class TotpRead(BaseModel):
    """Whether a code is asked for beside the password."""

    active: bool
    confirmed_at: Timestamp | None
    recovery_codes_left: int


class TotpSetup(BaseModel):
    """What an authenticator app has to know."""

    secret: str = Field(description="To be typed, in base 32.")
    otpauth_uri: str = Field(description="To be shown as a QR code.")


class TotpConfirm(Strict):
    """A code of the app that was just set up."""

    code: Code


class RecoveryCodes(BaseModel):
    """Each stands once for a code of the app. They are shown this once."""

    recovery_codes: list[str]


class Proof(Strict):
    """That it is really the owner of the account: exactly one of the password and a code."""

    password: Password | None = None
    code: Code | None = None

    @model_validator(mode="after")
    def _one_proof(self) -> Self:
        if (self.password is None) == (self.code is None):
            raise ValueError("Send your password or a code.")
        return self
