"""Outgoing mail, through whichever SMTP server the settings name; without one, whoever asked is shown the link."""

import importlib
import logging
import socket
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from typing import Any, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from roost.core.settings import Settings

_log = logging.getLogger(__name__)

_TIMEOUT_S = 10.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Mailer(Protocol):
    """Sends mail, or cannot."""

    @property
    def configured(self) -> bool:
        """Whether there is a server to send through."""
        ...

    async def send(self, to: str, subject: str, text: str) -> bool:
        """Send a plain text; whether the server took it. Never raises, and never belongs into a transaction."""
        ...


class NoMail:
    """No server is set: nothing is sent, and the caller hears so."""

    configured = False

    async def send(self, to: str, subject: str, text: str) -> bool:  # noqa: ARG002 - the port's signature
        return False


class UnencryptedLogin(Exception):  # noqa: N818 - it reads as what it says
    """The password would have crossed the network in the open."""


class SmtpMailer:
    """Sends through one SMTP server: `smtps://` is encrypted from the start, `smtp://` as soon as the server offers it.

    Name and password leave this machine encrypted or not at all.
    """

    configured = True

    def __init__(self, url: str, sender: str) -> None:
        self._server = urlsplit(url)
        self._sender = sender

    async def send(self, to: str, subject: str, text: str) -> bool:
        try:
            await _deliver(self._server, self._message(to, subject, text), to)
        except (OSError, ValueError, UnencryptedLogin, _library().SMTPException) as error:
            kind = type(error).__name__
            _log.warning("The mail server %s did not take a mail: %s: %s", self._server.hostname, kind, error)
            return False
        return True

    def _message(self, to: str, subject: str, text: str) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = to
        message["Subject"] = subject
        message["Date"] = formatdate(usegmt=True)
        message["Message-ID"] = make_msgid(domain=parseaddr(self._sender)[1].rpartition("@")[2] or "localhost")
        # Asks out-of-office answers to stay away.
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        return message


def mailer_for(settings: Settings) -> Mailer:
    """What sends mail under these settings."""
    if settings.smtp_url is None or settings.mail_from is None:
        return NoMail()
    return SmtpMailer(settings.smtp_url.get_secret_value(), settings.mail_from)


async def _deliver(server: SplitResult, message: EmailMessage, to: str) -> None:
    client = _library().SMTP(
        hostname=server.hostname,
        port=server.port or (465 if server.scheme == "smtps" else 587),
        use_tls=server.scheme == "smtps",
        tls_context=_tls_context(server),
        # By itself the library asks the name service, and everything else would wait for that.
        local_hostname=socket.gethostname(),
        timeout=_TIMEOUT_S,
    )
    async with client:
        if server.username:
            if client.get_transport_info("sslcontext") is None and server.hostname not in _LOOPBACK:
                raise UnencryptedLogin("It offers no encryption, so it gets no password.")
            await client.login(unquote(server.username), unquote(server.password or ""))
        await client.send_message(message, sender=parseaddr(message["From"])[1], recipients=[to])


def _tls_context(server: SplitResult) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if server.hostname in _LOOPBACK:
        # A mail server on this machine has a certificate that nobody signed, and nobody sits in between.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _library() -> Any:
    # Loaded with the first mail: a hub that sends none does without.
    return importlib.import_module("aiosmtplib")
