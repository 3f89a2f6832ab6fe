"""With a mail server set, links go out by mail, and start with the address that the operator named."""

from collections.abc import Iterator

import httpx2
import pytest

from tests.colleagues import PASSWORD, own_organization
from tests.conftest import FreshServer, register_user
from tests.mail_server import MailServer, link_in, running_mail_server


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    """A running SMTP server."""
    with running_mail_server() as server:
        yield server


def test_an_invitation_by_mail(mail_server: MailServer, fresh_server: FreshServer) -> None:
    server = fresh_server(**mail_server.settings)
    with register_user(server, full_name="Ada Lovelace", organization_name="Engines") as owner:
        path = f"/organizations/{own_organization(owner)[0]}/invitations"
        headers = {"Idempotency-Key": "mailed", "Host": "evil.example"}
        body = {"email": "grace@example.org", "role": "viewer"}
        created = owner.post(path, json=body, headers=headers).json()
        assert created["emailed"]
        assert owner.post(path, json=body, headers=headers).json()["emailed"]
        (mail,) = mail_server.mails
        assert (mail["To"], mail["Subject"]) == ("grace@example.org", "Invitation to Engines")
        assert link_in(mail) == created["accept_url"]
        assert link_in(mail).startswith("https://roost.example.org/app/invitation#")
        token = link_in(mail).partition("#")[2]
        accepted = httpx2.post(
            f"{server.url}/api/v1/invitations/accept",
            json={"token": token, "password": PASSWORD},
            trust_env=False,
            verify=False,
        )
        assert accepted.status_code == 201, accepted.text
        made = owner.post("/users", json={"email": "joan@example.org"}).json()
        assert made["emailed"]
        assert (mail_server.mails[-1]["To"], mail_server.mails[-1]["Subject"]) == (
            "joan@example.org",
            "Your Roost account",
        )
        assert made["set_password_url"] in mail_server.mails[-1].get_content()
        mail_server.stop()
        late = owner.post(path, json={"email": "late@example.org", "role": "viewer"})
        assert (late.status_code, late.json()["emailed"]) == (201, False)
        assert late.json()["accept_url"]
        # Whoever loses an address hears of it; that they cannot be told does not undo the change.
        changed = owner.patch("/users/me", json={"email": "ada@example.org", "current_password": owner.password})
        assert changed.json()["email"] == "ada@example.org"
