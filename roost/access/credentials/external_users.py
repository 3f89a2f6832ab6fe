"""From who somebody is at a provider to a user here: linked before, linked now, or registered."""

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.audit.log import Actor, Deed, record
from roost.access.credentials import api_tokens
from roost.access.credentials.models import Challenge, ExternalIdentity, OneTimeCodes, Passkey, RecoveryCode
from roost.access.credentials.oidc import ExternalUser, OidcFailed
from roost.access.credentials.ports import Register
from roost.access.models import User
from roost.access.names import DisplayName, EmailAddress, unique_key
from roost.access.sessions import end_all_sessions
from roost.core.clock import Clock
from roost.core.errors import Conflict, NotFound

_EMAIL = TypeAdapter[str](EmailAddress)
_NAME = TypeAdapter[str](DisplayName)


async def user_of(session: AsyncSession, clock: Clock, who: ExternalUser, register: Register) -> User:
    """The user who signs in: by who they are at the provider, else by e-mail address, else a new one.

    Raises OidcFailed when the provider does not vouch for the address, or the account is deactivated.
    """
    identity = await _find(session, who)
    if identity is not None:
        user = await session.get_one(User, identity.user_id)
        identity.last_used_at = clock.now()
        identity.email = who.email
    else:
        user = await _match(session, clock, who, register)
    if not user.is_active:
        raise OidcFailed("account_inactive", "This account is deactivated.")
    return user


async def link(session: AsyncSession, clock: Clock, who: ExternalUser, user_id: int) -> None:
    """Somebody who is signed in wants to sign in at the provider from now on. Raises OidcFailed."""
    identity = await _find(session, who)
    if identity is not None and identity.user_id != user_id:
        raise OidcFailed("oidc_linked_elsewhere", "Another account here signs in with this one.")
    if identity is None:
        _link(session, clock, who, await session.get_one(User, user_id))


async def list_identities(session: AsyncSession, user_id: int, *, after_id: int, limit: int) -> list[ExternalIdentity]:
    """Where a user can sign in, oldest first."""
    query = select(ExternalIdentity).where(ExternalIdentity.user_id == user_id, ExternalIdentity.id > after_id)
    return list(await session.scalars(query.order_by(ExternalIdentity.id).limit(limit)))


async def unlink(session: AsyncSession, user: User, identity_id: int) -> ExternalIdentity:
    """Raises NotFound, or Conflict when nothing would be left to sign in with."""
    mine = ExternalIdentity.user_id == user.id
    identity = await session.scalar(select(ExternalIdentity).where(ExternalIdentity.id == identity_id, mine))
    if identity is None:
        raise NotFound("You do not sign in with that.", code="external_identity_not_found")
    others = await session.scalar(select(func.count()).select_from(ExternalIdentity).where(mine)) or 0
    passkeys = await session.scalar(select(func.count()).select_from(Passkey).where(Passkey.user_id == user.id)) or 0
    if user.password_hash is None and others + passkeys == 1:
        raise Conflict("This is all that you can sign in with; set a password first.", code="last_sign_in_method")
    await session.delete(identity)
    return identity


async def _find(session: AsyncSession, who: ExternalUser) -> ExternalIdentity | None:
    query = select(ExternalIdentity).where(
        ExternalIdentity.issuer == who.issuer, ExternalIdentity.subject == who.subject
    )
    return await session.scalar(query)


async def _match(session: AsyncSession, clock: Clock, who: ExternalUser, register: Register) -> User:
    email = _vouched_email(who)
    key = unique_key(email)
    user = await session.scalar(select(User).where(User.email_key == key).with_for_update())
    if user is None:
        newcomer = await register(session, clock, email=email, password_hash=None, full_name=_display_name(who))
        user = newcomer.user
    elif user.proven_email_key != key and user.is_active:
        await _take_over(session, clock, user)
    user.proven_email_key = key
    _link(session, clock, who, user)
    return user


async def _take_over(session: AsyncSession, clock: Clock, user: User) -> None:
    """Whoever made this account never showed that the address is theirs; it may have been laid out as a trap.

    Now its holder is here. What the other one could come back with is taken away.
    """
    ended = await end_all_sessions(session, clock, user.id)
    revoked = await api_tokens.revoke_all(session, clock, user.id)
    user.password_hash = None
    # Challenges: reset links that somebody was shown, and what else is under way.
    for table in (Passkey, OneTimeCodes, RecoveryCode, Challenge):
        await session.execute(delete(table).where(table.user_id == user.id))
    deed = Deed(
        "user.taken_over", Actor("user", user.id, user.email), object_kind="user", object_id=user.id,
        object_name=user.email, details={"sessions_ended": ended, "api_tokens_revoked": revoked},
    )  # fmt: skip
    record(session, deed)


def _link(session: AsyncSession, clock: Clock, who: ExternalUser, user: User) -> None:
    now = clock.now()
    session.add(
        ExternalIdentity(
            user_id=user.id, issuer=who.issuer, subject=who.subject, email=who.email, created_at=now, last_used_at=now
        )
    )
    deed = Deed(
        "external_identity.linked", Actor("user", user.id, user.email), object_kind="user", object_id=user.id,
        object_name=user.email, details={"issuer": who.issuer},
    )  # fmt: skip
    record(session, deed)


def _vouched_email(who: ExternalUser) -> str:
    if who.email is None or not who.email_verified:
        raise OidcFailed("oidc_email_unverified", "The provider does not vouch for an e-mail address.")
    try:
        return _EMAIL.validate_python(who.email)
    except ValidationError:
        raise OidcFailed("oidc_failed", "The provider's e-mail address is none.") from None


def _display_name(who: ExternalUser) -> str | None:
    try:
        return _NAME.validate_python((who.name or "")[:120])
    except ValidationError:
        return None
