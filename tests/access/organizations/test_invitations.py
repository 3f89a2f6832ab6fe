"""Invitations: whoever holds the link gets the role, once, within a week, if the sender may still give it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import update

from roost.access.organizations.models import Invitation
from roost.core.clock import SystemClock
from roost.core.database import Database
from roost.core.settings import Settings
from tests.access.companies import Company, MakeCompany
from tests.colleagues import PASSWORD, invite, sign_in
from tests.conftest import UserClient, register_user
from tests.roost_server import RoostServer


def expire(server: RoostServer, invitation_id: int) -> None:
    """As if a week had gone by."""

    async def change() -> None:
        database = Database(Settings(data_dir=server.data_dir, database_url=server.database_url, _env_file=None))
        async with database.write() as session:
            past = SystemClock().now() - timedelta(seconds=1)
            await session.execute(update(Invitation).where(Invitation.id == invitation_id).values(expires_at=past))
        await database.dispose()

    asyncio.run(change())


def sent(company: Company, inviter: httpx2.Client | None = None, **fields: Any) -> dict[str, Any]:
    """A new invitation, with its `token`."""
    body = {"email": "new@example.org", "role": "viewer", **fields}
    answer = (inviter or company.owner).post(f"{company.path}/invitations", json=body)
    assert answer.status_code == 201, answer.text
    shown: dict[str, Any] = answer.json()
    return shown | {"token": shown["accept_url"].partition("#")[2]}


def test_from_invitation_to_account(company: Company, client: httpx2.Client, server: RoostServer) -> None:
    email = f"Grace-{company.id}@example.org"
    log_start = server.log_size()
    invitation = sent(company, email=email, role="editor")
    assert invitation["accept_url"].startswith(f"{server.url}/app/invitation#rinv_")
    assert (invitation["status"], invitation["emailed"]) == ("pending", False)
    preview = client.post("/invitations/preview", json={"token": invitation["token"]}).json()
    assert (preview["email"], preview["role"], preview["status"]) == (email, "editor", "pending")
    assert preview["invited_by"] == company.owner.profile["username"]
    assert not preview["account_exists"]
    body = {"token": invitation["token"], "password": PASSWORD, "full_name": "Grace Hopper"}
    accepted = client.post("/invitations/accept", json=body)
    assert (accepted.status_code, accepted.json()["account_created"]) == (201, True)
    with sign_in(server, email.lower()) as newcomer:
        profile = newcomer.get("/users/me").json()
        assert (profile["full_name"], profile["roles"]) == ("Grace Hopper", ["editor"])
        assert [one["id"] for one in profile["organizations"]] == [company.id]
    again = client.post("/invitations/accept", json=body)
    assert (again.status_code, again.json()["code"]) == (409, "invitation_accepted")
    shown = company.owner.get(f"{company.path}/invitations?status=accepted").json()
    assert [one["email"] for one in shown] == [email]
    assert "accept_url" not in shown[0]
    assert invitation["token"] not in server.log_text(log_start)


def test_somebody_with_an_account_signs_in_first(company: Company, client: httpx2.Client, server: RoostServer) -> None:
    with register_user(server) as somebody:
        token = invite(company.owner, company.id, "viewer", email=somebody.email)
        assert client.post("/invitations/preview", json={"token": token}).json()["account_exists"]
        refused = client.post("/invitations/accept", json={"token": token, "password": PASSWORD})
        assert (refused.status_code, refused.json()["code"]) == (409, "email_taken")
        assert somebody.post("/invitations/accept", json={"token": token}).status_code == 200
        assert {one["id"]: one["role"] for one in somebody.get("/organizations").json()}[company.id] == "viewer"
        second = invite(company.owner, company.id, "owner")
        refused = somebody.post("/invitations/accept", json={"token": second})
        assert (refused.status_code, refused.json()["code"]) == (409, "already_member")
        refused = company.owner.post(
            f"{company.path}/invitations", json={"email": somebody.email.upper(), "role": "owner"}
        )
        assert (refused.status_code, refused.json()["code"]) == (409, "already_member")


def test_what_ends_an_invitation(company: Company, client: httpx2.Client, server: RoostServer) -> None:
    first = sent(company)
    second = sent(company)
    expired = sent(company, email="late@example.org")
    expire(server, expired["id"])
    revoked = sent(company, email="away@example.org")
    path = f"{company.path}/invitations"
    assert company.owner.delete(f"{path}/{revoked['id']}").status_code == 204
    assert company.owner.delete(f"{path}/{revoked['id']}").status_code == 204
    for gone, code in ((first, "revoked"), (expired, "expired"), (revoked, "revoked")):
        assert client.post("/invitations/preview", json={"token": gone["token"]}).json()["status"] == code
        for somebody in (client, company.member("viewer")):
            answer = somebody.post("/invitations/accept", json={"token": gone["token"], "password": PASSWORD})
            assert (answer.status_code, answer.json()["code"]) == (410, f"invitation_{code}")
    statuses = {one["id"]: one["status"] for one in company.owner.get(path).json()}
    assert [statuses[one["id"]] for one in (first, second, expired, revoked)] == [
        "revoked",
        "pending",
        "expired",
        "revoked",
    ]
    for status, ids in (("pending", [second["id"]]), ("expired", [expired["id"]])):
        assert [one["id"] for one in company.owner.get(f"{path}?status={status}").json()] == ids
    unknown = client.post("/invitations/accept", json={"token": "rinv_" + "x" * 43, "password": PASSWORD})
    assert unknown.status_code == 404
    assert client.post("/invitations/preview", json={"token": first["token"][:-1]}).status_code == 404


def test_nobody_invites_above_themselves(company: Company) -> None:
    editor, viewer = company.member("editor"), company.member("viewer")
    path = f"{company.path}/invitations"
    sent(company, editor, role="editor")
    refused = editor.post(path, json={"email": "x@example.org", "role": "owner"})
    assert (refused.status_code, refused.json()["code"]) == (403, "exceeds_own_role")
    assert viewer.post(path, json={"email": "x@example.org", "role": "viewer"}).status_code == 403
    assert viewer.get(path).status_code == 403
    owners = sent(company, role="owner", email="boss@example.org")
    assert editor.delete(f"{path}/{owners['id']}").status_code == 403
    assert editor.delete(f"{path}/{owners['id'] + 1000}").status_code == 404


def test_an_invitation_is_worth_what_its_sender_may_give_now(company: Company, client: httpx2.Client) -> None:
    editor, leaver = company.member("editor"), company.member("owner")
    tokens = [invite(editor, company.id, "editor"), invite(leaver, company.id, "owner")]
    assert company.owner.patch(company.member_path(editor), json={"role": "viewer"}).status_code == 200
    assert leaver.post(f"{company.path}/leave").status_code == 204
    for token in tokens:
        answer = client.post("/invitations/accept", json={"token": token, "password": PASSWORD})
        assert (answer.status_code, answer.json()["code"]) == (410, "invitation_revoked")


def test_a_refused_password_leaves_the_invitation_good(company: Company, client: httpx2.Client) -> None:
    token = invite(company.owner, company.id, "viewer")
    for password, code in (("12345678", "weak_password"), (None, "password_missing")):
        body = {"token": token, "password": password}
        refused = client.post("/invitations/accept", json={k: v for k, v in body.items() if v})
        assert (refused.status_code, refused.json()["code"]) == (422, code)
    name = company.owner.profile["username"]
    taken = client.post("/invitations/accept", json={"token": token, "password": PASSWORD, "username": name})
    assert (taken.status_code, taken.json()["code"]) == (409, "username_taken")
    assert client.post("/invitations/accept", json={"token": token, "password": PASSWORD}).status_code == 201


def test_a_technician_arrives_assigned(make_company: MakeCompany, server: RoostServer, client: httpx2.Client) -> None:
    company, other = make_company(), make_company()
    cabin = company.owner.post("/homes", json={"name": "Cabin"}).json()["id"]
    invitation = sent(company, role="technician", home_ids=[company.home_id, cabin], email="t@example.org")
    assert company.owner.delete(f"/homes/{cabin}").status_code == 204
    accepted = client.post("/invitations/accept", json={"token": invitation["token"], "password": PASSWORD})
    assert accepted.status_code == 201, accepted.text
    with sign_in(server, accepted.json()["email"]) as technician:
        assert [one["home_id"] for one in technician.get("/assignments").json()] == [company.home_id]
    body = {"email": "u@example.org", "role": "technician", "home_ids": [other.home_id]}
    refused = company.owner.post(f"{company.path}/invitations", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "home_not_found")


def test_of_two_who_accept_at_once_one_joins(company: Company, client: httpx2.Client, server: RoostServer) -> None:
    token = invite(company.owner, company.id, "viewer")
    with register_user(server) as first, register_user(server) as second, ThreadPoolExecutor(2) as threads:
        answers = threads.map(lambda who: who.post("/invitations/accept", json={"token": token}), (first, second))
        assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert len(company.owner.get(f"{company.path}/members").json()) == 2


def test_a_replay_does_not_show_the_link_again(company: Company) -> None:
    body, headers = {"email": "once@example.org", "role": "viewer"}, {"Idempotency-Key": "once"}
    first, second = (
        company.owner.post(f"{company.path}/invitations", json=body, headers=headers).json() for _ in range(2)
    )
    assert first.pop("accept_url")
    assert second.pop("accept_url") is None
    assert first == second


@pytest.mark.parametrize(
    "body",
    [
        {"role": "viewer"},
        {"email": "no address", "role": "viewer"},
        {"email": "a@example.org", "role": "admin"},
        {"email": "a@example.org", "role": "viewer", "home_ids": [1]},
        {"email": "a@example.org", "role": "viewer", "organization_id": 1},
    ],
)
def test_what_is_no_invitation(company: Company, body: dict[str, object]) -> None:
    assert company.owner.post(f"{company.path}/invitations", json=body).status_code == 422


def test_a_bad_credential_does_not_make_an_account(company: Company, client: httpx2.Client, user: UserClient) -> None:
    token = invite(company.owner, company.id, "viewer")
    headers = {"Authorization": "Bearer nonsense"}
    answer = client.post("/invitations/accept", json={"token": token, "password": PASSWORD}, headers=headers)
    assert answer.status_code == 401
    assert user.post("/invitations/accept", json={"token": token}).status_code == 200
