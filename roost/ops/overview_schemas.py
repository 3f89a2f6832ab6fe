"""What the overview answers: the whole installation at one moment, and its homes one by one."""

from typing import Literal

from pydantic import BaseModel, Field

from roost.ops.schemas import Time


class FleetRead(BaseModel):
    """Claimed devices: `total` is `online` + `offline` + `never_seen`. Unclaimed ones said hello and wait."""

    total: int
    online: int
    offline: int
    never_seen: int
    unclaimed: int


class IngestRead(BaseModel):
    """Telemetry on its way in; totals since the hub started."""

    messages_per_second: float = Field(description="Stored messages a second over the last 10 s.")
    messages_per_second_5m: float = Field(description="The same over the last 5 minutes.")
    accepted_total: int
    refused_total: int
    refused_5m: int = Field(description="Refused within the last 5 minutes.")
    refused_by_code: dict[str, int] = Field(description="Refused by reason.")
    last_stored_at: Time | None = Field(description="When a message was last made safe; null when none was yet.")


class BacklogRead(BaseModel):
    """What has been taken and waits: for its commit, or for being told to others."""

    messages: int
    bytes: int
    full: bool = Field(description="Whether senders are told to wait.")


class ConnectionsRead(BaseModel):
    """Who is connected now."""

    mqtt: int
    websockets: int
    requests: int = Field(description="Open HTTP requests and WebSockets.")
    requests_per_minute: int


class ForecastRead(BaseModel):
    """How quickly it grows, by what was stored on up to 30 days; null where that cannot honestly be told."""

    bytes_per_day: int | None
    full_at: Time | None = Field(
        description="When at this rate only ROOST_MIN_FREE_DISK_MIB are left, with which it is no longer ready."
    )
    usable_bytes: int | None = Field(description="What may be stored until then; null on a disk the hub does not see.")
    history_days: float = Field(description="What it is told from.")
    detail: str = Field(description="The same as a sentence, or why it cannot be told.")


class StorageRead(BaseModel):
    """Bytes; null when it cannot be told at the moment."""

    database_bytes: int | None = Field(description="Accounts, places, devices, audit log.")
    telemetry_bytes: int | None
    disk_free_bytes: int
    disk_total_bytes: int
    refused: Literal["nothing", "less_important", "everything"] = Field(
        description="What is not stored for want of room: device logs and imports, or telemetry too."
    )
    forecast: ForecastRead


class FailureRead(BaseModel):
    """One kind of problem that this hub has logged within the last 24 hours, since it started."""

    room: str = Field(description="The part of the hub that noticed it.")
    level: str
    message: str
    count: int
    first_at: Time
    last_at: Time


class ProcessRead(BaseModel):
    """The hub's own process."""

    version: str
    started_at: Time
    uptime_s: float
    memory_bytes: int
    cpu_seconds: float
    threads: int


class Overview(BaseModel):
    """The whole installation."""

    time: Time
    devices: FleetRead
    ingest: IngestRead
    backlog: BacklogRead
    connections: ConnectionsRead
    storage: StorageRead
    failures: list[FailureRead] = Field(description="The latest first.")
    users: int
    active_users: int
    organizations: int
    homes: int
    process: ProcessRead


class HouseDevices(BaseModel):
    """The claimed devices of a home."""

    total: int = 0
    online: int = 0
    offline: int = 0
    never_seen: int = 0


class HouseRead(BaseModel):
    """A home with its figures."""

    id: int
    name: str
    organization_id: int
    organization_name: str
    timezone: str | None
    devices: HouseDevices
    rooms: int
    residents: int
    last_seen_at: Time | None = Field(description="When one of its devices was last heard.")
    messages_today: int = Field(description="Messages of its devices since midnight UTC.")
    created_at: Time
