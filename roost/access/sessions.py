"""Sessions: opened by signing in, kept alive by rotating refresh tokens, ended by signing out or by a reused token."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.accounts import find_user_by_identifier
from roost.access.audit import addresses
from roost.access.audit.addresses import Sighting
from roost.access.audit.log import Actor, Deed, record
from roost.access.authentication import grants_of
from roost.access.models import RefreshToken, Session, User
from roost.access.names import unique_key
from roost.access.passwords import Passwords
from roost.access.principals import Grant
from roost.access.throttle import SignInThrottle
from roost.access.tokens import AccessTokens
from roost.core import outbox
from roost.core.clock import Clock
from roost.core.database import Database
from roost.core.errors import Forbidden, Unauthorized
from roost.core.ids import new_token, token_digest
from roost.core.settings import Settings

REVOKED = "session.revoked"
# Answers lost on the way make honest clients repeat a refresh; an ended session's tokens are no use to anyone later.
_KEEP_ENDED = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Client:
    """What somebody signs in from."""

    address: str
    user_agent: str | None = None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """An open session with the tokens that were just made for it."""

    user: User
    grants: tuple[Grant, ...]
    session_id: int
    access_token: str
    refresh_token: str


class SecondFactor(Protocol):
    """What may be asked for beside the password."""

    async def is_set(self, session: AsyncSession, user_id: int) -> bool:
        """Whether this user has to send a code."""
        ...

    async def spend(self, session: AsyncSession, user_id: int, code: str) -> bool:
        """Whether the code is right; it is not a second time. Needs a write session."""
        ...


class Sessions:
    """Sign in, refresh, sign out."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        tokens: AccessTokens,
        passwords: Passwords,
        clock: Clock,
        *,
        second_factor: SecondFactor | None = None,
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._passwords = passwords
        self._clock = clock
        self._second_factor = second_factor
        self._lifetime = timedelta(days=settings.refresh_token_expire_days)
        self.lifetime_s = settings.refresh_token_expire_days * 86_400
        self.throttle = SignInThrottle(clock)

    async def sign_in(self, identifier: str, password: str, client: Client, code: str | None = None) -> SignedIn:
        """Open a session. Raises TooMany after repeated failures, and Unauthorized: the same for every reason.

        Whoever has a second factor and sent the right password hears what is missing (`second_factor_required`) or
        wrong (`wrong_second_factor`).
        """
        account = unique_key(identifier)
        self.throttle.enter(account, client.address)
        user, better_hash = await self._check_password(identifier, password)
        if code is None and await self._needs_code(user.id):
            self.throttle.excuse(account, client.address)
            raise Unauthorized(
                "Send the code of your authenticator app, or a recovery code, as `code`.", code="second_factor_required"
            )
        if code is not None:
            self.throttle.enter_code(account, client.address)
        async with self._database.write() as session:
            # Asked again, in the transaction: a code counts once, and two requests may come with the same one.
            factor = self._second_factor
            asked = factor is not None and await factor.is_set(session, user.id)
            if asked and factor is not None and not (code and await factor.spend(session, user.id, code)):
                raise Unauthorized(
                    "This code is wrong or was used before; wait for the next.", code="wrong_second_factor"
                )
            if better_hash is not None:
                change = update(User).where(User.id == user.id, User.password_hash == user.password_hash)
                await session.execute(change.values(password_hash=better_hash))
            signed_in = await self.open(session, user, "password+code" if asked else "password", client)
        self.throttle.succeeded(account, client.address)
        return signed_in

    async def check_password(self, user_id: int, password: str, address: str) -> None:
        """Raises Forbidden unless this is the user's password; a wrong one counts like one at signing in."""
        async with self._database.read() as session:
            user = await session.get_one(User, user_id)
        account = unique_key(user.email)
        self.throttle.enter(account, address)
        matches, _ = await self._passwords.verify(password, user.password_hash)
        if not matches:
            # No 401: the session is good, and nobody has to sign in again.
            raise Forbidden("This is not your password.", code="wrong_password")
        self.throttle.succeeded(account, address)

    async def refresh(self, refresh_token: str, client: Client) -> SignedIn:
        """Exchange a refresh token for the next pair. A token used twice ends the session. Raises Unauthorized."""
        async with self._database.write() as session:
            spent = await self._spend(session, refresh_token, client)
            if spent is not None:
                return spent
        raise Unauthorized("The refresh token is not valid any more; sign in again.", code="invalid_refresh_token")

    async def sign_out(self, refresh_token: str) -> None:
        """End the session that the refresh token belongs to; unknown tokens are no session and need no ending."""
        async with self._database.write() as session:
            query = select(RefreshToken.session_id).where(RefreshToken.digest == token_digest(refresh_token))
            session_id = await session.scalar(query)
            if session_id is not None:
                await self._sign_out(session, session_id)

    async def end(self, session_id: int) -> None:
        """End a session by its id."""
        async with self._database.write() as session:
            await self._sign_out(session, session_id)

    async def open(self, session: AsyncSession, user: User, method: str, client: Client) -> SignedIn:
        """Open a session for somebody who has proved who they are by `method`."""
        now = self._clock.now()
        await session.execute(delete(Session).where(Session.expires_at < now - _KEEP_ENDED))
        await session.execute(update(User).where(User.id == user.id).values(last_sign_in_at=now))
        opened = Session(
            user_id=user.id, created_at=now, used_at=now, expires_at=now + self._lifetime,
            method=method, address=client.address[:64], user_agent=_shortened(client.user_agent),
        )  # fmt: skip
        session.add(opened)
        await session.flush()
        signed_in = await self._tokens_for(session, user, opened.id)
        deed = _deed("user.signed_in", user, opened.id, method=method)
        record(session, deed)
        sighting = Sighting(addresses.USERS, user.id, client.address, deed.actor)
        await addresses.keep(session, now, [sighting])
        return signed_in

    async def _check_password(self, identifier: str, password: str) -> tuple[User, str | None]:
        async with self._database.read() as session:
            user = await find_user_by_identifier(session, identifier)
        # Whether or not there is such a user, the same work is done before the same answer.
        matches, better_hash = await self._passwords.verify(password, user.password_hash if user else None)
        if user is None or not matches or not user.is_active:
            raise Unauthorized("The name or the password is wrong.", code="wrong_credentials")
        return user, better_hash

    async def _needs_code(self, user_id: int) -> bool:
        if self._second_factor is None:
            return False
        async with self._database.read() as session:
            return await self._second_factor.is_set(session, user_id)

    async def _spend(self, session: AsyncSession, refresh_token: str, client: Client) -> SignedIn | None:
        now = self._clock.now()
        query = select(RefreshToken, Session, User).join(Session, RefreshToken.session_id == Session.id)
        query = query.join(User, Session.user_id == User.id).where(RefreshToken.digest == token_digest(refresh_token))
        row = (await session.execute(query.with_for_update())).first()
        if row is None:
            return None
        token, opened, user = row
        if opened.revoked_at is not None or opened.expires_at <= now or not user.is_active:
            return None
        if token.spent_at is not None:
            # Either the thief or the owner is late; nobody can tell which, so both have to sign in again.
            if await end_session(session, self._clock, opened.id) is not None:
                deed = _deed("user.refresh_token_reused", user, opened.id)
                record(session, replace(deed, outcome="refused"))
            return None
        token.spent_at = now
        opened.used_at = now
        opened.expires_at = now + self._lifetime
        opened.address = client.address[:64]
        opened.user_agent = _shortened(client.user_agent) or opened.user_agent
        return await self._tokens_for(session, user, opened.id)

    async def _tokens_for(self, session: AsyncSession, user: User, session_id: int) -> SignedIn:
        refresh_token = new_token("rrt_")
        row = RefreshToken(session_id=session_id, digest=token_digest(refresh_token), created_at=self._clock.now())
        session.add(row)
        grants = await grants_of(session, user.id)
        access_token = self._tokens.issue(user_id=user.id, email=user.email, session_id=session_id, grants=grants)
        return SignedIn(user, grants, session_id, access_token, refresh_token)

    async def _sign_out(self, session: AsyncSession, session_id: int) -> None:
        user_id = await end_session(session, self._clock, session_id)
        if user_id is not None:
            record(session, _deed("user.signed_out", await session.get_one(User, user_id), session_id))


async def list_sessions(
    session: AsyncSession, clock: Clock, user_id: int, *, after_id: int, limit: int
) -> list[Session]:
    """The open sessions of a user, oldest first."""
    query = select(Session).where(Session.user_id == user_id, Session.revoked_at.is_(None), Session.id > after_id)
    query = query.where(Session.expires_at > clock.now())
    return list(await session.scalars(query.order_by(Session.id).limit(limit)))


async def end_session(
    session: AsyncSession, clock: Clock, session_id: int, *, user_id: int | None = None
) -> int | None:
    """End a session, if it is (that user's and) open; whose it was, or None when there was nothing to end."""
    ending = update(Session).where(Session.id == session_id, Session.revoked_at.is_(None))
    if user_id is not None:
        ending = ending.where(Session.user_id == user_id)
    owner_id = await session.scalar(ending.values(revoked_at=clock.now()).returning(Session.user_id))
    if owner_id is not None:
        outbox.add(session, REVOKED, {"session_id": session_id, "user_id": owner_id})
    return owner_id


async def end_all_sessions(session: AsyncSession, clock: Clock, user_id: int, *, but: int | None = None) -> int:
    """End every open session of the user, except perhaps one; how many there were."""
    ending = update(Session).where(Session.user_id == user_id, Session.revoked_at.is_(None))
    if but is not None:
        ending = ending.where(Session.id != but)
    now = clock.now()
    ended = (await session.execute(ending.values(revoked_at=now).returning(Session.id, Session.expires_at))).all()
    for session_id, _ in ended:
        outbox.add(session, REVOKED, {"session_id": session_id, "user_id": user_id})
    return sum(expires_at > now for _, expires_at in ended)


def _shortened(user_agent: str | None) -> str | None:
    return user_agent[:255] if user_agent else None


def _deed(action: str, user: User, session_id: int, **details: str) -> Deed:
    actor = Actor("user", user.id, user.email)
    return Deed(action, actor, object_kind="session", object_id=session_id, object_name=user.email, details={**details})
