"""What signing in sends and receives."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, model_validator

from roost.access.models import User
from roost.access.principals import Grant, scopes_of
from roost.core.clock import rfc3339

Timestamp = Annotated[datetime, PlainSerializer(rfc3339, return_type=str, when_used="json")]
"""An aware datetime, answered as RFC 3339 in UTC with milliseconds."""

_LONGEST_TOKEN = 512


class Strict(BaseModel):
    """A body in which unknown fields are an error: whoever sends a role must not believe that it counts."""

    model_config = ConfigDict(extra="forbid")


def _filled(value: str) -> str:
    if not value.strip():
        raise ValueError("It is empty.")
    return value


Identifier = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_filled)]
Password = Annotated[str, Field(min_length=1, max_length=256, json_schema_extra={"format": "password"})]

Code = Annotated[
    str, Field(min_length=6, max_length=32, description="Six digits of the authenticator app, or a recovery code.")
]


class LoginRequest(BaseModel):
    """Exactly one of `identifier` (e-mail or username), `email`, `username`; and the password."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["identifier"]}, {"required": ["email"]}, {"required": ["username"]}],
            "example": {"email": "you@example.org", "password": "Test1234!"},
        }
    )

    identifier: Identifier | None = None
    email: Identifier | None = None
    username: Identifier | None = None
    password: Password
    code: Code | None = None
    cookie: bool = Field(
        default=False, strict=True, description="Keep the refresh token in a cookie instead of the answer."
    )

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if sum(name is not None for name in (self.identifier, self.email, self.username)) != 1:
            raise ValueError("Send exactly one of identifier, email and username.")
        return self

    @property
    def name(self) -> str:
        """Whichever name was sent."""
        return self.identifier or self.email or self.username or ""


class LoginForm(BaseModel):
    """The OAuth2 password form."""

    grant_type: Literal["password"] = "password"
    username: Identifier
    password: Password
    code: Code | None = None
    scope: str = ""
    client_id: str | None = None
    client_secret: str | None = None


class RefreshRequest(BaseModel):
    """The refresh token, unless it comes in the cookie."""

    refresh_token: Annotated[str, Field(min_length=1, max_length=_LONGEST_TOKEN)] | None = None


class UserRead(BaseModel):
    """A user, with everything that the user's grants add up to."""

    id: int
    username: str
    email: str
    full_name: str | None
    roles: list[str]
    scopes: list[str] = Field(description="Every scope that counts somewhere; where, the server decides by the grant.")
    is_active: bool
    created_at: Timestamp
    updated_at: Timestamp

    @classmethod
    def of(cls, user: User, grants: tuple[Grant, ...]) -> Self:
        """The user as it crosses the wire."""
        return cls(
            id=user.id,
            username=user.username,
            email=user.email,
            full_name=user.full_name,
            roles=sorted({grant.role for grant in grants}),
            scopes=scopes_of(grants),
            is_active=user.is_active,
            created_at=user.created_at,
            updated_at=user.updated_at,
        )


class TokenRead(BaseModel):
    """An open session."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - a kind, not a secret
    expires_in: int = Field(description="Seconds until the access token expires.")
    refresh_token: str | None = Field(description="For /auth/refresh, once. Null when it is in the cookie.")
    scope: str = Field(description="The user's scopes, separated by spaces.")
    user: UserRead
