"""Changing and resetting passwords: by oneself, by mail, by somebody who manages the user, by whoever runs the hub."""

import uuid
from collections.abc import Iterator

import httpx2
import pytest
from pwdlib.hashers.bcrypt import BcryptHasher
from sqlalchemy import select, update

from roost.access.credentials.models import Challenge
from roost.access.models import User
from roost.core.database import Database
from roost.core.settings import Settings
from tests import colleagues
from tests.colleagues import join, own_organization
from tests.conftest import FreshServer, UserClient, register_user
from tests.core.test_http import assert_problem
from tests.live.conftest import connect_live
from tests.mail_server import MailServer, link_in, running_mail_server
from tests.roost_server import RoostServer
from tests.waiting import wait_until

NEW = "Tall-Chimney-43"


def sign_in(client: httpx2.Client, email: str, password: str) -> int:
    # Every test is somebody else, but all share one address, which others might have used up.
    return client.post("/auth/login", json={"email": email, "password": password}).status_code


def token_of(url: str) -> str:
    page, _, token = url.partition("#")
    assert page.endswith("/app/reset-password")
    return token


def reset(client: httpx2.Client, token: str, password: str = NEW) -> httpx2.Response:
    return client.post("/auth/password/reset", json={"token": token, "password": password})


@pytest.fixture
def managed(server: RoostServer, user: UserClient) -> Iterator[tuple[UserClient, str]]:
    """Somebody in `user`'s organization alone, and the token of a reset link that `user` was shown."""
    with join(server, user, own_organization(user)[0], "viewer") as colleague:
        offered = user.post(f"/users/{colleague.profile['id']}/password-reset")
        assert offered.status_code == 201, offered.text
        assert offered.json()["emailed"] is False
        assert offered.json()["reset_url"].startswith(f"{server.url}/app/")
        yield colleague, token_of(offered.json()["reset_url"])


def test_a_changed_password_ends_the_other_sessions(
    server: RoostServer, client: httpx2.Client, user: UserClient
) -> None:
    other = client.post("/auth/login", json={"email": user.email, "password": user.password}).json()
    with connect_live(server, token=other["access_token"]) as live:
        change = {"current_password": user.password, "new_password": NEW}
        assert user.post("/auth/password", json=change).json() == {"ended": 1}
        assert live.closing()[0] == 4401
    assert user.get("/auth/me").status_code == 200
    assert_problem(client.post("/auth/refresh", json={"refresh_token": other["refresh_token"]}), 401)
    assert (sign_in(client, user.email, user.password), sign_in(client, user.email, NEW)) == (401, 200)


def test_what_does_not_change_a_password(client: httpx2.Client, user: UserClient) -> None:
    def change(current: str | None, new: str) -> httpx2.Response:
        return user.post("/auth/password", json={"current_password": current, "new_password": new})

    weak = assert_problem(change(user.password, "password1"), 422, "weak_password")
    assert [error["pointer"] for error in weak["errors"]] == ["/new_password"]  # type: ignore[attr-defined]
    assert_problem(change(user.password, user.email), 422, "weak_password")
    assert_problem(change(None, NEW), 422)
    assert_problem(change("not it", NEW), 403, "wrong_password")
    assert sign_in(client, user.email, user.password) == 200


def test_the_current_password_cannot_be_guessed_from_a_stolen_session(user: UserClient) -> None:
    answers = [
        user.post("/auth/password", json={"current_password": f"guess {number}", "new_password": NEW})
        for number in range(8)
    ]
    assert {answer.status_code for answer in answers} == {403, 429}
    assert answers[-1].headers["Retry-After"]


def test_a_link_sets_the_password_once_and_ends_every_session(
    client: httpx2.Client, managed: tuple[UserClient, str]
) -> None:
    colleague, token = managed
    assert_problem(reset(client, token, "password1"), 422, "weak_password")
    assert reset(client, token).status_code == 204
    assert_problem(reset(client, token), 410, "reset_link_gone")
    assert_problem(colleague.get("/auth/me"), 401, "session_ended")
    assert_problem(client.post("/auth/refresh", json={"refresh_token": colleague.refresh_token}), 401)
    assert (sign_in(client, colleague.email, colleague.password), sign_in(client, colleague.email, NEW)) == (401, 200)


def test_a_used_link_takes_those_before_it_along(
    client: httpx2.Client, user: UserClient, managed: tuple[UserClient, str]
) -> None:
    colleague, first = managed
    second = token_of(user.post(f"/users/{colleague.profile['id']}/password-reset").json()["reset_url"])
    assert reset(client, second).status_code == 204
    assert_problem(reset(client, first, "Yet-Another-44"), 410, "reset_link_gone")


def test_forged_links_are_nothing(client: httpx2.Client, user: UserClient, managed: tuple[UserClient, str]) -> None:
    _, token = managed
    header, claims, signature = token.split(".")
    for forged in (
        "x",
        user.access_token,
        user.refresh_token,
        f"{header}.{claims}.",
        f"{header}.{claims}.{signature[::-1]}",
        f"{user.access_token.split('.')[0]}.{claims}.{signature}",
    ):
        assert_problem(reset(client, forged), 410, "reset_link_gone")
    # Nor is a link a way to sign in.
    assert client.get("/auth/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert reset(client, token).status_code == 204


async def test_a_link_ends_by_itself(
    client: httpx2.Client, server: RoostServer, managed: tuple[UserClient, str]
) -> None:
    colleague, token = managed
    database = Database(Settings(data_dir=server.data_dir, database_url=server.database_url, _env_file=None))
    async with database.write() as session:
        mine = Challenge.user_id == colleague.profile["id"]
        begun = (await session.scalars(select(Challenge).where(mine))).one()
        assert 1790 <= (begun.expires_at - begun.created_at).total_seconds() <= 1800
        await session.execute(update(Challenge).where(mine).values(expires_at=begun.created_at))
    await database.dispose()
    assert_problem(reset(client, token), 410, "reset_link_gone")


def test_only_who_stands_as_high_makes_a_link(server: RoostServer, client: httpx2.Client, user: UserClient) -> None:
    organization_id, _ = own_organization(user)
    with (
        join(server, user, organization_id, "editor") as editor,
        join(server, user, organization_id, "viewer") as viewer,
        register_user(server) as stranger,
    ):

        def ask(who: httpx2.Client, whom: UserClient) -> httpx2.Response:
            return who.post(f"/users/{whom.profile['id']}/password-reset")

        assert_problem(ask(editor, user), 403)
        assert_problem(ask(viewer, editor), 403, "missing_scope")
        assert_problem(ask(stranger, viewer), 404)
        assert_problem(ask(client, viewer), 401)
        assert ask(editor, viewer).status_code == 201
        # Somebody with a place of their own is not reset by whoever has them as a guest.
        body = {"email": stranger.email, "role": "viewer"}
        link = user.post(f"/organizations/{organization_id}/invitations", json=body).json()["accept_url"]
        stranger.post("/invitations/accept", json={"token": link.partition("#")[2]})
        assert_problem(ask(user, stranger), 403)


def test_a_hub_without_mail_says_so_to_everyone(client: httpx2.Client, user: UserClient) -> None:
    known = client.post("/auth/password/forgot", json={"email": user.email})
    unknown = client.post("/auth/password/forgot", json={"email": f"{uuid.uuid4().hex}@example.org"})
    assert (known.status_code, known.json()) == (unknown.status_code, unknown.json())
    assert known.status_code == 202
    assert known.json()["mail_configured"] is False
    assert sign_in(client, user.email, user.password) == 200


@pytest.fixture
def mail() -> Iterator[MailServer]:
    """A running mail server."""
    with running_mail_server() as server:
        yield server


def test_a_forgotten_password(mail: MailServer, fresh_server: FreshServer) -> None:
    server = fresh_server(**mail.settings)
    with (
        register_user(server) as somebody,
        httpx2.Client(base_url=f"{server.url}/api/v1", trust_env=False, verify=False) as client,
    ):
        answers = [
            client.post("/auth/password/forgot", json={"email": email}, headers={"Host": "evil.example"})
            for email in (f"{uuid.uuid4().hex}@example.org", somebody.email)
        ]
        assert answers[0].status_code == answers[1].status_code == 202
        assert answers[0].json() == answers[1].json()
        wait_until(lambda: mail.mails, what="The mail")
        (sent,) = mail.mails
        assert sent["To"] == somebody.email
        link = link_in(sent)
        assert link.startswith("https://roost.example.org/app/reset-password#")
        # Again and again for one account: what is too much is not mailed, and nobody can tell.
        for _ in range(4):
            assert client.post("/auth/password/forgot", json={"email": somebody.email}).status_code == 202
        assert reset(client, token_of(link)).status_code == 204
        assert sign_in(client, somebody.email, NEW) == 200
        # Somebody who manages others has the link mailed, and does not get to see it.
        with (
            colleagues.sign_in(server, somebody.email, NEW) as again,
            join(server, again, own_organization(again)[0], "viewer") as colleague,
        ):
            offered = again.post(f"/users/{colleague.profile['id']}/password-reset").json()
            assert (offered["emailed"], offered["reset_url"]) == (True, None)
            assert mail.mails[-1]["To"] == colleague.email
        statuses = [client.post("/auth/password/forgot", json={"email": "a@b.c"}).status_code for _ in range(30)]
        assert statuses[-1] == 429
    assert len([one for one in mail.mails if one["To"] == somebody.email]) <= 3


def test_mail_that_does_not_go_out_is_shown_instead(fresh_server: FreshServer) -> None:
    with running_mail_server() as gone:
        settings = gone.settings
    server = fresh_server(**settings)
    with (
        register_user(server) as somebody,
        join(server, somebody, own_organization(somebody)[0], "viewer") as colleague,
    ):
        offered = somebody.post(f"/users/{colleague.profile['id']}/password-reset").json()
        assert offered["emailed"] is False
        with httpx2.Client(base_url=f"{server.url}/api/v1", trust_env=False, verify=False) as client:
            assert reset(client, token_of(offered["reset_url"])).status_code == 204


def test_from_the_command_line(server: RoostServer, client: httpx2.Client, user: UserClient) -> None:
    run = server.run_command("user", "reset-password", user.email.upper())
    assert run.returncode == 0, run.stderr
    assert reset(client, token_of(run.stdout.split()[-1])).status_code == 204
    assert sign_in(client, user.email, NEW) == 200
    unknown = server.run_command("user", "reset-password", "nobody@example.org")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "nobody@example.org" in unknown.stderr


async def test_a_bcrypt_hash_signs_in_and_is_replaced(
    server: RoostServer, client: httpx2.Client, user: UserClient
) -> None:
    database = Database(Settings(data_dir=server.data_dir, database_url=server.database_url, _env_file=None))
    mine = User.id == user.profile["id"]
    async with database.write() as session:
        old = BcryptHasher(rounds=4).hash("Older-Hub-1999")
        await session.execute(update(User).where(mine).values(password_hash=old))
    assert sign_in(client, user.email, "Older-Hub-1998") == 401
    assert sign_in(client, user.email, "Older-Hub-1999") == 200
    async with database.read() as session:
        kept = await session.scalar(select(User.password_hash).where(mine))
    await database.dispose()
    assert kept is not None
    assert kept.startswith("$argon2id$")
    assert sign_in(client, user.email, "Older-Hub-1999") == 200


def test_a_link_goes_with_the_right_of_who_has_seen_it(
    server: RoostServer, client: httpx2.Client, user: UserClient
) -> None:
    organization_id, _ = own_organization(user)
    with (
        join(server, user, organization_id, "editor") as editor,
        join(server, user, organization_id, "viewer") as colleague,
    ):
        token = token_of(editor.post(f"/users/{colleague.profile['id']}/password-reset").json()["reset_url"])
        member = f"/organizations/{organization_id}/members/{colleague.profile['id']}"
        assert user.patch(member, json={"role": "owner"}).status_code == 200
        assert_problem(reset(client, token), 410, "reset_link_gone")
        assert sign_in(client, colleague.email, colleague.password) == 200


def test_a_changed_password_withdraws_links(client: httpx2.Client, managed: tuple[UserClient, str]) -> None:
    colleague, token = managed
    change = {"current_password": colleague.password, "new_password": "Yet-Another-44"}
    assert colleague.post("/auth/password", json=change).status_code == 200
    assert_problem(reset(client, token), 410, "reset_link_gone")
