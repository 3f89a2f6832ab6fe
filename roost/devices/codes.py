"""Pairing codes: made, read back from a person's fingers, and judged. Pure functions."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

# Crockford's base 32: no I, L, O or U, and whoever types one of the first three means 1, 1 and 0.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CODE_LENGTH = 8
WRONG_TRIES_ALLOWED = 5
_MISREAD = str.maketrans({"I": "1", "L": "1", "O": "0", "-": None, " ": None})


class Verdict(Enum):
    """What a try to confirm amounts to."""

    ACCEPTED = "accepted"
    WRONG = "wrong"
    WRONG_KEY = "wrong_key"
    BURNING = "burning"
    BURNT = "burnt"
    EXPIRED = "expired"
    USED = "used"


@dataclass(frozen=True, slots=True)
class OpenCode:
    """What is known about a device's code when somebody tries one."""

    salt: bytes
    code_hash: str
    wrong_tries: int
    expires_at: datetime
    used_at: datetime | None
    pairing_key_hash: str | None


def new_code() -> str:
    """A code of 40 random bits, written XXXX-XXXX."""
    letters = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
    return f"{letters[:4]}-{letters[4:]}"


def normalized(typed: str) -> str:
    """The code as it was made, whatever its case, dashes, spaces and look-alike letters."""
    return typed.upper().translate(_MISREAD)


def code_digest(salt: bytes, typed: str) -> str:
    """Keyed by the row's salt: hex of 32 bytes."""
    return hmac.new(salt, normalized(typed).encode(), hashlib.sha256).hexdigest()


def key_matches(pairing_key: str | None, pairing_key_hash: str | None) -> bool:
    """Whether the device proves the key it announced; a device that announced none has nothing to prove."""
    if pairing_key_hash is None:
        return True
    if pairing_key is None:
        return False
    return hmac.compare_digest(hashlib.sha256(pairing_key.encode()).hexdigest(), pairing_key_hash)


def judge(code: OpenCode, typed: str, pairing_key: str | None, now: datetime) -> Verdict:
    """Decide on one try.

    The code is compared before its age and use are told, so that only who knows the code learns more than "wrong".
    A burnt code says so to everyone: its owner has to hear that a new one is needed.
    """
    if code.wrong_tries >= WRONG_TRIES_ALLOWED:
        return Verdict.BURNT
    last_try = code.wrong_tries + 1 >= WRONG_TRIES_ALLOWED
    if not hmac.compare_digest(code_digest(code.salt, typed), code.code_hash):
        return Verdict.BURNING if last_try and code.used_at is None else Verdict.WRONG
    if code.used_at is not None:
        return Verdict.USED
    if now >= code.expires_at:
        return Verdict.EXPIRED
    if not key_matches(pairing_key, code.pairing_key_hash):
        return Verdict.BURNING if last_try else Verdict.WRONG_KEY
    return Verdict.ACCEPTED
