"""Codes of an authenticator app (TOTP, RFC 6238) as the second factor beside a password, and recovery codes."""

import hashlib
import hmac
import json
import logging
import secrets
from dataclasses import dataclass
from datetime import datetime

import pyotp
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.credentials.keys import derived_key
from roost.access.credentials.models import OneTimeCodes, RecoveryCode
from roost.core.clock import Clock
from roost.core.errors import Conflict, Invalid

_log = logging.getLogger(__name__)

RECOVERY_CODES = 10
_ISSUER = "Roost"
_STEP_S = 30
# A phone's clock may be off, and a code takes a moment to type: the step before and the one after count, too.
_TOLERATED_STEPS = (-1, 0, 1)
_HEADER = {"alg": "dir", "enc": "A256GCM"}
# Without letters and digits that look alike.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_RECOVERY_CHARACTERS = 12


@dataclass(frozen=True, slots=True)
class Setup:
    """What an authenticator app has to know, as text and as the address behind a QR code."""

    secret: str
    otpauth_uri: str


@dataclass(frozen=True, slots=True)
class CodeStatus:
    """Whether a user has a second factor, since when, and how many recovery codes are left."""

    confirmed_at: datetime | None
    recovery_codes_left: int


class AppCodes:
    """Every method works within the caller's session. `secret` is the hub's signing secret.

    The secrets of the apps are kept encrypted under a key derived from it, recovery codes as keyed digests: neither is
    of use to who has the database alone.
    """

    def __init__(self, secret: str, clock: Clock) -> None:
        self._encryption = OctKey.import_key(derived_key(secret, "one-time codes"))
        self._digest_key = derived_key(secret, "recovery codes")
        self._clock = clock

    async def set_up(self, session: AsyncSession, user_id: int, account: str) -> Setup:
        """A fresh secret, which counts once `confirm` has seen a code of it. Raises Conflict when another counts."""
        row = await session.get(OneTimeCodes, user_id, with_for_update=True)
        if row is not None and row.confirmed_at is not None:
            raise Conflict("A second factor is set up already; remove it first.", code="totp_already_active")
        if row is not None:
            await session.delete(row)
            await session.flush()
        secret = pyotp.random_base32()
        now = self._clock.now()
        session.add(OneTimeCodes(user_id=user_id, secret=self._sealed(user_id, secret), created_at=now, last_step=0))
        return Setup(secret, pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=_ISSUER))

    async def confirm(self, session: AsyncSession, user_id: int, code: str) -> list[str]:
        """From now on a code is asked for. Returns the recovery codes, once. Raises Conflict or Invalid."""
        row = await session.get(OneTimeCodes, user_id, with_for_update=True)
        if row is None:
            raise Conflict("Set up an authenticator app first.", code="totp_not_set_up")
        if row.confirmed_at is not None:
            raise Conflict("The second factor is confirmed already.", code="totp_already_active")
        step = self._matching_step(row, code)
        if step is None:
            why = "This code is wrong; compare the clocks of the phone and of this machine, and send the next code."
            raise Invalid(why, code="wrong_code", errors=[{"pointer": "/code", "detail": why}])
        row.confirmed_at = self._clock.now()
        row.last_step = step
        return await self.renew_recovery_codes(session, user_id)

    async def renew_recovery_codes(self, session: AsyncSession, user_id: int) -> list[str]:
        """New recovery codes in place of the old ones."""
        await session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
        codes = [_new_recovery_code() for _ in range(RECOVERY_CODES)]
        session.add_all(RecoveryCode(user_id=user_id, digest=self._digest(user_id, code)) for code in codes)
        return codes

    async def remove(self, session: AsyncSession, user_id: int) -> bool:
        """The password is enough again; whether there was anything to remove."""
        await session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
        removal = delete(OneTimeCodes).where(OneTimeCodes.user_id == user_id).returning(OneTimeCodes.confirmed_at)
        return await session.scalar(removal) is not None

    async def status(self, session: AsyncSession, user_id: int) -> CodeStatus:
        """How things stand for this user."""
        confirmed_at = await session.scalar(select(OneTimeCodes.confirmed_at).where(OneTimeCodes.user_id == user_id))
        left = select(func.count()).select_from(RecoveryCode)
        left = left.where(RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None))
        return CodeStatus(confirmed_at, await session.scalar(left) or 0)

    async def is_set(self, session: AsyncSession, user_id: int) -> bool:
        """Whether this user has to send a code."""
        query = select(OneTimeCodes.user_id).where(OneTimeCodes.user_id == user_id)
        return await session.scalar(query.where(OneTimeCodes.confirmed_at.is_not(None))) is not None

    async def spend(self, session: AsyncSession, user_id: int, code: str) -> bool:
        """Whether this is a code of the app or a recovery code; it is not a second time. Needs a write session."""
        row = await session.get(OneTimeCodes, user_id)
        if row is None or row.confirmed_at is None:
            return False
        step = self._matching_step(row, code)
        if step is not None:
            # The condition decides, not what was read: of two requests with the same code one changes the row.
            mine = (OneTimeCodes.user_id == user_id) & (OneTimeCodes.last_step < step)
            spent = update(OneTimeCodes).where(mine).values(last_step=step).returning(OneTimeCodes.user_id)
            return await session.scalar(spent) is not None
        unused = (RecoveryCode.user_id == user_id) & RecoveryCode.used_at.is_(None)
        used = update(RecoveryCode).where(unused, RecoveryCode.digest == self._digest(user_id, code))
        return await session.scalar(used.values(used_at=self._clock.now()).returning(RecoveryCode.id)) is not None

    def _matching_step(self, row: OneTimeCodes, code: str) -> int | None:
        secret = self._opened(row)
        digits = code.strip().replace(" ", "")
        if secret is None or len(digits) != 6 or not (digits.isascii() and digits.isdecimal()):
            return None
        totp = pyotp.TOTP(secret)
        current = self._clock.now_ms() // 1000 // _STEP_S
        for offset in _TOLERATED_STEPS:
            step = current + offset
            if step > row.last_step and hmac.compare_digest(totp.generate_otp(step), digits):
                return step
        return None

    def _sealed(self, user_id: int, secret: str) -> str:
        # The user's id is sealed with it: copied to somebody else's row it does not open.
        content = json.dumps({"user_id": user_id, "secret": secret}).encode()
        return jwe.encrypt_compact(_HEADER, content, self._encryption)

    def _opened(self, row: OneTimeCodes) -> str | None:
        try:
            content = json.loads(jwe.decrypt_compact(row.secret, self._encryption).plaintext or b"")
        except (JoseError, ValueError):
            _log.exception("A second factor cannot be read: was ROOST_SECRET_KEY changed?")
            return None
        return str(content["secret"]) if content["user_id"] == row.user_id else None

    def _digest(self, user_id: int, code: str) -> str:
        normal = "".join(character for character in code.casefold() if character.isalnum())
        return hmac.new(
            self._digest_key, f"{user_id}\n{normal}".encode("utf-8", "surrogatepass"), hashlib.sha256
        ).hexdigest()


def _new_recovery_code() -> str:
    text = "".join(secrets.choice(_ALPHABET) for _ in range(_RECOVERY_CHARACTERS))
    return "-".join(text[start : start + 4] for start in range(0, _RECOVERY_CHARACTERS, 4))
