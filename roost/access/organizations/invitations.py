"""Invitations: an offer of a role to whoever holds the link, good for a week and once."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access import accounts
from roost.access.audit.log import Actor, Deed, record
from roost.access.authentication import grants_of
from roost.access.messages import tell_grants_changed
from roost.access.models import GrantRow, Organization, User
from roost.access.names import unique_key
from roost.access.organizations.members import TECHNICIAN, refuse_foreign_homes, require_manages
from roost.access.organizations.models import Invitation
from roost.access.organizations.ports import Belongings
from roost.access.organizations.schemas import InvitationStatus
from roost.access.principals import Grant, UserPrincipal
from roost.core.clock import Clock
from roost.core.errors import Conflict, Gone, NotFound
from roost.core.ids import new_token, token_digest

TOKEN_PREFIX = "rinv_"  # noqa: S105 - how such a token begins
GOOD_FOR = timedelta(days=7)
# Of one user: a hub must not become a way to fill strangers' mailboxes.
INVITATIONS_AT_ONCE = 60
INVITATIONS_A_MINUTE = 10
TOO_MANY_MAILS = "You have invited many people; wait a moment before the next one."


@dataclass(frozen=True, slots=True)
class Offer:
    """An invitation with what its holder is shown of it."""

    invitation: Invitation
    organization: Organization
    inviter: User | None


@dataclass(frozen=True, slots=True)
class Newcomer:
    """What somebody without an account says to get one; the password is hashed already."""

    password_hash: str
    username: str | None
    full_name: str | None


def status_of(invitation: Invitation, now: datetime) -> InvitationStatus:
    """What has become of it."""
    if invitation.accepted_at is not None:
        return "accepted"
    if invitation.revoked_at is not None:
        return "revoked"
    return "expired" if invitation.expires_at <= now else "pending"


def with_status(status: InvitationStatus, now: datetime) -> ColumnElement[bool]:
    """The same as a WHERE clause."""
    accepted, revoked = Invitation.accepted_at.is_not(None), Invitation.revoked_at.is_not(None)
    if status == "accepted":
        return accepted
    if status == "revoked":
        return revoked & ~accepted
    in_time = Invitation.expires_at > now
    return ~accepted & ~revoked & (in_time if status == "pending" else ~in_time)


async def invite(
    session: AsyncSession,
    clock: Clock,
    principal: UserPrincipal,
    belongings: Belongings,
    organization: Organization,
    *,
    email: str,
    role: str,
    home_ids: list[int],
) -> tuple[Invitation, str]:
    """A new invitation and its token; one that was open for the same address ends.

    Raises Forbidden for a role above one's own, Conflict for a member, Invalid for homes of others.
    """
    require_manages(principal, (Grant(role, organization.id),))
    await refuse_foreign_homes(session, belongings, organization.id, home_ids)
    key = unique_key(email)
    member = exists().where(GrantRow.organization_id == organization.id, GrantRow.user_id == User.id)
    if await session.scalar(select(User.id).where(User.email_key == key, member)) is not None:
        raise Conflict(f"{email} is a member already; change the role there.", code="already_member")
    now = clock.now()
    same = (Invitation.organization_id == organization.id) & (Invitation.email_key == key)
    await session.execute(update(Invitation).where(same, with_status("pending", now)).values(revoked_at=now))
    token = new_token(TOKEN_PREFIX)
    invitation = Invitation(
        organization_id=organization.id,
        email=email,
        email_key=key,
        role=role,
        home_ids=sorted(set(home_ids)),
        digest=token_digest(token),
        invited_by=principal.user_id,
        created_at=now,
        expires_at=now + GOOD_FOR,
    )
    session.add(invitation)
    await session.flush()
    record(session, _deed("invitation.sent", Actor.of(principal), invitation))
    return invitation, token


async def revoke(
    session: AsyncSession, clock: Clock, principal: UserPrincipal, organization_id: int, invitation_id: int
) -> None:
    """End an invitation. Raises NotFound, Conflict when it was accepted, Forbidden for a role above one's own."""
    query = select(Invitation).where(Invitation.id == invitation_id, Invitation.organization_id == organization_id)
    invitation = await session.scalar(query.with_for_update())
    if invitation is None:
        raise NotFound(f"There is no invitation {invitation_id}.", code="invitation_not_found")
    require_manages(principal, (Grant(invitation.role, organization_id),))
    if invitation.accepted_at is not None:
        raise Conflict("The invitation has been accepted; remove the member instead.", code="invitation_accepted")
    if invitation.revoked_at is None:
        invitation.revoked_at = clock.now()
        record(session, _deed("invitation.revoked", Actor.of(principal), invitation))


async def get_offer(session: AsyncSession, token: str, *, lock: bool = False) -> Offer:
    """What the token's invitation offers, whatever has become of it. Raises NotFound."""
    query = select(Invitation, Organization, User).join(Organization, Organization.id == Invitation.organization_id)
    query = query.outerjoin(User, User.id == Invitation.invited_by).where(Invitation.digest == token_digest(token))
    row = (await session.execute(query.with_for_update(of=Invitation) if lock else query)).one_or_none()
    if row is None:
        raise NotFound("There is no such invitation; ask for a new one.", code="invitation_not_found")
    return Offer(*row)


def require_open(invitation: Invitation, now: datetime) -> None:
    """Raises Conflict when it was accepted before, Gone when it was revoked or has expired."""
    status = status_of(invitation, now)
    if status == "accepted":
        raise Conflict("This invitation has been accepted already; sign in.", code="invitation_accepted")
    if status == "revoked":
        raise Gone("This invitation has been taken back; ask for a new one.", code="invitation_revoked")
    if status == "expired":
        raise Gone("This invitation has expired; ask for a new one.", code="invitation_expired")


async def accept(
    session: AsyncSession,
    clock: Clock,
    belongings: Belongings,
    token: str,
    who: UserPrincipal | Newcomer,
) -> tuple[Offer, User]:
    """Make the holder of the link a member. Raises NotFound, Gone, and Conflict when it was used, by a member already,
    or when a newcomer's names are taken.
    """
    offer = await get_offer(session, token, lock=True)
    invitation = offer.invitation
    require_open(invitation, clock.now())
    await _require_inviter(session, offer)
    if isinstance(who, Newcomer):
        user = await accounts.create_user(
            session,
            clock,
            email=invitation.email,
            password_hash=who.password_hash,
            username=who.username,
            full_name=who.full_name,
        )
    else:
        user = await session.get_one(User, who.user_id)
    await _join(session, clock, belongings, invitation, user)
    invitation.accepted_at = clock.now()
    details = {"invited": invitation.email, "account_created": isinstance(who, Newcomer)}
    record(session, _deed("invitation.accepted", Actor("user", user.id, user.email), invitation, **details))
    return offer, user


async def account_exists(session: AsyncSession, invitation: Invitation) -> bool:
    """Whether somebody has the invited e-mail address here."""
    return await accounts.find_user_by_identifier(session, invitation.email) is not None


async def _require_inviter(session: AsyncSession, offer: Offer) -> None:
    """Nobody gives, through a link made earlier, what they could not give now."""
    inviter = offer.inviter
    if inviter is not None and inviter.is_active:
        grants = await grants_of(session, inviter.id)
        standing = UserPrincipal(inviter.id, inviter.email, inviter.username, 0, grants)
        if standing.manages((Grant(offer.invitation.role, offer.organization.id),)):
            return
    raise Gone(
        "Whoever sent this invitation may not give that role any more; ask for a new one.", code="invitation_revoked"
    )


async def _join(
    session: AsyncSession, clock: Clock, belongings: Belongings, invitation: Invitation, user: User
) -> None:
    organization_id, role = invitation.organization_id, invitation.role
    # Locked, so that one person with two invitations does not become a member twice.
    await session.execute(
        select(Organization.id).where(Organization.id == organization_id).with_for_update(key_share=True)
    )
    member = exists().where(GrantRow.organization_id == organization_id, GrantRow.user_id == user.id)
    if await session.scalar(select(member)):
        raise Conflict("You are a member of this organization already.", code="already_member")
    await accounts.grant(session, clock, user_id=user.id, role=role, organization_id=organization_id)
    if role == TECHNICIAN:
        # A home may have gone, or moved to another organization, since.
        for home_id in sorted(await belongings.homes_among(session, organization_id, invitation.home_ids)):
            await accounts.grant(
                session, clock, user_id=user.id, role=role, organization_id=organization_id, home_id=home_id
            )
    tell_grants_changed(session, user.id)


def _deed(action: str, actor: Actor, invitation: Invitation, **details: object) -> Deed:
    return Deed(
        action,
        actor,
        organization_id=invitation.organization_id,
        object_kind="invitation",
        object_id=invitation.id,
        object_name=invitation.email,
        details={"role": invitation.role, "home_ids": invitation.home_ids, **details},
    )
