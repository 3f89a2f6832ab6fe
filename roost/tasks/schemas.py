"""What crosses the wire."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from roost.core.errors import TooLarge
from roost.core.ids import RowId
from roost.devices.schemas import DeviceType, Firmware, Tag, Time, TimeIn
from roost.tasks.states import Status

LIMIT_BYTES = 16 * 1024
DEFAULT_CONTEXT = "default"
MOST_TYPES = 200


def _expressible(value: Any) -> Any:
    """What every database and every client can hold: no NaN, no half characters, not too deep."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def check_size(value: Any, what: str) -> None:
    """Raises TooLarge for more than 16 KiB of JSON."""
    if len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()) > LIMIT_BYTES:
        raise TooLarge(f"{what} may have {LIMIT_BYTES:,} bytes of JSON.")


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("it must not contain the character U+0000")
    return text


def _plain(text: str) -> str:
    stripped = text.strip()
    if not stripped:
        raise ValueError("it must not be blank")
    return _storable(stripped)


Document = Annotated[dict[str, Any], AfterValidator(_expressible)]
ContextKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$", examples=[DEFAULT_CONTEXT])]
TaskType = Annotated[str, Field(min_length=1, max_length=100, examples=["config.apply"]), AfterValidator(_plain)]
IdempotencyKey = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_storable)]
Note = Annotated[str, Field(max_length=500), AfterValidator(_storable)]
LeaseToken = Annotated[str, Field(min_length=1, max_length=64, description="As the task was leased with.")]


class _UserBody(BaseModel):
    """What a user sends: a misspelt field is told, not ignored. Devices may send fields of a newer firmware."""

    model_config = ConfigDict(extra="forbid")


class TaskOptions(_UserBody):
    """How and when a task is to be done."""

    execution_context_key: ContextKey | None = Field(
        None, description="Only this context of the device may take it; any, when left out."
    )
    priority: int = Field(0, ge=-100, le=100, description="Higher first; among equals the older one.")
    not_before: TimeIn | None = None
    expires_at: TimeIn | None = Field(None, description="Not begun by then, it is not done at all.")
    max_attempts: int | None = Field(
        None,
        ge=1,
        le=100,
        description="How often it is tried in all. Left out, a failure that the device reports is final, and a lost "
        "lease puts the task back, ten times at most.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.not_before is not None and self.expires_at is not None and self.expires_at <= self.not_before:
            raise ValueError("expires_at must be later than not_before")
        return self


class TaskCreate(TaskOptions):
    type: TaskType
    payload: Document = {}
    idempotency_key: IdempotencyKey | None = Field(
        None, description="With a key that the device's tasks know already, the answer is that task."
    )


class CommandCreate(TaskOptions):
    command: TaskType
    parameters: Document = {}
    idempotency_key: IdempotencyKey | None = None

    def as_task(self) -> TaskCreate:
        """The same in the queue's own words."""
        said = self.model_dump(exclude={"command", "parameters"})
        return TaskCreate(type=self.command, payload=self.parameters, **said)


class Progress(BaseModel):
    percent: float | None
    note: str | None
    at: Time


class TaskRead(BaseModel):
    id: int
    device_id: int
    type: str
    payload: dict[str, Any]
    status: Status
    execution_context_key: str | None
    idempotency_key: str | None
    priority: int
    not_before: Time | None
    expires_at: Time | None
    max_attempts: int | None
    attempts: int = Field(description="How often it was leased.")
    available_at: Time = Field(description="From when it may be leased: later than `not_before` after a failure.")
    leased_by: str | None = Field(description="The context that has it, or had it last.")
    leased_via: str | None = Field(description="`http` or `mqtt`.")
    lease_expires_at: Time | None
    progress: Progress | None
    result: Any
    reason: str | None = Field(description="Why it is where it is, in a sentence.")
    bulk_id: int | None
    created_by: str | None
    created_at: Time
    updated_at: Time
    ended_at: Time | None


class TaskStepRead(BaseModel):
    at: Time
    status: Status
    attempt: int
    detail: str


class TaskDetail(TaskRead):
    steps: list[TaskStepRead]


class CommandRead(BaseModel):
    id: int
    device_id: int
    command: str
    parameters: dict[str, Any]
    status: Status
    attempts: int
    result: Any
    reason: str | None
    created_at: Time
    updated_at: Time
    ended_at: Time | None


class LeasedTask(BaseModel):
    """A task as its device gets it."""

    id: int
    type: str
    payload: dict[str, Any]
    status: Literal["leased"] = "leased"
    execution_context_key: str | None
    priority: int
    attempt: int
    max_attempts: int | None
    lease_token: str
    lease_seconds: int
    lease_expires_at: Time
    expires_at: Time | None
    created_at: Time


class LeasedCommand(BaseModel):
    """A command as its device gets it."""

    id: int
    command: str
    parameters: dict[str, Any]
    status: Literal["leased"] = "leased"
    attempt: int
    lease_token: str
    lease_seconds: int
    lease_expires_at: Time
    created_at: Time


class ContextBeat(BaseModel):
    context_key: ContextKey = DEFAULT_CONTEXT
    capabilities: Document = Field(
        default={}, description="`tasks` lists the types that this context takes; without it, it takes every type."
    )
    meta: Document = {}

    @property
    def types(self) -> list[str] | None:
        """The types of tasks it takes; None for every type."""
        named = self.capabilities.get("tasks")
        if not isinstance(named, list):
            return None
        return sorted({name for name in named if isinstance(name, str)})[:MOST_TYPES]


class ContextBeatOut(BaseModel):
    device_id: int
    context_key: str
    seen_at: Time
    server_time: Time
    pending: dict[str, int] = Field(description="How much work of each kind waits for the device.")


class TaskContextRead(BaseModel):
    device_id: int
    context_key: str
    capabilities: dict[str, Any]
    meta: dict[str, Any]
    seen_at: Time
    created_at: Time


class TaskCompletion(BaseModel):
    status: Literal["done", "failed"]
    result: Annotated[Any, AfterValidator(_expressible)] = None
    lease_token: LeaseToken | None = None


class CommandCompletion(BaseModel):
    status: Literal["executed", "done", "failed"] = "executed"
    result: Annotated[Any, AfterValidator(_expressible)] = None
    lease_token: LeaseToken | None = None

    def as_task(self) -> TaskCompletion:
        """The same in the queue's own words."""
        status: Literal["done", "failed"] = "failed" if self.status == "failed" else "done"
        return TaskCompletion(status=status, result=self.result, lease_token=self.lease_token)


class TaskCompleted(BaseModel):
    id: int
    status: Status = Field(description="`queued` when it failed and is to be tried again.")
    attempt: int
    retry_at: Time | None
    reason: str | None
    at: Time


class TaskProgress(BaseModel):
    percent: float | None = Field(None, ge=0, le=100, allow_inf_nan=False)
    note: Note | None = None
    lease_token: LeaseToken | None = None


class LeaseExtension(BaseModel):
    lease_seconds: int | None = Field(None, ge=0, le=86_400, description="Clamped to 5..600; by default as before.")
    lease_token: LeaseToken | None = None


class LeaseHeld(BaseModel):
    id: int
    status: Literal["leased"] = "leased"
    lease_seconds: int
    lease_expires_at: Time


class DeviceQuery(_UserBody):
    """Which devices, of those within the caller's reach. What is given has to hold together."""

    organization_id: RowId | None = None
    home_id: RowId | None = None
    room_id: RowId | None = None
    tag: Tag | None = None
    type: DeviceType | None = None
    firmware_version: Firmware | None = None
    status: str | None = Field(None, min_length=1, max_length=16)
    device_ids: list[RowId] = Field(default=[], max_length=10_000)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("say which devices: organization_id alone means all of an organization's")
        return self


class BulkCreate(TaskOptions):
    type: TaskType
    payload: Document = {}
    devices: DeviceQuery


class BulkSkipped(BaseModel):
    device_id: int
    reason: str


class BulkFailure(BaseModel):
    status: Status
    reason: str | None
    count: int


class BulkRead(BaseModel):
    id: int
    type: str
    payload: dict[str, Any]
    devices: int = Field(description="How many tasks there are, of those the caller may see.")
    counts: dict[Status, int]
    failures: list[BulkFailure] = Field(description="Why those that did not do it did not, the most frequent first.")
    skipped: list[BulkSkipped] = Field(description="Devices that got no task.")
    created_by: str | None
    created_at: Time


def progress_of(percent: float | None, note: str | None, at: datetime | None) -> Progress | None:
    """What a device said last; None when it said nothing."""
    return None if at is None else Progress(percent=percent, note=note, at=at)
