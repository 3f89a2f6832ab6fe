"""With a mail server set, links go out by mail, and start with the address that the operator named."""

import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage

import httpx2
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.colleagues import PASSWORD, own_organization
from tests.conftest import FreshServer, register_user
from tests.postgres_cluster import free_port


class Postbox:
    """What the mail server took."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        mail = message_from_bytes(envelope.original_content or b"", policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"


@pytest.fixture
def mail_server() -> Iterator[tuple[Postbox, Controller]]:
    """A running SMTP server."""
    postbox = Postbox()
    controller = Controller(postbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield postbox, controller
    if controller.server is not None:
        controller.stop()


def test_an_invitation_by_mail(mail_server: tuple[Postbox, Controller], fresh_server: FreshServer) -> None:
    postbox, controller = mail_server
    server = fresh_server(
        ROOST_SMTP_URL=f"smtp://127.0.0.1:{controller.port}",
        ROOST_MAIL_FROM="Roost <roost@example.org>",
        ROOST_PUBLIC_URL="https://roost.example.org/",
    )
    with register_user(server, full_name="Ada Lovelace", organization_name="Engines") as owner:
        path = f"/organizations/{own_organization(owner)[0]}/invitations"
        headers = {"Idempotency-Key": "mailed", "Host": "evil.example"}
        body = {"email": "grace@example.org", "role": "viewer"}
        created = owner.post(path, json=body, headers=headers).json()
        assert created["emailed"]
        assert owner.post(path, json=body, headers=headers).json()["emailed"]
        (mail,) = postbox.mails
        assert (mail["To"], mail["Subject"]) == ("grace@example.org", "Invitation to Engines")
        link = re.search(r"https://\S+", mail.get_content())
        assert link is not None
        assert link[0] == created["accept_url"]
        assert link[0].startswith("https://roost.example.org/app/invitation#")
        token = link[0].partition("#")[2]
        accepted = httpx2.post(
            f"{server.url}/api/v1/invitations/accept",
            json={"token": token, "password": PASSWORD},
            trust_env=False,
        )
        assert accepted.status_code == 201, accepted.text
        made = owner.post("/users", json={"email": "joan@example.org"}).json()
        assert made["emailed"]
        assert (postbox.mails[-1]["To"], postbox.mails[-1]["Subject"]) == ("joan@example.org", "Your Roost account")
        assert made["set_password_url"] in postbox.mails[-1].get_content()
        controller.stop()
        late = owner.post(path, json={"email": "late@example.org", "role": "viewer"})
        assert (late.status_code, late.json()["emailed"]) == (201, False)
        assert late.json()["accept_url"]
        # Whoever loses an address hears of it; that they cannot be told does not undo the change.
        changed = owner.patch("/users/me", json={"email": "ada@example.org", "current_password": owner.password})
        assert changed.json()["email"] == "ada@example.org"
