"""A real SMTP server, and what it took."""

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import psutil
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.postgres_cluster import free_port
from tests.waiting import wait_until

MAIL_PASSWORD = "p@ss/word"


class MailServer:
    """Takes everything but mail for `nobody@…`; `settings` make a hub send through it."""

    def __init__(self, tls_context: ssl.SSLContext | None = None) -> None:
        """With a `tls_context` it takes mail from those alone who turn to TLS and sign in with `MAIL_PASSWORD`."""
        self.mails: list[EmailMessage] = []
        self.signed_in: list[tuple[str, str]] = []
        self.port = free_port()
        options: dict[str, Any] = {}
        if tls_context is not None:
            options = {
                "tls_context": tls_context,
                "require_starttls": True,
                "auth_required": True,
                "authenticator": self._authenticate,
            }
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, **options)

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("nobody@"):
            return "550 there is no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        mail = message_from_bytes(envelope.original_content or b"", policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def settings(self) -> dict[str, str]:
        """The environment of a hub that sends through this server."""
        return {
            "ROOST_SMTP_URL": f"smtp://{self.address}",
            "ROOST_MAIL_FROM": "Roost <roost@example.org>",
            "ROOST_PUBLIC_URL": "https://roost.example.org",
        }

    @property
    def is_quiet(self) -> bool:
        """Whether no connection to it is open in this process, on either side."""
        ends = psutil.Process().net_connections("tcp")
        return not any(self.port in {end.laddr.port, end.raddr.port} for end in ends if end.raddr)

    def start(self) -> None:
        """Listen."""
        self._controller.start()

    def stop(self) -> None:
        """End, after whoever is connected has gone: the library leaves open connections to chance."""
        if self._controller.server is not None:
            wait_until(lambda: self.is_quiet, what="The end of every SMTP connection")
            self._controller.stop()

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.signed_in.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == MAIL_PASSWORD.encode(), handled=False)


@contextmanager
def running_mail_server() -> Iterator[MailServer]:
    """It listens on this machine until the block ends."""
    server = MailServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()


def link_in(mail: EmailMessage) -> str:
    """The first link of a mail."""
    found = re.search(r"https?://\S+", mail.get_content())
    assert found is not None, mail.get_content()
    return found[0]
