"""Mail goes through a real SMTP server, or the caller hears that it did not."""

import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr

from roost.core.mail import Mailer, mailer_for
from roost.core.settings import Settings
from tests.mail_server import MAIL_PASSWORD, MailServer
from tests.postgres_cluster import free_port
from tests.waiting import until

StartServer = Callable[..., MailServer]


@pytest.fixture
async def smtp_server() -> AsyncIterator[StartServer]:
    """`smtp_server()` starts one; with `tls_context=…` it takes mail from those alone who sign in over TLS."""
    running: list[MailServer] = []

    def start(tls_context: ssl.SSLContext | None = None) -> MailServer:
        server = MailServer(tls_context)
        server.start()
        running.append(server)
        return server

    yield start
    for server in running:
        # The other ends of the connections are in this loop, and need its turns to close.
        await until(lambda: server.is_quiet, what="The end of every SMTP connection")  # noqa: B023
        server.stop()


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
    server = smtp_server()
    assert await mailer(f"smtp://{server.address}").send(
        "ada@example.org", "Grüße vom Roost", "Here is your link:\nhttps://…\n"
    )
    (mail,) = server.mails
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
    server = smtp_server(tls_context)
    assert await mailer(f"smtp://hub%40example.org:p%40ss%2Fword@{server.address}").send(
        "ada@example.org", "Hello", "There."
    )
    assert server.signed_in == [("hub@example.org", MAIL_PASSWORD)]
    assert len(server.mails) == 1


async def test_who_sends_hears_what_the_server_refused(
    smtp_server: StartServer, tls_context: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    server = smtp_server()
    assert not await mailer(f"smtp://{server.address}").send("nobody@example.org", "Hello", "There.")
    assert "there is no such mailbox" in caplog.text
    guarded = smtp_server(tls_context)
    assert not await mailer(f"smtp://hub:wrong@{guarded.address}").send("ada@example.org", "Hello", "There.")
    assert not await mailer(f"smtp://127.0.0.1:{free_port()}").send("ada@example.org", "Hello", "There.")
    assert not server.mails
    assert not guarded.mails
    assert "hub:wrong" not in caplog.text


async def test_a_line_break_adds_no_header(smtp_server: StartServer) -> None:
    server = smtp_server()
    sender = mailer(f"smtp://{server.address}")
    assert not await sender.send("ada@example.org\r\nBcc: eve@example.org", "Hello", "There.")
    assert not await sender.send("ada@example.org", "Hello\r\nBcc: eve@example.org", "There.")
    assert not server.mails


async def test_without_a_server_nothing_is_sent() -> None:
    silent = mailer_for(Settings(_env_file=None))
    assert not silent.configured
    assert not await silent.send("ada@example.org", "Hello", "There.")
    assert mailer("smtp://mail.example.org").configured
