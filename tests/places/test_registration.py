"""Registering: a user, an organization, a home; names that are taken; passwords that are weak."""

import unicodedata
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.conftest import UserClient, register_user
from tests.core.test_http import assert_problem
from tests.roost_server import RoostServer

PASSWORD = "Test1234!"


def some_name(prefix: str = "ada") -> str:
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


def register(client: httpx2.Client, **fields: object) -> httpx2.Response:
    return client.post("/auth/register", json={"email": f"{some_name()}@example.org", "password": PASSWORD, **fields})


def test_makes_a_user_with_an_organization_and_a_home(client: httpx2.Client) -> None:
    username = some_name()
    answer = register(client, username=username, full_name="Ada Lovelace", organization_name="Engines & Co")
    assert answer.status_code == 201, answer.text
    profile = answer.json()
    assert profile["username"] == username
    assert profile["full_name"] == "Ada Lovelace"
    assert profile["roles"] == ["owner"]
    assert profile["is_active"] is True
    assert [organization["name"] for organization in profile["organizations"]] == ["Engines & Co"]
    assert [organization["role"] for organization in profile["organizations"]] == ["owner"]
    assert profile["homes"][0]["organization_id"] == profile["organizations"][0]["id"]
    assert PASSWORD not in answer.text
    assert "password_hash" not in profile


def test_the_profile_of_whoever_is_signed_in(user: UserClient) -> None:
    profile = user.get("/auth/me").json()
    assert profile == user.get("/users/me").json()
    assert profile["email"] == user.email
    assert " ".join(profile["scopes"]) == user.scope
    assert profile["created_at"].endswith("Z")


def test_nothing_of_another_organization_is_in_it(server: RoostServer, user: UserClient) -> None:
    with register_user(server) as other:
        mine, theirs = user.get("/auth/me").json(), other.get("/auth/me").json()
    for kind in ("organizations", "homes"):
        assert not {entry["id"] for entry in mine[kind]} & {entry["id"] for entry in theirs[kind]}


def test_a_taken_name_is_a_conflict_however_it_is_spelled(client: httpx2.Client) -> None:
    email, username = f"{some_name('zoë')}@example.org", some_name("zoë")
    assert register(client, email=email, username=username).status_code == 201
    for spelling in (email, email.upper(), unicodedata.normalize("NFD", email), f" {email} "):
        assert_problem(register(client, email=spelling), 409, "email_taken")
    for spelling in (username, username.upper(), unicodedata.normalize("NFD", username)):
        assert_problem(register(client, username=spelling), 409, "username_taken")


def test_at_the_same_moment_one_gets_the_name(client: httpx2.Client) -> None:
    email = f"{some_name()}@example.org"
    with ThreadPoolExecutor(4) as threads:
        statuses = sorted(threads.map(lambda _: register(client, email=email).status_code, range(4)))
    assert statuses == [201, 409, 409, 409]


def test_two_people_with_the_same_first_part_get_different_usernames(client: httpx2.Client) -> None:
    local = some_name()
    names = {register(client, email=f"{local}@{domain}.example").json()["username"] for domain in ("a", "b", "c")}
    assert len(names) == 3
    assert local in names


@pytest.mark.parametrize("password", ["short", "password", "Qwertyuiop1", "12345678"])
def test_weak_passwords_say_why(client: httpx2.Client, password: str) -> None:
    problem = assert_problem(register(client, password=password), 422, "weak_password")
    assert problem["errors"] == [{"pointer": "/password", "detail": problem["detail"]}]


def test_the_email_is_no_password(client: httpx2.Client) -> None:
    email = f"{some_name()}@example.org"
    assert_problem(register(client, email=email, password=email), 422, "weak_password")


@pytest.mark.parametrize(
    "fields",
    [
        {"email": "nobody"},
        {"email": "a@b@c"},
        {"email": "a b@c.d"},
        {"email": "x" * 250 + "@example.org"},
        {"email": "nul\x00@example.org"},
        {"username": "a@b.c"},
        {"username": "x"},
        {"username": "x" * 65},
        {"username": " .. "},
        {"full_name": "line\nbreak"},
        {"full_name": " "},
        {"organization_name": "x" * 121},
        {"email": None},
        {"password": 12345678},
        {"password": "x" * 300},
    ],
)
def test_what_cannot_be_registered(client: httpx2.Client, fields: dict[str, object]) -> None:
    assert_problem(register(client, **fields), 422)
