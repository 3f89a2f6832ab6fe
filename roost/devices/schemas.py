"""What crosses the wire."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from roost.core.clock import from_ms, parse_time, rfc3339
from roost.core.ids import RowId
from roost.devices.logs import LONGEST_MESSAGE
from roost.devices.models import LogLevel
from roost.devices.presence_record import Cause

CAPABILITIES_LIMIT_BYTES = 16 * 1024
LOG_LINES_LIMIT = 100


def _no_digits_alone(uid: str) -> str:
    if uid.isdecimal():
        raise ValueError("digits alone would be taken for a device id; add a letter")
    return uid


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("it must not contain the character U+0000")
    return text


def _no_blank(text: str) -> str:
    stripped = text.strip()
    if not stripped:
        raise ValueError("it must not be blank")
    return _storable(stripped)


def _small(document: dict[str, Any]) -> dict[str, Any]:
    try:
        encoded = json.dumps(document, allow_nan=False, ensure_ascii=False)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if len(encoded.encode()) > CAPABILITIES_LIMIT_BYTES:
        raise ValueError(f"it must be at most {CAPABILITIES_LIMIT_BYTES} bytes of JSON")
    return document


def _time(value: object) -> object:
    if isinstance(value, str | int):
        return from_ms(parse_time(value))
    return value


def _distinct(tags: list[str]) -> list[str]:
    return sorted(set(tags))


DeviceUid = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9._:-]{3,64}$",
        description="The name the device gives itself; at least one character is no digit.",
        examples=["greenhouse-1"],
    ),
    AfterValidator(_no_digits_alone),
]
Name = Annotated[str, Field(min_length=1, max_length=120), AfterValidator(_no_blank)]
DeviceType = Annotated[str, Field(min_length=1, max_length=40, examples=["esp32"]), AfterValidator(_no_blank)]
Tag = Annotated[str, Field(min_length=1, max_length=40), AfterValidator(_no_blank)]
Tags = Annotated[list[Tag], Field(max_length=20), AfterValidator(_distinct)]
Firmware = Annotated[str, Field(max_length=64, examples=["1.0.0"]), AfterValidator(_storable)]
Capabilities = Annotated[dict[str, Any], AfterValidator(_small)]
Time = Annotated[datetime, PlainSerializer(rfc3339, return_type=str)]
TimeIn = Annotated[
    datetime,
    BeforeValidator(_time, json_schema_input_type=str | int),
    Field(description="RFC 3339, or integer milliseconds since 1970."),
]
_WHICH_ORGANIZATION = "Needed when no home says it and the caller may add devices in several."
ReportedStatus = Literal["online", "offline", "updating", "maintenance", "error"]


class _UserBody(BaseModel):
    """What a user sends: a misspelt field is told, not ignored. Devices may send fields of a newer firmware."""

    model_config = ConfigDict(extra="forbid")


class HelloIn(BaseModel):
    device_uid: DeviceUid
    firmware_version: Firmware | None = None
    capabilities: Capabilities | None = None
    pairing_key_hash: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 (hex) of a key that the device keeps to itself and proves when its pairing is confirmed.",
    )


class HelloOut(BaseModel):
    device_id: int
    device_uid: str
    claimed: bool
    retry_after_s: int = Field(description="How long to wait before saying hello again.")


class PairingStart(_UserBody):
    device_uid: DeviceUid
    organization_id: RowId | None = Field(None, description=_WHICH_ORGANIZATION)
    home_id: RowId | None = None
    room_id: RowId | None = None
    expires_in_s: int | None = Field(None, ge=1, le=600, description="How long the code is good for; 10 minutes.")


class PairingCodeOut(BaseModel):
    device_uid: str
    pairing_code: str | None = Field(
        description="Shown this once; null when the request is repeated with its key.", examples=["7K3M-Q2XD"]
    )
    expires_at: Time


class PairingConfirm(BaseModel):
    device_uid: DeviceUid
    pairing_code: str = Field(min_length=1, max_length=32, description="Case, dashes and spaces do not matter.")
    pairing_key: str | None = Field(
        None, min_length=1, max_length=256, description="The key whose hash the device sent with its hello."
    )


class PairedOut(BaseModel):
    device_id: int
    device_token: str = Field(description="Shown this once; it is kept only as a digest.")


class DeviceRead(BaseModel):
    id: int
    device_uid: str
    name: str
    type: str | None
    organization_id: int
    home_id: int | None
    room_id: int | None
    tags: list[str]
    firmware_version: str | None
    capabilities: dict[str, Any]
    status: str
    status_reason: str | None = Field(description="Why the device has this status, in a sentence.")
    status_cause: Cause | None = Field(description="Why it is offline, for programs; null while it is there.")
    last_seen_at: Time | None
    claimed_at: Time | None
    created_at: Time
    updated_at: Time


class DeviceCreate(_UserBody):
    name: Name
    device_uid: DeviceUid | None = None
    type: DeviceType | None = None
    organization_id: RowId | None = Field(None, description=_WHICH_ORGANIZATION)
    home_id: RowId | None = None
    room_id: RowId | None = None
    tags: Tags = []


class DeviceCreated(DeviceRead):
    device_token: str | None = Field(description="Shown this once; null when the request is repeated with its key.")


class DeviceReplace(_UserBody):
    """All that a user may set; what is left out is emptied."""

    name: Name
    type: DeviceType | None = None
    home_id: RowId | None = None
    room_id: RowId | None = None
    tags: Tags = []


class DeviceUpdate(_UserBody):
    """Only what is given changes."""

    name: Name = ""
    type: DeviceType | None = None
    home_id: RowId | None = None
    room_id: RowId | None = None
    tags: Tags = []

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("name at least one of name, type, home_id, room_id, tags")
        return self


class Heartbeat(BaseModel):
    """What a device may tell with its heartbeat; an empty body will do."""

    firmware_version: Firmware | None = None
    status: ReportedStatus | None = None
    detail: Annotated[str, Field(max_length=200), AfterValidator(_storable)] | None = None


class HeartbeatOut(BaseModel):
    device_id: int
    status: str
    last_seen_at: Time | None
    server_time: Time
    pending: dict[str, int] = Field(description="How much work of each kind waits for the device.")


class StatusIn(BaseModel):
    status: ReportedStatus
    detail: Annotated[str, Field(max_length=200), AfterValidator(_storable)] | None = None


class StatusOut(BaseModel):
    device_id: int
    status: str
    since: Time | None
    last_seen_at: Time | None
    reason: str | None = Field(description="Why, in a sentence.")
    cause: Cause | None = Field(description="Why it is offline, for programs; null while it is there.")
    transports: list[str] = Field(description="The kinds of connection that stand at this moment.")


class LogLineIn(BaseModel):
    level: LogLevel = "info"
    message: Annotated[str, Field(min_length=1, max_length=LONGEST_MESSAGE), AfterValidator(_storable)]
    timestamp: TimeIn | None = None


class LogsAccepted(BaseModel):
    stored: int


class LogLineOut(BaseModel):
    id: int
    timestamp: Time = Field(description="When it was written, by the device's clock if it sent one.")
    received_at: Time = Field(description="When the hub got it.")
    level: LogLevel
    source: str = Field(description="`device` when the device wrote it, `hub` when the hub did.")
    message: str


class TokenOut(BaseModel):
    device_id: int
    device_token: str | None = Field(description="Shown this once; null when the request is repeated with its key.")
    previous_valid_until: Time | None = Field(
        description="Until then the token before is good as well, or until the new one is first used; null = none was."
    )


class WhoAmI(BaseModel):
    device_id: int
    device_uid: str
    name: str
    type: str | None
    organization_id: int
    home_id: int | None
    room_id: int | None
    firmware_version: str | None
    status: str
    server_time: Time
