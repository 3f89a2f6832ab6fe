"""What the system endpoints answer: one superset of the shapes that the two descriptions give."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field, PlainSerializer

from roost.core.clock import rfc3339

Time = Annotated[datetime, PlainSerializer(rfc3339, return_type=str)]


class Health(BaseModel):
    """The process answers."""

    ok: Literal[True] = True


class Liveness(BaseModel):
    """The process answers; which version it is, and what time it believes it is."""

    ok: Literal[True] = True
    status: Literal["ok"] = "ok"
    name: str
    version: str
    time: Time


class Check(BaseModel):
    """One thing that the hub needs to do its work."""

    ok: bool
    detail: str


class Readiness(BaseModel):
    """Everything the hub needs is there."""

    status: Literal["ready"] = "ready"
    checks: dict[str, Check]


class ThrottlingFlagRead(BaseModel):
    active: bool
    occurred: bool


class ThrottlingFlags(BaseModel):
    """What the Raspberry Pi's firmware reports about power and heat."""

    raw: str
    undervoltage: ThrottlingFlagRead
    freq_capped: ThrottlingFlagRead
    throttled: ThrottlingFlagRead
    soft_temp_limit: ThrottlingFlagRead


class Temperature(BaseModel):
    """The processor's temperature; null without a sensor. The throttling fields are null except on a Raspberry Pi."""

    time: Time
    temp_c: float | None = Field(description="°C")
    throttled: str | None
    throttled_flags: ThrottlingFlags | None


class ProcessorRead(BaseModel):
    """Percent over the sampling window; MHz per core, empty where the system does not say."""

    per_core: list[float]
    avg: float
    freq_mhz: list[float]
    count: int


class MemoryRead(BaseModel):
    """Bytes; `used` is total minus available."""

    total: int
    available: int
    used: int
    percent: float


class DiskRead(BaseModel):
    """The file system of the data folder, in bytes."""

    total: int
    used: int
    free: int
    percent: float


class LoadRead(BaseModel):
    """Processes that want to run, averaged over 1, 5 and 15 minutes."""

    one_minute: float
    five_minutes: float
    fifteen_minutes: float


class NetworkRead(BaseModel):
    """All interfaces since boot."""

    bytes_sent: int
    bytes_received: int
    packets_sent: int
    packets_received: int
    errors: int


class ProcessRead(BaseModel):
    """`cpu` in percent of one core, `rss` in bytes."""

    pid: int
    name: str
    cpu: float
    rss: int


class Human(BaseModel):
    """The same, for people."""

    mem_used: str
    mem_total: str
    uptime_h: float


class Metrics(BaseModel):
    """A sample of this machine, and of the hub on it."""

    time: Time
    cpu: ProcessorRead
    memory: MemoryRead
    disk: DiskRead
    load: LoadRead
    network: NetworkRead | None
    temperature_c: float | None = Field(description="°C; null without a sensor.")
    top: list[ProcessRead]
    human: Human
    uptime: float = Field(description="Seconds that the hub's process has been running.")
    memory_usage: float = Field(description="Resident memory of the hub's process in MiB.")
    cpu_usage: float = Field(description="Percent of the whole machine's processor in use.")
    active_connections: int = Field(description="Open requests, WebSockets and MQTT connections.")
    requests_per_minute: int = Field(description="HTTP requests and WebSockets begun in the last 60 s.")


class Version(BaseModel):
    """What runs here."""

    name: str
    version: str
    api_version: str
    python: str
    platform: str
    database: Literal["sqlite", "postgresql"]
    started_at: Time
    mqtt_port: int | None = Field(description="Where devices connect over MQTT; null while nothing listens.")
    mqtt_tls: bool = Field(description="Whether that port speaks TLS.")
