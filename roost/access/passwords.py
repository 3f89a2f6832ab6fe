"""Passwords: what is accepted, and how they are kept (argon2id as OWASP advises; bcrypt is verified and upgraded)."""

import asyncio
import unicodedata
from concurrent.futures import ThreadPoolExecutor

from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher
from pwdlib.hashers.bcrypt import BcryptHasher

from roost.access.common_passwords import is_common
from roost.core.errors import Invalid
from roost.core.memory import return_large_blocks

SHORTEST = 8
LONGEST = 256
_MEMORY_KIB = 19 * 1024
_AT_ONCE = 2
# Verified in place of the hash of somebody who does not exist: the same work, and never a match.
_NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$d29ya2luZ2FzbG9uZ2FzaXQ$Zm9yYXJlYWxwZXJzb25idXRuZXZlcm1hdGNoaW5nISE"


def weakness(password: str, *, email: str = "", username: str = "") -> str | None:
    """Why the password is not strong enough, as a sentence; None when it is."""
    normal = _normal(password)
    if len(normal) < SHORTEST:
        return f"The password needs at least {SHORTEST} characters."
    if len(normal) > LONGEST:
        return f"The password may have at most {LONGEST} characters."
    plain = normal.casefold()
    own = {name for name in (email.casefold(), email.casefold().partition("@")[0], username.casefold()) if name}
    if plain in own:
        return "The password must not be your e-mail address or your username."
    if is_common(normal):
        return "This password stands in lists of breached passwords; choose another one."
    return None


def refuse_weak(password: str, *, email: str = "", username: str | None = None, pointer: str = "/password") -> None:
    """Raises Invalid with the reason, at the field `pointer`, for a password that is not strong enough."""
    why_weak = weakness(password, email=email, username=username or "")
    if why_weak:
        raise Invalid(why_weak, code="weak_password", errors=[{"pointer": pointer, "detail": why_weak}])


class Passwords:
    """Hashes and verifies in threads, a few at a time: each hash takes 19 MiB and some 30 ms of a core."""

    def __init__(self) -> None:
        return_large_blocks()
        argon2 = Argon2Hasher(memory_cost=_MEMORY_KIB, time_cost=2, parallelism=1)
        self._hash = PasswordHash((argon2, BcryptHasher()))
        self._threads = ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="passwords")

    async def hash(self, password: str) -> str:
        """The hash to keep of a password."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._hash.hash, _normal(password))

    async def verify(self, password: str, kept: str | None) -> tuple[bool, str | None]:
        """Whether the password matches, and a better hash to keep from now on if there is one.

        Without a kept hash (nobody by that name) the same work is done and the answer is no.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._verify, password, kept)

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password: str, kept: str | None) -> tuple[bool, str | None]:
        try:
            matches, better = self._hash.verify_and_update(_normal(password)[:LONGEST], kept or _NOBODY)
        except (ValueError, UnknownHashError):
            # bcrypt refuses what is longer than it can hash; such a password was never accepted with it.
            return False, None
        return (matches and kept is not None), better


def _normal(password: str) -> str:
    # The same characters typed on two systems may arrive composed or decomposed.
    return unicodedata.normalize("NFKC", password)
