"""From a token to a device, fast enough for every connect and every request."""

import asyncio
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update

from roost.core import outbox
from roost.core.bus import Bus
from roost.core.clock import Clock
from roost.core.database import Database
from roost.devices.identity import DeviceIdentity
from roost.devices.messages import DEVICE_EVENTS, TOKEN_REVOKED, device_event
from roost.devices.models import Device, DeviceToken

TOKEN_PREFIX = "rdt_"  # noqa: S105 - how a device token begins, not a token
_TOKEN = re.compile(r"rdt_[A-Za-z0-9_-]{43}")
_LOOKUP_BATCH = 200
_KEPT_IDENTITIES = 100_000
_KEPT_UNKNOWN = 10_000


@dataclass(slots=True)
class _Known:
    identity: DeviceIdentity
    # Epoch milliseconds at which a rotated token ends; None = it stands.
    expires_at_ms: int | None


@dataclass(slots=True)
class _Found:
    token_id: int
    replaces: bool
    expires_at: datetime | None
    identity: DeviceIdentity


def looks_like_device_token(token: str) -> bool:
    """Whether the text has the form of a device token; what has not is never looked up."""
    return _TOKEN.fullmatch(token) is not None


class DeviceIdentities:
    """Tokens by the SHA-256 of what was sent, so that neither the database nor a memory image gives a token away.

    Look-ups that arrive together share one query: ten thousand devices that come back at once, or ten thousand
    guesses, cost a few dozen queries. A guess once refused is remembered and costs none: tokens are random, so what is
    unknown today will not be given to anybody tomorrow.
    """

    def __init__(self, database: Database, clock: Clock, bus: Bus) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[bytes, _Known] = {}
        # Tuples: nearly every device has one token, for which a set takes four times the room.
        self._digests: dict[int, tuple[bytes, ...]] = {}
        self._unknown: dict[bytes, None] = {}
        self._waiting: dict[bytes, asyncio.Future[DeviceIdentity | None]] = {}
        self._lookup: asyncio.Task[None] | None = None
        # Counts invalidations: what was read before one must not be remembered after it.
        self._epoch = 0
        self._unsubscribe = bus.subscribe("device.", self._on_event)

    async def stop(self) -> None:
        self._unsubscribe()
        if self._lookup is not None:
            await asyncio.gather(self._lookup, return_exceptions=True)

    def cached(self, token: str) -> DeviceIdentity | None:
        """The device, when it is known without a query."""
        return self._recall(_digest(token))

    async def authenticate(self, token: str) -> DeviceIdentity | None:
        """The device that this token belongs to, or None. Errors of the database pass through."""
        digest = _digest(token)
        identity = self._recall(digest)
        if identity is not None:
            return identity
        if digest in self._unknown or not looks_like_device_token(token):
            return None
        future = self._waiting.get(digest)
        if future is None:
            future = self._waiting[digest] = asyncio.get_running_loop().create_future()
            if self._lookup is None:
                self._lookup = asyncio.create_task(self._look_up_waiting(), name="device-identities")
        # Shielded: others may wait for the same answer when this caller is cancelled.
        return await asyncio.shield(future)

    def forget(self, device_id: int) -> None:
        """Drop what is remembered about a device; its next message is looked up afresh."""
        self._epoch += 1
        for digest in self._digests.pop(device_id, ()):
            self._known.pop(digest, None)

    def _recall(self, digest: bytes) -> DeviceIdentity | None:
        known = self._known.get(digest)
        if known is None:
            return None
        if known.expires_at_ms is not None and self._clock.now_ms() >= known.expires_at_ms:
            self.forget(known.identity.device_id)
            return None
        return known.identity

    def _on_event(self, subject: str, message: dict[str, Any]) -> None:
        if subject in DEVICE_EVENTS:
            self.forget(message["device_id"])

    async def _look_up_waiting(self) -> None:
        try:
            while self._waiting:
                batch = dict(list(self._waiting.items())[:_LOOKUP_BATCH])
                try:
                    await self._answer(batch)
                except Exception as error:  # noqa: BLE001 - each caller gets it and answers for it
                    for future in batch.values():
                        if not future.done():
                            future.set_exception(error)
                            # A caller that was cancelled never looks; that is no leak.
                            future.exception()
                finally:
                    for digest in batch:
                        self._waiting.pop(digest, None)
        finally:
            self._lookup = None

    async def _answer(self, batch: dict[bytes, asyncio.Future[DeviceIdentity | None]]) -> None:
        epoch = self._epoch
        found = await self._find([digest.hex() for digest in batch])
        firsts = [one for one in found.values() if one.replaces]
        if firsts:
            await self._end_replaced(firsts)
            # The old tokens' end is published by now, and has itself turned the epoch.
            epoch = self._epoch
            found = await self._find([digest.hex() for digest in batch])
        for digest, future in batch.items():
            one = found.get(digest.hex())
            if one is None:
                self._note_unknown(digest)
            elif epoch == self._epoch:
                self._remember(digest, one)
            if not future.done():
                future.set_result(one.identity if one else None)

    async def _find(self, digests: list[str]) -> dict[str, _Found]:
        now = self._clock.now()
        query = (
            select(
                DeviceToken.digest,
                DeviceToken.id,
                DeviceToken.replaces,
                DeviceToken.expires_at,
                Device.id,
                Device.device_uid,
                Device.organization_id,
                Device.home_id,
            )
            .join(Device, Device.id == DeviceToken.device_id)
            .where(DeviceToken.digest.in_(digests), Device.claimed_at.is_not(None), Device.retired_at.is_(None))
        )
        async with self._database.read() as session:
            rows = (await session.execute(query)).all()
        return {
            digest: _Found(token_id, replaces, expires_at, DeviceIdentity(device_id, uid, organization_id, home_id))
            for digest, token_id, replaces, expires_at, device_id, uid, organization_id, home_id in rows
            if (expires_at is None or expires_at > now) and organization_id is not None
        }

    async def _end_replaced(self, firsts: list[_Found]) -> None:
        """The first use of a new token ends those before it."""
        async with self._database.write() as session:
            for first in firsts:
                device = first.identity
                older = (DeviceToken.device_id == device.device_id) & (DeviceToken.id < first.token_id)
                ended = await session.execute(delete(DeviceToken).where(older).returning(DeviceToken.id))
                await session.execute(
                    update(DeviceToken).where(DeviceToken.id == first.token_id).values(replaces=False)
                )
                if ended.all():
                    outbox.add(session, TOKEN_REVOKED, device_event(device.device_id, device.organization_id))

    def _remember(self, digest: bytes, found: _Found) -> None:
        if len(self._known) >= _KEPT_IDENTITIES:
            self.forget(next(iter(self._digests)))
        expires_at_ms = int(found.expires_at.timestamp() * 1000) if found.expires_at else None
        self._known[digest] = _Known(found.identity, expires_at_ms)
        others = self._digests.get(found.identity.device_id, ())
        if digest not in others:
            self._digests[found.identity.device_id] = (*others, digest)

    def _note_unknown(self, digest: bytes) -> None:
        if len(self._unknown) >= _KEPT_UNKNOWN:
            del self._unknown[next(iter(self._unknown))]
        self._unknown[digest] = None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
