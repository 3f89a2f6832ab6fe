"""A real SMTP server, and what it took."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.postgres_cluster import free_port


class MailServer:
    """Takes everything; `settings` make a hub send through it."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.port = free_port()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        mail = message_from_bytes(envelope.original_content or b"", policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"

    @property
    def settings(self) -> dict[str, str]:
        """The environment of a hub that sends through this server."""
        return {
            "ROOST_SMTP_URL": f"smtp://127.0.0.1:{self.port}",
            "ROOST_MAIL_FROM": "Roost <roost@example.org>",
            "ROOST_PUBLIC_URL": "https://roost.example.org",
        }


@contextmanager
def running_mail_server() -> Iterator[MailServer]:
    """It listens on this machine until the block ends."""
    server = MailServer()
    controller = Controller(server, hostname="127.0.0.1", port=server.port)
    controller.start()
    try:
        yield server
    finally:
        if controller.server is not None:
            controller.stop()


def link_in(mail: EmailMessage) -> str:
    """The first link of a mail."""
    found = re.search(r"https?://\S+", mail.get_content())
    assert found is not None, mail.get_content()
    return found[0]
