"""Pairing: a signed-in user makes a code, the device confirms it and gets its token."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.audit.log import Actor
from roost.access.principals import UserPrincipal
from roost.core import outbox
from roost.core.clock import Clock
from roost.core.database import Database
from roost.core.errors import Conflict, Forbidden, Gone, NotFound, RoostError, TooMany
from roost.devices import credentials
from roost.devices.codes import OpenCode, Verdict, code_digest, judge, new_code
from roost.devices.deeds import CLAIMED, PAIRING_STARTED, record_deed
from roost.devices.messages import PAIRED, device_event
from roost.devices.models import Device, PairingCode
from roost.devices.placement import place_new
from roost.devices.repository import find_by_uid, find_code
from roost.devices.schemas import PairingConfirm, PairingStart

_SPENDS_A_TRY = {Verdict.WRONG, Verdict.WRONG_KEY, Verdict.BURNING}


@dataclass(frozen=True, slots=True)
class NewCode:
    device_uid: str
    code: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Paired:
    device_id: int
    token: str


async def start(
    session: AsyncSession, clock: Clock, principal: UserPrincipal, wanted: PairingStart, *, expire_s: int
) -> NewCode:
    """Make a code for a device that has said hello; a code made before for it is no longer good.

    Raises NotFound for an unknown device, Conflict for one that is claimed.
    """
    place = await place_new(
        session,
        principal,
        home_id=wanted.home_id,
        room_id=wanted.room_id,
        organization_id=wanted.organization_id,
    )
    device = await find_by_uid(session, wanted.device_uid, lock=True)
    if device is None:
        raise NotFound(
            f"No device {wanted.device_uid!r} has said hello; switch it on and try again.", code="device_not_found"
        )
    if device.claimed_at is not None:
        raise Conflict(
            f"The device {wanted.device_uid!r} is already claimed; its owner has to release it first.",
            code="already_claimed",
        )
    now = clock.now()
    code, salt = new_code(), secrets.token_bytes(16)
    await session.execute(delete(PairingCode).where(PairingCode.device_id == device.id))
    row = PairingCode(
        device_id=device.id,
        organization_id=place.organization_id,
        home_id=place.home_id,
        room_id=place.room_id,
        salt=salt,
        code_hash=code_digest(salt, code),
        wrong_tries=0,
        created_at=now,
        expires_at=now + timedelta(seconds=expire_s),
    )
    session.add(row)
    await session.flush()
    record_deed(
        session,
        PAIRING_STARTED,
        Actor.of(principal),
        device,
        organization_id=place.organization_id,
        home_id=place.home_id,
    )
    return NewCode(device.device_uid, code, row.expires_at)


async def confirm(database: Database, clock: Clock, tried: PairingConfirm) -> Paired:
    """Claim the device for whoever made the code.

    The transaction ends before a refusal is raised: a wrong try has to be counted although it fails.
    """
    async with database.write() as session:
        device = await find_by_uid(session, tried.device_uid, lock=True)
        code = await find_code(session, device.id) if device is not None else None
        if device is None or code is None:
            raise _refusal(Verdict.WRONG)
        verdict = _judge(device, code, tried, clock.now())
        if verdict in _SPENDS_A_TRY and code.used_at is None:
            code.wrong_tries += 1
        if verdict is Verdict.ACCEPTED:
            return await _claim(session, device, code, clock.now())
    raise _refusal(verdict)


def _judge(device: Device, code: PairingCode, tried: PairingConfirm, now: datetime) -> Verdict:
    known = OpenCode(
        code.salt, code.code_hash, code.wrong_tries, code.expires_at, code.used_at, device.pairing_key_hash
    )
    return judge(known, tried.pairing_code, tried.pairing_key, now)


async def _claim(session: AsyncSession, device: Device, code: PairingCode, now: datetime) -> Paired:
    code.used_at = now
    if device.organization_id not in {None, code.organization_id}:
        device = await _succeed(session, device, code, now)
    device.organization_id = code.organization_id
    device.home_id = code.home_id
    device.room_id = code.room_id
    device.claimed_at = device.updated_at = now
    device.status_reason = None
    token = await credentials.issue(session, device.id, now)
    outbox.add(session, PAIRED, device_event(device.id, device.organization_id))
    record_deed(session, CLAIMED, Actor("device", device.id, device.device_uid), device, home_id=device.home_id)
    return Paired(device.id, token)


async def _succeed(session: AsyncSession, former: Device, code: PairingCode, now: datetime) -> Device:
    """The same hardware under a new owner begins with a new row; the former owner keeps the old one."""
    former.retired_at = former.updated_at = now
    former.status_reason = "It was released and now belongs to somebody else."
    await session.flush()
    device = Device(
        device_uid=former.device_uid,
        name=former.device_uid,
        firmware_version=former.firmware_version,
        capabilities=former.capabilities,
        pairing_key_hash=former.pairing_key_hash,
        status="offline",
        hello_at=former.hello_at,
        created_at=now,
    )
    device.updated_at = now
    session.add(device)
    await session.flush()
    # The code goes with the uid, so that a replay is still recognised.
    code.device_id = device.id
    return device


def _refusal(verdict: Verdict) -> RoostError:
    if verdict is Verdict.USED:
        return Conflict("This code has been used; the device is paired.", code="pairing_code_used")
    if verdict is Verdict.EXPIRED:
        return Gone("This code has expired; make a new one.", code="pairing_code_expired")
    if verdict is Verdict.BURNT:
        return Gone("This code was tried wrongly too often; make a new one.", code="pairing_code_burnt")
    if verdict is Verdict.BURNING:
        return TooMany(
            "That was the fifth wrong try, so the code is no longer good; make a new one.",
            code="pairing_code_burnt",
            retry_after_s=60,
        )
    if verdict is Verdict.WRONG_KEY:
        return Forbidden(
            "The device announced a pairing key with its hello and has to prove it: send that key as pairing_key.",
            code="pairing_key_mismatch",
        )
    return NotFound("This code is not right for this device; compare it letter by letter.", code="pairing_code_wrong")
