"""Where somebody is signed in, and ending it there."""

import httpx2

from tests.conftest import UserClient, register_user
from tests.core.test_http import assert_problem
from tests.live.conftest import connect_live
from tests.roost_server import RoostServer


def sign_in(client: httpx2.Client, user: UserClient) -> dict[str, str]:
    answer = client.post("/auth/login", json={"email": user.email, "password": user.password}).json()
    return {"Authorization": f"Bearer {answer['access_token']}"}


def test_one_of_them(server: RoostServer, client: httpx2.Client, user: UserClient) -> None:
    other = sign_in(client, user)
    mine, theirs = user.get("/auth/sessions").json()
    assert (mine["current"], theirs["current"]) == (True, False)
    assert mine["address"] == "127.0.0.1"
    with connect_live(server, token=other["Authorization"].split()[1]) as live:
        assert user.delete(f"/auth/sessions/{theirs['id']}").status_code == 204
        assert live.closing()[0] == 4401
    assert_problem(client.get("/auth/me", headers=other), 401, "session_ended")
    assert_problem(user.delete(f"/auth/sessions/{theirs['id']}"), 404, "session_not_found")
    with register_user(server) as stranger:
        assert_problem(stranger.delete(f"/auth/sessions/{mine['id']}"), 404, "session_not_found")
        assert mine["id"] not in [one["id"] for one in stranger.get("/auth/sessions").json()]
    assert [one["id"] for one in user.get("/auth/sessions").json()] == [mine["id"]]


def test_all_others(client: httpx2.Client, user: UserClient) -> None:
    others = [sign_in(client, user) for _ in range(3)]
    assert len(user.get("/auth/sessions", params={"limit": 2}).json()) == 2
    assert user.post("/auth/sessions/end-others").json() == {"ended": 3}
    assert {client.get("/auth/me", headers=other).status_code for other in others} == {401}
    assert user.get("/auth/me").status_code == 200
    assert user.post("/auth/sessions/end-others").json() == {"ended": 0}


def test_every_one(client: httpx2.Client, user: UserClient) -> None:
    other = sign_in(client, user)
    ended = user.post("/auth/sessions/end-all")
    assert ended.json() == {"ended": 2}
    assert "roost_refresh=" in ended.headers["set-cookie"]
    assert {client.get("/auth/me", headers=headers).status_code for headers in (other, dict(user.headers))} == {401}
