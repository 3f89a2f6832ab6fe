"""What crosses the wire."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from roost.devices.schemas import Time
from roost.devices.shadow.state import Side

Version = Annotated[int | None, Field(ge=0, le=2**53 - 1)]
_VERSION = "The version that this change was made for; when it is no longer the latest, the answer is 409."
_DOCUMENT = "At most 16 KiB of JSON, 16 levels deep. A member that is null is removed."


class ShadowIn(BaseModel):
    """A user sends `desired`, a device `reported`."""

    model_config = ConfigDict(extra="forbid")

    desired: dict[str, Any] | None = Field(None, description=f"How the device shall be. {_DOCUMENT}")
    reported: dict[str, Any] | None = Field(None, description=f"How the device says it is. {_DOCUMENT}")
    version: Version = Field(None, description=_VERSION)


class ShadowOut(BaseModel):
    device_id: int
    desired: dict[str, Any]
    desired_version: int = Field(description="Counts the changes of `desired`; 0 = never set.")
    desired_at: Time | None = Field(description="When `desired` last changed.")
    reported: dict[str, Any]
    reported_version: int = Field(description="Counts the changes of `reported`; 0 = never set.")
    reported_at: Time | None = Field(description="When `reported` last changed.")
    delta: dict[str, Any] = Field(description="The members of `desired` that the device does not report so.")
    delta_version: int = Field(description="Counts the changes of both sides: the greater one is the newer delta.")


class ShadowActor(BaseModel):
    kind: Literal["user", "api_token", "device"]
    id: int | None
    name: str | None = Field(description="The e-mail address of a user, the uid of a device.")


class ShadowChangeOut(BaseModel):
    id: int
    side: Side
    version: int = Field(description="The version of this side that the change made.")
    changed_at: Time
    actor: ShadowActor
    patch: dict[str, Any] = Field(description="What changed, as a merge patch (RFC 7396) on the version before.")
