"""What passkeys send and receive. What goes to and comes from the browser is the JSON that WebAuthn itself defines."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, Field

from roost.access.credentials.models import Passkey
from roost.access.names import DisplayName
from roost.access.schemas import Strict, Timestamp

Credential = Annotated[
    dict[str, Any],
    Field(description="What the browser answered, as `credential.toJSON()` writes it.", min_length=1, max_length=20),
]


class PasskeyOptions(BaseModel):
    """For `PublicKeyCredential.parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON`."""

    public_key: dict[str, Any]


class PasskeyCreate(Strict):
    """A passkey that the browser has just made."""

    name: DisplayName
    credential: Credential


class PasskeySignIn(Strict):
    """A passkey's answer."""

    credential: Credential
    cookie: bool = Field(
        default=False, strict=True, description="Keep the refresh token in a cookie instead of the answer."
    )


class PasskeyRead(BaseModel):
    """A passkey, of which the hub knows the public half only."""

    id: int
    name: str
    transports: list[str]
    created_at: Timestamp
    last_used_at: Timestamp | None

    @classmethod
    def of(cls, passkey: Passkey) -> Self:
        """The passkey as its owner sees it."""
        return cls(
            id=passkey.id,
            name=passkey.name,
            transports=passkey.transports,
            created_at=passkey.created_at,
            last_used_at=passkey.last_used_at,
        )
