"""The first start: somebody has to be the administrator."""

import secrets

from sqlalchemy import text

from roost.access import accounts
from roost.access.passwords import Passwords
from roost.core.clock import Clock
from roost.core.database import Database
from roost.core.settings import Settings
from roost.places.registration import register

USERNAME = "admin"
# An arbitrary number that no other lock of the application uses.
_BOOTSTRAP_LOCK = 7_303_015


async def ensure_administrator(
    database: Database, settings: Settings, passwords: Passwords, clock: Clock
) -> str | None:
    """Make the administrator if there is none; the password that was made up for it, to be shown once.

    None when there is an administrator already, or the password came from the settings.
    """
    async with database.read() as session:
        if await accounts.has_administrator(session):
            return None
    given = settings.admin_password.get_secret_value() if settings.admin_password else None
    password = given or secrets.token_urlsafe(12)
    password_hash = await passwords.hash(password)
    async with database.write() as session:
        if database.dialect == "postgresql":
            await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _BOOTSTRAP_LOCK})
        if await accounts.has_administrator(session):
            return None
        registered = await register(
            session,
            clock,
            email=settings.admin_email,
            password_hash=password_hash,
            username=USERNAME,
            full_name="Administrator",
            organization_name="Home",
        )
        await accounts.grant(session, clock, user_id=registered.user.id, role="admin", organization_id=None)
        # The address comes from whoever runs the hub.
        registered.user.proven_email_key = registered.user.email_key
    return None if given else password
