"""Mail goes through a real SMTP server, or the caller hears that it did not."""

import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr

from roost.core.mail import Mailer, mailer_for
from roost.core.settings import Settings
from tests.postgres_cluster import free_port


class Postbox:
    """What the SMTP server took, and who signed in."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.signed_in: list[tuple[str, str]] = []

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

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.signed_in.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == b"p@ss/word", handled=False)


StartServer = Callable[..., tuple[Postbox, str]]


@pytest.fixture
def smtp_server() -> Iterator[StartServer]:
    """`smtp_server(**options)` starts one and returns its postbox and `host:port`."""
    running: list[Controller] = []

    def start(**options: Any) -> tuple[Postbox, str]:
        postbox = Postbox()
        if "tls_context" in options:
            options |= {"authenticator": postbox.authenticate, "auth_required": True, "require_starttls": True}
        controller = Controller(postbox, hostname="127.0.0.1", port=free_port(), **options)
        controller.start()
        running.append(controller)
        return postbox, f"127.0.0.1:{controller.port}"

    yield start
    for controller in running:
        controller.stop()


@pytest.fixture
def tls_context(tmp_path: Path) -> ssl.SSLContext:
    """A server's side of TLS with a certificate that nobody vouches for, as a machine's own mail server has."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    certificate = builder.sign(key, hashes.SHA256())
    path = tmp_path / "mail.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def mailer(url: str) -> Mailer:
    return mailer_for(
        Settings(
            _env_file=None,
            smtp_url=SecretStr(url),
            mail_from="Roost <roost@example.org>",
            public_url="https://roost.example.org",
        )
    )


async def test_a_mail_arrives_as_it_was_written(smtp_server: StartServer) -> None:
    postbox, address = smtp_server()
    assert await mailer(f"smtp://{address}").send(
        "ada@example.org", "Grüße vom Roost", "Here is your link:\nhttps://…\n"
    )
    (mail,) = postbox.mails
    assert (mail["From"], mail["To"], mail["Subject"]) == (
        "Roost <roost@example.org>",
        "ada@example.org",
        "Grüße vom Roost",
    )
    assert mail.get_content().replace("\r\n", "\n") == "Here is your link:\nhttps://…\n"
    assert mail["Date"]
    assert mail["Message-ID"].endswith("@example.org>")


async def test_name_and_password_go_over_the_encrypted_line(
    smtp_server: StartServer, tls_context: ssl.SSLContext
) -> None:
    postbox, address = smtp_server(tls_context=tls_context)
    assert await mailer(f"smtp://hub%40example.org:p%40ss%2Fword@{address}").send("ada@example.org", "Hello", "There.")
    assert postbox.signed_in == [("hub@example.org", "p@ss/word")]
    assert len(postbox.mails) == 1


async def test_who_sends_hears_what_the_server_refused(
    smtp_server: StartServer, tls_context: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    postbox, address = smtp_server()
    assert not await mailer(f"smtp://{address}").send("nobody@example.org", "Hello", "There.")
    assert "there is no such mailbox" in caplog.text
    guarded, guarded_address = smtp_server(tls_context=tls_context)
    assert not await mailer(f"smtp://hub:wrong@{guarded_address}").send("ada@example.org", "Hello", "There.")
    assert not await mailer(f"smtp://127.0.0.1:{free_port()}").send("ada@example.org", "Hello", "There.")
    assert not postbox.mails
    assert not guarded.mails
    assert "hub:wrong" not in caplog.text


async def test_a_line_break_adds_no_header(smtp_server: StartServer) -> None:
    postbox, address = smtp_server()
    sender = mailer(f"smtp://{address}")
    assert not await sender.send("ada@example.org\r\nBcc: eve@example.org", "Hello", "There.")
    assert not await sender.send("ada@example.org", "Hello\r\nBcc: eve@example.org", "There.")
    assert not postbox.mails


async def test_without_a_server_nothing_is_sent() -> None:
    silent = mailer_for(Settings(_env_file=None))
    assert not silent.configured
    assert not await silent.send("ada@example.org", "Hello", "There.")
    assert mailer("smtp://mail.example.org").configured
