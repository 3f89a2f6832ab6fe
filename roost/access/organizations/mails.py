"""What the hub writes to people about organizations."""

from roost.access.organizations.models import Invitation
from roost.core.clock import rfc3339
from roost.core.mail import Mailer

_INVITATION = """Hello,

{inviter} invites you to {organization} on Roost, as {role}.

Open this link to accept:

{link}

It is good once, until {until}. If you do not know what this is about, ignore it: without the link nothing happens.
"""


async def send_invitation(
    mailer: Mailer, invitation: Invitation, link: str, *, organization_name: str, inviter: str
) -> bool:
    """Mail the link to whom it is for; whether it went out."""
    text = _INVITATION.format(
        inviter=inviter,
        organization=organization_name,
        role=invitation.role,
        link=link,
        until=rfc3339(invitation.expires_at)[:16].replace("T", " ") + " UTC",
    )
    return await mailer.send(invitation.email, f"Invitation to {organization_name}", text)
