"""Bridges as they cross the wire."""

import ssl
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, model_validator

from roost.access.names import DisplayName
from roost.access.schemas import Strict, Timestamp
from roost.bridges.mapping import Source
from roost.bridges.topics import TopicPattern, names_in, parse_pattern
from roost.core.ids import RowId
from roost.telemetry.decode import KEY_LENGTH, MESSAGE_BYTES

MOST_SOURCES = 20
Version = Literal["5", "3.1.1"]
Status = Literal["waiting", "connected", "failing", "off"]


def _url(text: str) -> str:
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("it holds what no address does; hosts of other alphabets are written as xn--…")
    parts = urlsplit(text)
    try:
        port = parts.port
    except ValueError:
        raise ValueError("the port is a number from 1 to 65535") from None
    if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname or port == 0:
        raise ValueError("it is like mqtt://broker.example.org:1883, or mqtts:// with TLS")
    if parts.username is not None or parts.password is not None:
        raise ValueError("name and password have fields of their own; in an address they would be shown")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError("behind host and port there is nothing")
    return text.rstrip("/")


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("it must not contain the character U+0000")
    return text


def _certificate(text: str) -> str:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError, TypeError):
        raise ValueError("it is no certificate in PEM (-----BEGIN CERTIFICATE-----)") from None
    return text


def _pattern(text: str) -> str:
    parse_pattern(text)
    return text


def _template(text: str) -> str:
    names_in(text)
    return text


def _prefix(text: str) -> str:
    if any(sign in text for sign in "+#\0") or text.startswith(("/", "$")) or text.endswith("/"):
        raise ValueError("it is the beginning of topics, such as homeassistant, without wildcards")
    return text


Url = Annotated[
    str, Field(min_length=7, max_length=255, examples=["mqtts://broker.example.org:8883"]), AfterValidator(_url)
]
UserName = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_storable)]
Password = Annotated[
    str, Field(min_length=1, max_length=1024, json_schema_extra={"format": "password"}), AfterValidator(_storable)
]
Certificate = Annotated[
    str,
    Field(max_length=65_536, description="PEM of who signed the broker's certificate, unless a public authority did."),
    AfterValidator(_certificate),
]
Prefix = Annotated[
    str,
    Field(min_length=1, max_length=120, examples=["homeassistant"], description="Where Home Assistant looks."),
    AfterValidator(_prefix),
]


class SourceIn(Strict):
    """One pattern of topics and what its messages are."""

    topic: Annotated[
        str,
        Field(
            description="Names in braces take a level or a part of one; + and # as in MQTT.",
            examples=["zigbee2mqtt/{device}"],
        ),
        AfterValidator(_pattern),
    ]
    device_uid: Annotated[
        str, Field(min_length=1, max_length=128, description="Which device it is, from the topic's names."),
        AfterValidator(_template),
    ] = "{device}"  # fmt: skip
    key: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=KEY_LENGTH,
            description="The series, if a message is one value.",
            examples=["temp_c"],
        ),
    ] = None
    time_field: Annotated[
        str | None, Field(min_length=1, max_length=KEY_LENGTH, description="The field with the device's own time.")
    ] = None
    event_type: Annotated[
        str | None,
        Field(min_length=1, max_length=KEY_LENGTH, description="Keep each message as an event of this type."),
    ] = None

    @model_validator(mode="after")
    def _known_names(self) -> Self:
        known = parse_pattern(self.topic).names
        missing = sorted((names_in(self.device_uid) | names_in(self.key or "")) - known)
        if missing:
            raise ValueError(f"the topic has no {{{missing[0]}}}")
        return self

    def source(self) -> Source:
        """The same for those who map."""
        return Source(TopicPattern(self.topic), self.device_uid, self.key, self.time_field, self.event_type)


Sources = Annotated[list[SourceIn], Field(max_length=MOST_SOURCES, description="The first that fits a topic decides.")]
_REGISTER = "Whether devices that are heard for the first time are registered."
_DISCOVERY = "Announce the organization's (or home's) devices to Home Assistant; null: do not."


class BridgeCreate(Strict):
    """A broker to take from, to announce to, or both."""

    name: DisplayName
    organization_id: RowId | None = None
    home_id: RowId | None = Field(default=None, description="Of its devices only; where new ones are registered.")
    url: Url
    version: Version = "5"
    user_name: UserName | None = None
    password: Password | None = None
    ca_certificate: Certificate | None = None
    sources: Sources = Field(default_factory=list)
    register_devices: bool = Field(default=False, description=_REGISTER)
    discovery_prefix: Prefix | None = Field(default=None, description=_DISCOVERY)
    enabled: bool = True

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.password is not None and self.user_name is None:
            raise ValueError("a password needs a user_name")
        return self


class BridgeUpdate(Strict):
    """What is left out stays. A null empties what may be empty; the password stays unless one is given."""

    name: DisplayName | None = None
    url: Url | None = None
    version: Version | None = None
    user_name: UserName | None = None
    password: Password | None = None
    ca_certificate: Certificate | None = None
    sources: Sources | None = None
    register_devices: bool | None = None
    discovery_prefix: Prefix | None = None
    enabled: bool | None = None

    @model_validator(mode="after")
    def _no_nulls(self) -> Self:
        for name in ("name", "url", "version", "sources", "register_devices", "enabled"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"{name} cannot be null")
        return self


class BridgeRead(BaseModel):
    """A bridge and how it is doing. The password is never shown."""

    id: int
    organization_id: int
    home_id: int | None
    name: str
    url: str
    version: Version
    user_name: str | None
    has_password: bool
    ca_certificate: str | None
    client_id: str = Field(description="The name under which the broker keeps the hub's session.")
    sources: list[SourceIn]
    register_devices: bool
    discovery_prefix: str | None
    enabled: bool
    status: Status
    status_reason: str | None
    status_since: Timestamp
    problem: str | None = Field(description="The last message that could not be taken, and why.")
    problem_at: Timestamp | None
    devices: int = Field(description="How many devices have been heard through it.")
    created_at: Timestamp
    updated_at: Timestamp


class MessageTried(Strict):
    """A message as the broker would send it."""

    sources: Annotated[list[SourceIn], Field(min_length=1, max_length=MOST_SOURCES)]
    topic: Annotated[str, Field(min_length=1, max_length=512)]
    payload: Annotated[str, Field(max_length=MESSAGE_BYTES)]


class MessageRead(BaseModel):
    """What would become of it; either a device and what is stored, or the reason why it is not taken."""

    device_uid: str | None
    event_type: str | None
    readings: dict[str, int | float | bool]
    observed_at: Timestamp | None
    reason: str | None
