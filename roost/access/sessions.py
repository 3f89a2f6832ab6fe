"""Sessions: opened by signing in, kept alive by rotating refresh tokens, ended by signing out or by a reused token."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.accounts import find_user_by_identifier
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
from roost.core.errors import Unauthorized
from roost.core.ids import new_token, token_digest
from roost.core.settings import Settings

# Answers lost on the way make honest clients repeat a refresh; an ended session's tokens are no use to anyone later.
_KEEP_ENDED = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """An open session with the tokens that were just made for it."""

    user: User
    grants: tuple[Grant, ...]
    session_id: int
    access_token: str
    refresh_token: str


class Sessions:
    """Sign in, refresh, sign out."""

    def __init__(
        self, database: Database, settings: Settings, tokens: AccessTokens, passwords: Passwords, clock: Clock
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._passwords = passwords
        self._clock = clock
        self._lifetime = timedelta(days=settings.refresh_token_expire_days)
        self.lifetime_s = settings.refresh_token_expire_days * 86_400
        self.throttle = SignInThrottle(clock)

    async def sign_in(self, identifier: str, password: str, address: str) -> SignedIn:
        """Open a session. Raises Unauthorized, the same for every reason, or TooMany after repeated failures."""
        account = unique_key(identifier)
        self.throttle.enter(account, address)
        async with self._database.read() as session:
            user = await find_user_by_identifier(session, identifier)
        # Whether or not there is such a user, the same work is done before the same answer.
        matches, better_hash = await self._passwords.verify(password, user.password_hash if user else None)
        if user is None or not matches or not user.is_active:
            raise Unauthorized("The name or the password is wrong.", code="wrong_credentials")
        self.throttle.succeeded(account, address)
        async with self._database.write() as session:
            if better_hash is not None:
                change = update(User).where(User.id == user.id, User.password_hash == user.password_hash)
                await session.execute(change.values(password_hash=better_hash))
            return await self._open(session, user)

    async def refresh(self, refresh_token: str) -> SignedIn:
        """Exchange a refresh token for the next pair. A token used twice ends the session. Raises Unauthorized."""
        async with self._database.write() as session:
            spent = await self._spend(session, refresh_token)
            if spent is not None:
                return spent
        raise Unauthorized("The refresh token is not valid any more; sign in again.", code="invalid_refresh_token")

    async def sign_out(self, refresh_token: str) -> None:
        """End the session that the refresh token belongs to; unknown tokens are no session and need no ending."""
        async with self._database.write() as session:
            query = select(RefreshToken.session_id).where(RefreshToken.digest == token_digest(refresh_token))
            session_id = await session.scalar(query)
            if session_id is not None:
                await self._end(session, session_id)

    async def end(self, session_id: int) -> None:
        """End a session by its id."""
        async with self._database.write() as session:
            await self._end(session, session_id)

    async def _open(self, session: AsyncSession, user: User) -> SignedIn:
        now = self._clock.now()
        await session.execute(delete(Session).where(Session.expires_at < now - _KEEP_ENDED))
        opened = Session(user_id=user.id, created_at=now, used_at=now, expires_at=now + self._lifetime)
        session.add(opened)
        await session.flush()
        return await self._tokens_for(session, user, opened.id)

    async def _spend(self, session: AsyncSession, refresh_token: str) -> SignedIn | None:
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
            await self._end(session, opened.id)
            return None
        token.spent_at = now
        opened.used_at = now
        opened.expires_at = now + self._lifetime
        return await self._tokens_for(session, user, opened.id)

    async def _tokens_for(self, session: AsyncSession, user: User, session_id: int) -> SignedIn:
        refresh_token = new_token("rrt_")
        row = RefreshToken(session_id=session_id, digest=token_digest(refresh_token), created_at=self._clock.now())
        session.add(row)
        grants = await grants_of(session, user.id)
        access_token = self._tokens.issue(user_id=user.id, email=user.email, session_id=session_id, grants=grants)
        return SignedIn(user, grants, session_id, access_token, refresh_token)

    async def _end(self, session: AsyncSession, session_id: int) -> None:
        ending = update(Session).where(Session.id == session_id, Session.revoked_at.is_(None))
        user_id = await session.scalar(ending.values(revoked_at=self._clock.now()).returning(Session.user_id))
        if user_id is not None:
            outbox.add(session, "session.revoked", {"session_id": session_id, "user_id": user_id})
