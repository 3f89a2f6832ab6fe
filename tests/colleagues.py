"""People who belong to an organization because somebody invited them there."""

import uuid
from collections.abc import Sequence
from typing import Any

import httpx2

from tests.conftest import UserClient
from tests.roost_server import RoostServer

PASSWORD = "Test1234!"


def invite(inviter: httpx2.Client, organization_id: int, role: str, **fields: Any) -> str:
    """The token of a new invitation."""
    body = {"email": f"{uuid.uuid4().hex[:12]}@example.org", "role": role, **fields}
    answer = inviter.post(f"/organizations/{organization_id}/invitations", json=body)
    assert answer.status_code == 201, answer.text
    link: str = answer.json()["accept_url"]
    return link.partition("#")[2]


def join(
    server: RoostServer, inviter: httpx2.Client, organization_id: int, role: str, home_ids: Sequence[int] = ()
) -> UserClient:
    """Somebody new who belongs to this organization alone, signed in; close the client when done."""
    token = invite(inviter, organization_id, role, home_ids=list(home_ids))
    with httpx2.Client(base_url=f"{server.url}/api/v1", timeout=30, trust_env=False, verify=False) as anonymous:
        accepted = anonymous.post("/invitations/accept", json={"token": token, "password": PASSWORD})
        assert accepted.status_code == 201, accepted.text
    return sign_in(server, accepted.json()["email"])


def sign_in(server: RoostServer, email: str, password: str = PASSWORD) -> UserClient:
    """Open a session; close the client when done."""
    with httpx2.Client(base_url=f"{server.url}/api/v1", timeout=30, trust_env=False, verify=False) as anonymous:
        answer = anonymous.post("/auth/login", json={"email": email, "password": password})
        assert answer.status_code == 200, answer.text
    return UserClient(server, email, password, answer.json())


def own_organization(user: httpx2.Client) -> tuple[int, int]:
    """The organization that somebody got by registering, and its first home."""
    profile = user.get("/users/me").json()
    return profile["organizations"][0]["id"], profile["homes"][0]["id"]
