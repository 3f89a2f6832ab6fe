"""What signing in elsewhere sends and receives."""

from typing import Self

from pydantic import BaseModel, Field

from roost.access.credentials.models import ExternalIdentity
from roost.access.schemas import Timestamp


class ProviderRead(BaseModel):
    """Somewhere else to sign in."""

    id: str
    name: str
    start_url: str = Field(description="Where to send the browser.")


class SignInWays(BaseModel):
    """What a sign-in page has to offer."""

    password: bool
    registration: bool
    passkeys: bool = Field(description="False while the hub is reached by an IP address, to which none is bound.")
    password_reset_by_mail: bool
    providers: list[ProviderRead]


class LinkStarted(BaseModel):
    """Where to send the browser."""

    url: str


class ExternalIdentityRead(BaseModel):
    """An account elsewhere with which somebody signs in here."""

    id: int
    issuer: str
    email: str | None
    created_at: Timestamp
    last_used_at: Timestamp | None

    @classmethod
    def of(cls, identity: ExternalIdentity) -> Self:
        """The link as its owner sees it."""
        return cls(
            id=identity.id,
            issuer=identity.issuer,
            email=identity.email,
            created_at=identity.created_at,
            last_used_at=identity.last_used_at,
        )
