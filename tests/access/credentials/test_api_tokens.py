"""Personal API tokens: everywhere an access token is good, never more than their user, ended at once."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import httpx2
import pytest
from sqlalchemy import delete, update

from roost.access.audit.log import use_key
from roost.access.authentication import grants_of
from roost.access.credentials.api_tokens import ApiTokens, create
from roost.access.credentials.models import ApiToken
from roost.access.messages import tell_deactivated
from roost.access.models import GrantRow, User
from roost.access.principals import UserPrincipal
from roost.core.bus import Bus
from roost.core.database import Database
from roost.core.errors import Conflict, Unauthorized
from roost.core.logging import client_address
from roost.core.outbox import Outbox
from roost.core.settings import Settings
from roost.places.registration import register
from tests.colleagues import join, own_organization
from tests.conftest import RegisteredDevice, UserClient, register_device, register_user
from tests.core.test_http import assert_problem
from tests.live.conftest import connect_live
from tests.migrated_databases import MigratedDatabases
from tests.roost_server import RoostServer
from tests.stopped_clock import StoppedClock


def make(user: httpx2.Client, *scopes: str, **fields: Any) -> dict[str, Any]:
    answer = user.post("/auth/api-tokens", json={"name": "script", "scopes": list(scopes), **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def two_places(server: RoostServer) -> Iterator[tuple[UserClient, int, int]]:
    """Somebody who owns one organization and is a viewer in another, and the ids of both."""
    with register_user(server) as owner, register_user(server) as somebody:
        elsewhere, own = own_organization(owner)[0], own_organization(somebody)[0]
        body = {"email": somebody.email, "role": "viewer"}
        invited = owner.post(f"/organizations/{elsewhere}/invitations", json=body).json()
        token = invited["accept_url"].partition("#")[2]
        assert somebody.post("/invitations/accept", json={"token": token}).status_code in {200, 201}
        yield somebody, own, elsewhere


def test_is_shown_once_and_does_what_it_was_made_for(
    client: httpx2.Client, user: UserClient, device: RegisteredDevice
) -> None:
    made = make(user, "devices:read", expires_in_days=7)
    assert made["token"].startswith("rpat_")
    assert made["scopes"] == ["devices:read"]
    listed = user.get("/auth/api-tokens").json()
    assert [(one["id"], "token" in one) for one in listed] == [(made["id"], False)]
    assert [one["id"] for one in client.get("/devices", headers=bearer(made["token"])).json()] == [device.id]
    changing = client.patch(f"/devices/{device.id}", json={"name": "x"}, headers=bearer(made["token"]))
    assert_problem(changing, 403, "missing_scope")
    # Its user may write; the token was not made for it.
    assert user.patch(f"/devices/{device.id}", json={"name": "x"}).status_code == 200


def test_is_good_until_it_is_revoked(client: httpx2.Client, user: UserClient) -> None:
    kept, made = make(user, "devices:read"), make(user, "devices:read")
    headers = bearer(made["token"])
    assert client.get("/devices", headers=headers).status_code == 200
    assert user.delete(f"/auth/api-tokens/{made['id']}").status_code == 204
    # The very next request: nothing remembers it any more.
    assert_problem(client.get("/devices", headers=headers), 401, "invalid_api_token")
    assert client.get("/devices", headers=bearer(kept["token"])).status_code == 200
    assert_problem(user.delete(f"/auth/api-tokens/{made['id']}"), 404, "api_token_not_found")
    assert [one["id"] for one in user.get("/auth/api-tokens").json()] == [kept["id"]]


def test_what_is_not_made(user: UserClient, server: RoostServer) -> None:
    past = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    good, later = ["devices:read"], "2100-01-01T00:00:00Z"
    wrong_ones: list[dict[str, Any]] = [
        {"scopes": []},
        {"scopes": ["everything"]},
        {"scopes": good, "expires_at": past},
        {"scopes": good, "expires_in_days": 1, "expires_at": later},
        {"scopes": good, "role": "admin"},
    ]
    for wrong in wrong_ones:
        assert_problem(user.post("/auth/api-tokens", json={"name": "script", **wrong}), 422)
    beyond = {"name": "script", "scopes": ["devices:read", "ops:read"]}
    assert_problem(user.post("/auth/api-tokens", json=beyond), 403, "missing_scope")
    with register_user(server) as stranger:
        foreign = {"name": "script", "scopes": ["devices:read"], "organization_id": own_organization(stranger)[0]}
        assert_problem(user.post("/auth/api-tokens", json=foreign), 404, "organization_not_found")
        made = make(stranger, "devices:read")
        assert_problem(user.delete(f"/auth/api-tokens/{made['id']}"), 404, "api_token_not_found")
    assert user.get("/auth/api-tokens").json() == []


def test_a_repeated_request_makes_one_and_shows_it_once(user: UserClient) -> None:
    body, headers = {"name": "script", "scopes": ["devices:read"]}, {"Idempotency-Key": uuid.uuid4().hex}
    first = user.post("/auth/api-tokens", json=body, headers=headers).json()
    again = user.post("/auth/api-tokens", json=body, headers=headers).json()
    assert again == {**first, "token": None}
    assert len(user.get("/auth/api-tokens").json()) == 1


def test_stays_in_the_organization_it_was_made_for(
    client: httpx2.Client, two_places: tuple[UserClient, int, int]
) -> None:
    somebody, own, elsewhere = two_places
    mine = register_device(somebody)
    everywhere, there = make(somebody, "devices:read"), make(somebody, "devices:read", organization_id=elsewhere)
    assert mine.id in [one["id"] for one in client.get("/devices", headers=bearer(everywhere["token"])).json()]
    assert client.get("/devices", headers=bearer(there["token"])).json() == []
    assert_problem(client.get(f"/devices/{mine.id}", headers=bearer(there["token"])), 404)
    # Owner at home, viewer there: what counts there is what decides.
    beyond = {"name": "script", "scopes": ["devices:write"], "organization_id": elsewhere}
    assert_problem(somebody.post("/auth/api-tokens", json=beyond), 403, "missing_scope")
    assert make(somebody, "devices:write", organization_id=own)["organization_id"] == own


def test_decides_nothing_about_the_account(client: httpx2.Client, admin: UserClient) -> None:
    scopes = ["users:read", "users:write", "organization:write", "admin"]
    headers = bearer(make(admin, *scopes)["token"])
    assert client.get("/auth/me", headers=headers).status_code == 200
    attempts: list[tuple[str, str, Any]] = [
        ("POST", "/auth/password", {"current_password": admin.password, "new_password": "Another-One-17"}),
        ("POST", f"/users/{admin.profile['id']}/password-reset", None),
        ("GET", "/auth/sessions", None),
        ("POST", "/auth/sessions/end-others", None),
        ("POST", "/auth/sessions/end-all", None),
        ("DELETE", "/auth/sessions/1", None),
        ("GET", "/auth/api-tokens", None),
        ("POST", "/auth/api-tokens", {"name": "more", "scopes": ["devices:read"]}),
        ("DELETE", "/auth/api-tokens/1", None),
        ("GET", "/auth/totp", None),
        ("POST", "/auth/totp/setup", None),
        ("POST", "/auth/totp/confirm", {"code": "123456"}),
        ("POST", "/auth/totp/recovery-codes", {"password": admin.password}),
        ("DELETE", "/auth/totp", {"password": admin.password}),
        ("POST", "/auth/passkeys/options", None),
        ("POST", "/auth/passkeys", {"name": "key", "credential": {"id": "x"}}),
        ("GET", "/auth/passkeys", None),
        ("DELETE", "/auth/passkeys/1", None),
        ("POST", "/auth/oidc/link", None),
        ("GET", "/auth/external-identities", None),
        ("DELETE", "/auth/external-identities/1", None),
        ("POST", "/auth/logout", None),
    ]
    for method, path, body in attempts:
        assert_problem(client.request(method, path, json=body, headers=headers), 403, "needs_sign_in")


def test_ends_with_what_its_user_may(server: RoostServer, client: httpx2.Client, user: UserClient) -> None:
    organization_id, _ = own_organization(user)
    device = register_device(user)
    with join(server, user, organization_id, "editor") as colleague:
        headers = bearer(make(colleague, "devices:read", "devices:write")["token"])
        rename = {"name": "renamed"}
        assert client.patch(f"/devices/{device.id}", json=rename, headers=headers).status_code == 200
        member = f"/organizations/{organization_id}/members/{colleague.profile['id']}"
        assert user.patch(member, json={"role": "viewer"}).status_code == 200
        assert_problem(client.patch(f"/devices/{device.id}", json=rename, headers=headers), 403)
        assert client.get(f"/devices/{device.id}", headers=headers).status_code == 200
        assert user.delete(member).status_code == 204
        assert client.get(f"/devices/{device.id}", headers=headers).status_code in {403, 404}


def test_opens_live_sockets_until_it_is_revoked(server: RoostServer, user: UserClient) -> None:
    made, other = make(user, "telemetry:read"), make(user, "telemetry:read")
    with (
        connect_live(server, token=made["token"]) as live,
        connect_live(server, token=other["token"]) as staying,
        connect_live(server, "/api/v1/ws/device-status") as unfit,
    ):
        unfit.send({"type": "authenticate", "token": made["token"]})
        assert unfit.closing()[0] == 4403
        assert user.delete(f"/auth/api-tokens/{made['id']}").status_code == 204
        assert live.closing() == (4401, "This API token has been revoked.")
        staying.send({"type": "ping"})
        assert staying.receive() == {"type": "pong"}


async def test_subscribes_over_mqtt_until_it_is_revoked(
    server: RoostServer, user: UserClient, device: RegisteredDevice
) -> None:
    made = make(user, "telemetry:read")
    address: dict[str, Any] = {"hostname": "127.0.0.1", "port": server.mqtt_port}
    async with aiomqtt.Client(username="home-assistant", password=made["token"], **address) as reader:
        await reader.subscribe("devices/+/telemetry")
        assert user.post("/telemetry", json={"temp_c": 21.5}, headers=device.headers).status_code == 201
        async with asyncio.timeout(10):
            message = await anext(aiter(reader.messages))
        assert str(message.topic) == f"devices/{device.id}/telemetry"
        assert user.delete(f"/auth/api-tokens/{made['id']}").status_code == 204
        async with asyncio.timeout(10):
            with pytest.raises(aiomqtt.MqttError):
                await anext(aiter(reader.messages))
    with pytest.raises(aiomqtt.MqttError):
        async with aiomqtt.Client(username="home-assistant", password=made["token"], **address):
            pass


def test_neither_log_nor_database_holds_it(server: RoostServer, client: httpx2.Client, user: UserClient) -> None:
    start = server.log_size()
    token = make(user, "devices:read")["token"]
    client.get("/nothing", params={"token": token})
    client.get(f"/nothing/{token}")
    assert token not in server.log_text(start)


@dataclass
class Book:
    """The book of tokens over a real database, with a clock that stands still; and a token that is good for a day."""

    database: Database
    clock: StoppedClock
    tokens: ApiTokens
    token: str
    row: ApiToken


@pytest.fixture
async def book(tmp_path: Path, migrated: MigratedDatabases) -> AsyncIterator[Book]:
    """With `ada@example.org`, who owns her organization."""
    settings, clock, bus = Settings(data_dir=tmp_path, _env_file=None), StoppedClock(), Bus()
    migrated.sqlite(tmp_path / "roost.db")
    database = Database(settings)
    use_key(database, "k" * 43)
    relay, tokens = Outbox(database, bus, clock), ApiTokens(database, clock, bus)
    await relay.start()
    tokens.start()
    async with database.write() as session:
        user = (await register(session, clock, email="ada@example.org", password_hash=None)).user
        principal = UserPrincipal(user.id, user.email, user.username, 1, await grants_of(session, user.id))
        end_ms = clock.now_ms() + 86_400_000
        row, token = await create(
            session, clock, principal, name="a", scopes=["devices:read"], expires_at_ms=end_ms, organization_id=None
        )
    yield Book(database, clock, tokens, token, row)
    await tokens.stop()
    await relay.stop()
    await database.dispose()


async def test_expires_while_it_is_remembered(book: Book) -> None:
    principal = await book.tokens.authenticate(book.token)
    assert (principal.session_id, principal.api_token_id, principal.scopes) == (None, book.row.id, ["devices:read"])
    assert book.tokens.ends_at_s(book.token) == book.clock.now_ms() / 1000 + 86_400
    book.clock.advance(86_399)
    await book.tokens.authenticate(book.token)
    book.clock.advance(1)
    with pytest.raises(Unauthorized):
        await book.tokens.authenticate(book.token)


async def test_rests_while_its_user_is_deactivated(book: Book) -> None:
    principal = await book.tokens.authenticate(book.token)
    for active in (False, True):
        async with book.database.write() as session:
            await session.execute(update(User).where(User.id == principal.user_id).values(is_active=active))
            tell_deactivated(session, principal.user_id)
        if active:
            assert await book.tokens.authenticate(book.token) == principal
        else:
            with pytest.raises(Unauthorized):
                await book.tokens.authenticate(book.token)


async def test_a_change_that_nobody_told_of_counts_after_some_seconds(book: Book) -> None:
    assert (await book.tokens.authenticate(book.token)).has("devices:read")
    async with book.database.write() as session:
        await session.execute(delete(GrantRow))
    book.clock.advance(11)
    assert not (await book.tokens.authenticate(book.token)).has("devices:read")


async def test_its_last_use_is_noted(book: Book) -> None:
    used_at = book.clock.now()
    reset = client_address.set("192.0.2.7")
    await book.tokens.authenticate(book.token)
    client_address.reset(reset)
    await book.tokens.stop()
    async with book.database.read() as session:
        row = await session.get_one(ApiToken, book.row.id)
    assert (row.last_used_at, row.last_address) == (used_at, "192.0.2.7")


async def test_there_is_an_end_to_how_many_somebody_has(book: Book) -> None:
    principal = await book.tokens.authenticate(book.token)

    async def one_more() -> None:
        async with book.database.write() as session:
            await create(
                session, book.clock, principal,
                name="b", scopes=["devices:read"], expires_at_ms=None, organization_id=None,
            )  # fmt: skip

    for _ in range(99):
        await one_more()
    with pytest.raises(Conflict):
        await one_more()
    book.clock.advance(86_400)  # the first one ends, which makes room
    await one_more()
