"""The shadow's verbs: read it, say what is desired, say what is so."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.audit.log import Actor
from roost.access.principals import UserPrincipal
from roost.core import outbox
from roost.core.clock import Clock
from roost.core.database import Database
from roost.core.errors import Conflict
from roost.core.rates import RateLimiter
from roost.devices import registry
from roost.devices.deeds import record_deed
from roost.devices.identity import DeviceIdentity
from roost.devices.models import Device
from roost.devices.repository import no_device
from roost.devices.shadow.documents import Document, check, difference, merge
from roost.devices.shadow.messages import CHANGED, shadow_changed
from roost.devices.shadow.models import ShadowChange, ShadowRow
from roost.devices.shadow.state import Half, Shadow, Side

DESIRED_SET = "device.desired_set"
KEPT_CHANGES = 200
REPORTS_A_MINUTE = 60


@dataclass(frozen=True, slots=True)
class Wish:
    """How one side shall change: by merging (RFC 7396) or as a whole; `version` is the one it was made for."""

    document: Document
    whole: bool = False
    version: int | None = None

    def applied_to(self, before: Document) -> Document:
        """The document that results."""
        return merge({} if self.whole else before, self.document)


class Shadows:
    """Shadows of all devices. What devices report is limited to 60 changes a minute each."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self.reports = RateLimiter(clock, per_minute=REPORTS_A_MINUTE, burst=REPORTS_A_MINUTE)

    async def get(self, device_id: int) -> Shadow:
        """The shadow as it stands; an empty one for a device that has none yet."""
        async with self._database.read() as session:
            return await find_shadow(session, device_id)

    async def pending(self, device_id: int) -> dict[str, int]:
        """`{"shadow": n}` when n members of what is desired are not so yet: for devices that only ask now and then."""
        left = len((await self.get(device_id)).delta)
        return {"shadow": left} if left else {}

    async def report(self, device: DeviceIdentity, wish: Wish) -> Shadow:
        """The device says how it is. On disk when this returns.

        Raises TooMany, TooLarge, Invalid, Conflict for a version that is no longer the latest, NotFound.
        """
        self.reports.check(str(device.device_id), f"A device may report {REPORTS_A_MINUTE} times a minute.")
        check(wish.document, "reported")
        shadow = await self.get(device.device_id)
        if _changes(shadow, "reported", wish) is None:
            return shadow
        async with self._database.write() as session:
            row = await session.get(Device, device.device_id, with_for_update={"read": True, "key_share": True})
            if row is None:
                raise no_device(device.device_id)
            actor = Actor("device", row.id, row.device_uid)
            return await _set(session, row, "reported", wish, actor=actor, now=self._clock.now())

    async def desire(self, principal: UserPrincipal, device_id: int, wish: Wish) -> Shadow:
        """A user says how the device shall be. Raises like `report`, and Forbidden for who may only look."""
        check(wish.document, "desired")
        async with self._database.write() as session:
            row = await registry.get_for_change(session, principal, device_id)
            if row.claimed_at is None:
                raise Conflict("The device has been released; pair it again first.", code="not_claimed")

            def recorded(shadow: Shadow, patch: Document) -> None:
                details: dict[str, Any] = {"version": shadow.desired.version, "members": sorted(patch)[:20]}
                record_deed(session, DESIRED_SET, Actor.of(principal), row, **details)

            actor, now = Actor.of(principal), self._clock.now()
            return await _set(session, row, "desired", wish, actor=actor, now=now, recorded=recorded)


async def find_shadow(session: AsyncSession, device_id: int) -> Shadow:
    """The shadow; an empty one when there is no row."""
    row = await session.get(ShadowRow, device_id)
    return Shadow(device_id) if row is None else _read(row)


async def list_changes(
    session: AsyncSession, device_id: int, side: Side | None, *, before_id: int | None, limit: int
) -> Sequence[ShadowChange]:
    """The changes of one device, newest first; of each side the newest 200 are kept."""
    query = select(ShadowChange).where(ShadowChange.device_id == device_id).order_by(ShadowChange.id.desc())
    if side is not None:
        query = query.where(ShadowChange.side == side)
    if before_id is not None:
        query = query.where(ShadowChange.id < before_id)
    return (await session.scalars(query.limit(limit))).all()


def _changes(shadow: Shadow, side: Side, wish: Wish) -> tuple[Document, Document] | None:
    """The document after the wish, and the patch that leads there; None when nothing changes. Raises Conflict."""
    half: Half = getattr(shadow, side)
    if wish.version is not None and wish.version != half.version:
        raise Conflict(
            f"{side} is at version {half.version}, not {wish.version}: read the shadow again and repeat the change.",
            code="stale_version",
        )
    after = wish.applied_to(half.document)
    patch = difference(half.document, after)
    return (after, patch) if patch else None


async def _set(
    session: AsyncSession,
    device: Device,
    side: Side,
    wish: Wish,
    *,
    actor: Actor,
    now: datetime,
    recorded: Callable[[Shadow, Document], None] | None = None,
) -> Shadow:
    row = await _locked(session, device.id)
    changed = _changes(_read(row), side, wish)
    if changed is None:
        return _read(row)
    after, patch = changed
    check(after, side)
    version = getattr(row, f"{side}_version") + 1
    for name, value in ((side, after), (f"{side}_version", version), (f"{side}_at", now)):
        setattr(row, name, value)
    session.add(
        ShadowChange(
            device_id=device.id, side=side, version=version, changed_at=now, patch=patch,
            actor_kind=actor.kind, actor_id=actor.id, actor_name=actor.name,
        )
    )  # fmt: skip
    outdated = (ShadowChange.device_id == device.id) & (ShadowChange.side == side)
    await session.execute(delete(ShadowChange).where(outdated, ShadowChange.version <= version - KEPT_CHANGES))
    shadow = _read(row)
    if recorded is not None:
        recorded(shadow, patch)
    outbox.add(session, CHANGED, shadow_changed(shadow, side, patch, (device.organization_id, device.home_id)))
    return shadow


async def _locked(session: AsyncSession, device_id: int) -> ShadowRow:
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    blank = insert(ShadowRow).values(
        device_id=device_id, desired={}, desired_version=0, reported={}, reported_version=0
    )
    await session.execute(blank.on_conflict_do_nothing())
    return (await session.scalars(select(ShadowRow).where(ShadowRow.device_id == device_id).with_for_update())).one()


def _read(row: ShadowRow) -> Shadow:
    return Shadow(
        row.device_id,
        Half(row.desired, row.desired_version, row.desired_at),
        Half(row.reported, row.reported_version, row.reported_at),
    )
