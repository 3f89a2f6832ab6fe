"""Links with which somebody sets a password without knowing the old one: signed, short-lived, good once."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.audit.log import Actor, Deed, record
from roost.access.authentication import grants_of
from roost.access.credentials import challenges
from roost.access.credentials.keys import derived_key
from roost.access.credentials.models import Challenge
from roost.access.models import User
from roost.access.passwords import Passwords, refuse_weak
from roost.access.principals import UserPrincipal
from roost.access.sessions import end_all_sessions
from roost.core.clock import Clock
from roost.core.database import Database
from roost.core.errors import Gone
from roost.core.ids import new_token

LIFETIME = timedelta(minutes=30)
PAGE = "reset-password"
"""The page of the web app that takes the token, behind the `#` of its address."""

_PURPOSE = "password_reset"
_ALGORITHM = "HS256"
_TYPE = "roost-reset+jwt"


@dataclass(frozen=True, slots=True)
class ResetLink:
    """What belongs behind the `#` of the link, and until when it is good."""

    token: str
    expires_at: datetime


class PasswordResets:
    """Makes such links and takes them. `secret` is the hub's signing secret."""

    def __init__(self, database: Database, passwords: Passwords, secret: str, clock: Clock) -> None:
        self._database = database
        self._passwords = passwords
        self._key = OctKey.import_key(derived_key(secret, "password resets"))
        self._clock = clock

    async def issue(
        self,
        session: AsyncSession,
        user: User,
        *,
        mailed: bool,
        offered_by: UserPrincipal | None = None,
        lifetime: timedelta = LIFETIME,
    ) -> ResetLink:
        """A link for this user. `mailed`: it goes to the user's address and nowhere else, so its use proves that.

        `offered_by`: who gets to see it, and so has to stand as high as the user still when it is used.
        """
        secret = new_token("")
        data = {
            "mailed_to": user.email_key if mailed else None,
            "offered_by": None if mailed or offered_by is None else offered_by.user_id,
        }
        begun = await challenges.begin(
            session, self._clock, purpose=_PURPOSE, secret=secret, lifetime=lifetime, user_id=user.id, data=data
        )
        claims: dict[str, object] = {"jti": secret, "exp": int(begun.expires_at.timestamp())}
        header = {"alg": _ALGORITHM, "typ": _TYPE}
        return ResetLink(jwt.encode(header, claims, self._key, algorithms=[_ALGORITHM]), begun.expires_at)

    async def withdraw(self, session: AsyncSession, user_id: int) -> None:
        """No link that was made for the user so far is good any more."""
        await session.execute(delete(Challenge).where(Challenge.user_id == user_id, Challenge.purpose == _PURPOSE))

    async def redeem(self, token: str, password: str) -> int:
        """Set the password and end every session of the user, whose id this returns.

        Raises Gone for a link that is forged, used or expired, and Invalid for a weak password: the link stays good.
        """
        secret = self._verified(token)
        async with self._database.read() as session:
            begun = await challenges.find(session, self._clock, _PURPOSE, secret)
            user = await session.get(User, begun.user_id) if begun is not None else None
        if user is None or not user.is_active:
            raise _gone()
        refuse_weak(password, email=user.email, username=user.username)
        password_hash = await self._passwords.hash(password)
        async with self._database.write() as session:
            await self._finish(session, secret, password_hash)
        return user.id

    async def _finish(self, session: AsyncSession, secret: str, password_hash: str) -> None:
        taken = await challenges.take(session, self._clock, _PURPOSE, secret)
        user = await session.get(User, taken.user_id) if taken is not None else None
        if taken is None or user is None or not user.is_active or not await _still_offered(session, taken, user.id):
            raise _gone()
        user.password_hash = password_hash
        user.updated_at = self._clock.now()
        if taken.data.get("mailed_to") is not None:
            user.proven_email_key = taken.data["mailed_to"]
        # Other links that are still under way were asked for before this one was used.
        await self.withdraw(session, user.id)
        ended = await end_all_sessions(session, self._clock, user.id)
        actor = Actor("user", user.id, user.email)
        record(
            session,
            Deed(
                "user.password_reset", actor, object_kind="user", object_id=user.id, object_name=user.email,
                details={"sessions_ended": ended},
            ),
        )  # fmt: skip

    def _verified(self, token: str) -> str:
        try:
            verified = jwt.decode(token, self._key, algorithms=[_ALGORITHM])
            secret, expires_at_s = str(verified.claims["jti"]), int(verified.claims["exp"])
        except (JoseError, ValueError, TypeError, KeyError):
            raise _gone() from None
        if verified.header.get("typ") != _TYPE or expires_at_s <= self._clock.now_ms() / 1000:
            raise _gone()
        return secret


async def _still_offered(session: AsyncSession, taken: Challenge, user_id: int) -> bool:
    """Whether whoever has seen the link may still decide over the user."""
    offerer_id = taken.data.get("offered_by")
    if offerer_id is None:
        return True
    offerer = await session.get(User, offerer_id)
    if offerer is None or not offerer.is_active:
        return False
    principal = UserPrincipal(offerer.id, offerer.email, offerer.username, 0, await grants_of(session, offerer.id))
    return principal.manages(await grants_of(session, user_id))


def _gone() -> Gone:
    return Gone("This link was used already or has expired; ask for a new one.", code="reset_link_gone")
