"""What the hub writes to users about their accounts."""

from roost.core.mail import Mailer

_CHANGED = """Hello,

the e-mail address of your Roost account is {new} from now on; it was this one.

If you did not want that, tell the people who run your Roost at once.
"""


_WELCOME = """Hello,

{by} has made a Roost account for you, with this e-mail address. Open this link to choose a password:

{link}

It is good once, for seven days.
"""


async def send_welcome(mailer: Mailer, to: str, link: str, *, by: str) -> bool:
    """Mail a new user the link to a first password; whether it went out."""
    return await mailer.send(to, "Your Roost account", _WELCOME.format(by=by, link=link))


async def tell_old_address(mailer: Mailer, old: str, new: str) -> None:
    """Whoever loses an address hears of it there, if the hub can write to them."""
    if old != new and mailer.configured:
        await mailer.send(old, "Your e-mail address was changed", _CHANGED.format(new=new))
