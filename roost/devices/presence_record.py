"""How presence stands in the database, and what to make of it when memory says something else."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from sqlalchemy import Row, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from roost.core import outbox
from roost.core.clock import from_ms, to_ms
from roost.devices.messages import STATUS_CHANGED, status_changed
from roost.devices.models import Device

OFFLINE = "offline"
ONLINE = "online"

Cause = Literal["never_heard", "goodbye", "reported", "will", "keep_alive", "lost", "silent", "closed", "released"]
"""Why a device is offline, for programs; the reason says it in words.

It was never heard; it disconnected, or said itself that it goes; its connection was lost and it had left a will for
that; nothing came within the keep-alive time; the connection was lost; without one, it was silent for too long; the hub
ended the connection; it was released.
"""


@dataclass(slots=True)
class State:
    """A device that is there, or was a moment ago. Times are epoch milliseconds."""

    status: str
    since_ms: int
    reason: str | None
    last_seen_ms: int
    # Silence is counted from here at the earliest: a hub that was away itself blames nobody.
    judged_from_ms: int = 0
    # The device said so itself, so that merely hearing from it again changes nothing.
    told: bool = False
    # Why it is offline; None while it is there.
    cause: Cause | None = None
    # Open connections by transport.
    connections: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the device's row says."""

    device_id: int
    organization_id: int | None
    home_id: int | None
    status: str
    since_ms: int | None
    reason: str | None
    cause: Cause | None
    last_seen_ms: int


@dataclass(frozen=True, slots=True)
class Change:
    """What the row is to say from now on."""

    recorded: Recorded
    status: str
    since_ms: int
    reason: str | None
    cause: Cause | None
    last_seen_ms: int


class News(Enum):
    """What follows from comparing memory with the row."""

    NONE = "none"
    WRITE = "write"
    # Another process knows better: memory takes over what the row says.
    ADOPT = "adopt"


_COLUMNS = (
    Device.id,
    Device.organization_id,
    Device.home_id,
    Device.status,
    Device.status_since,
    Device.status_reason,
    Device.status_cause,
    Device.last_seen_at,
)
_WRITE = (
    update(Device)
    .where(Device.id == bindparam("device"))
    .values(
        status=bindparam("to_status"),
        status_since=bindparam("since"),
        status_reason=bindparam("reason"),
        status_cause=bindparam("cause"),
        last_seen_at=bindparam("seen"),
    )
)
_WRITE_SEEN = update(Device).where(Device.id == bindparam("device")).values(last_seen_at=bindparam("seen"))


def compare(state: State, recorded: Recorded, silent_before_ms: int) -> News:
    """Whether the row must change, or memory. `silent_before_ms`: who was last heard before it counts as gone."""
    if state.status == recorded.status:
        said = state.told or state.status == OFFLINE
        return News.WRITE if said and state.reason != recorded.reason else News.NONE
    if state.status == OFFLINE and recorded.last_seen_ms > max(state.last_seen_ms, silent_before_ms):
        return News.ADOPT  # another process hears it
    if state.status == ONLINE and recorded.status != OFFLINE and not state.told:
        return News.ADOPT  # it told another process how it is; that it is heard here does not contradict
    return News.WRITE


async def find_present(session: AsyncSession, silent_since_ms: int | None = None) -> list[Recorded]:
    """Every claimed device that was there when somebody last looked; with a time, those not seen since."""
    present = (Device.status != OFFLINE) & Device.claimed_at.is_not(None) & Device.retired_at.is_(None)
    if silent_since_ms is not None:
        present &= Device.last_seen_at < from_ms(silent_since_ms)
    return [_recorded(row) for row in await session.execute(select(*_COLUMNS).where(present))]


async def find_recorded(session: AsyncSession, device_ids: Iterable[int]) -> list[Recorded]:
    """The rows of these devices, locked in the order of their ids."""
    query = select(*_COLUMNS).where(Device.id.in_(device_ids)).order_by(Device.id).with_for_update()
    return [_recorded(row) for row in await session.execute(query)]


async def write_changes(session: AsyncSession, changes: Sequence[Change]) -> None:
    """Write them in one statement, and tell of each change of status."""
    if not changes:
        return
    rows = [
        {
            "device": change.recorded.device_id,
            "to_status": change.status,
            "since": from_ms(change.since_ms),
            "reason": change.reason,
            "cause": change.cause,
            "seen": from_ms(change.last_seen_ms),
        }
        for change in changes
    ]
    await (await session.connection()).execute(_WRITE, rows)
    for change in changes:
        if change.status != change.recorded.status:
            outbox.add(session, STATUS_CHANGED, _event(change))


async def write_seen(session: AsyncSession, seen: Sequence[tuple[int, int]]) -> None:
    """`(device id, epoch ms)` of when each was last heard."""
    rows = [{"device": device_id, "seen": from_ms(at_ms)} for device_id, at_ms in seen]
    await (await session.connection()).execute(_WRITE_SEEN, rows)


def _event(change: Change) -> dict[str, object]:
    return status_changed(
        change.recorded.device_id,
        change.recorded.organization_id,
        change.recorded.home_id,
        status=change.status,
        since=from_ms(change.since_ms),
        last_seen_at=from_ms(change.last_seen_ms),
        reason=change.reason,
        cause=change.cause,
    )


def _recorded(row: Row[*tuple[Any, ...]]) -> Recorded:
    return Recorded(
        row.id,
        row.organization_id,
        row.home_id,
        row.status,
        to_ms(row.status_since) if row.status_since is not None else None,
        row.status_reason,
        row.status_cause,
        to_ms(row.last_seen_at) if row.last_seen_at is not None else 0,
    )
