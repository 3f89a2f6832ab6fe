"""The same creating request twice makes one thing."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx2

from tests.conftest import UserClient, register_user
from tests.roost_server import RoostServer


def test_a_repeated_registration_answers_with_the_first_result(client: httpx2.Client) -> None:
    body = {"email": f"{uuid.uuid4().hex}@example.org", "password": "Test1234!"}
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    first = client.post("/auth/register", json=body, headers=headers)
    again = client.post("/auth/register", json=body, headers=headers)
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert client.post("/auth/register", json=body).status_code == 409
    assert client.post("/auth/register", json=body, headers={"Idempotency-Key": "other"}).status_code == 409


def test_a_replay_shows_no_secret(user: UserClient) -> None:
    body = {"name": "Lamp", "device_uid": f"lamp-{uuid.uuid4().hex[:8]}"}
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    first, again = (user.post("/devices", json=body, headers=headers) for _ in range(2))
    assert first.status_code == again.status_code == 201, first.text
    assert "rdt_" in first.text
    assert "rdt_" not in again.text
    assert first.json()["id"] == again.json()["id"]


def test_the_key_belongs_to_principal_and_body(server: RoostServer, user: UserClient) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    with register_user(server) as other:
        ids = {
            client.post("/devices", json={"name": name}, headers=headers).json()["id"]
            for client in (user, other)
            for name in ("One", "Two")
        }
    assert len(ids) == 4


def test_at_the_same_moment_one_is_made(user: UserClient) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    body = {"name": "Lamp"}
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: user.post("/devices", json=body, headers=headers), range(6)))
    made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    assert len(made) == 1
    assert {answer.status_code for answer in answers} <= {201, 409}
