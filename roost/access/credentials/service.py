"""What else proves who somebody is, in one place for whoever wires the rooms."""

from typing import Self

from roost.access.credentials.api_tokens import ApiTokens
from roost.access.credentials.app_codes import AppCodes
from roost.access.credentials.forgotten_passwords import ForgottenPasswords
from roost.access.credentials.oidc import OidcProvider
from roost.access.credentials.passkeys import Passkeys
from roost.access.credentials.password_resets import PasswordResets
from roost.access.credentials.ports import Register
from roost.access.passwords import Passwords
from roost.core.bus import Bus
from roost.core.clock import Clock
from roost.core.database import Database
from roost.core.mail import Mailer
from roost.core.rates import RateLimiter
from roost.core.settings import Settings

_STARTS_A_MINUTE = 30
_STARTS_AT_ONCE = 60


class Credentials:
    """API tokens, one-time codes, passkeys, reset links, another provider. `secret` is the hub's signing secret."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        secret: str,
        *,
        passwords: Passwords,
        mailer: Mailer,
        clock: Clock,
        bus: Bus,
        register: Register,
    ) -> None:
        self.api_tokens = ApiTokens(database, clock, bus)
        self.app_codes = AppCodes(secret, clock)
        self.passkeys = Passkeys(clock)
        self.password_resets = PasswordResets(database, passwords, secret, clock)
        self.forgotten_passwords = ForgottenPasswords(database, self.password_resets, mailer, clock)
        self.oidc = None if settings.oidc_issuer is None else OidcProvider(settings, clock)
        self.register = register
        # Beginning to sign in needs no credential and writes a row.
        self.sign_in_starts = RateLimiter(clock, per_minute=_STARTS_A_MINUTE, burst=_STARTS_AT_ONCE)

    def start(self) -> Self:
        """Begin to work beside the requests."""
        self.api_tokens.start()
        return self

    async def stop(self) -> None:
        """Finish what is under way."""
        await self.forgotten_passwords.stop()
        await self.api_tokens.stop()
