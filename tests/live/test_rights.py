"""The right to listen is looked at again while a socket is open, and ends when it ends elsewhere."""

import time
import uuid

from joserfc import jwt
from joserfc.jwk import OctKey

from roost.core import outbox
from roost.core.database import Database
from roost.core.settings import Settings
from tests.conftest import RegisteredDevice, UserClient, register_user
from tests.live.conftest import LiveClient, OpenLive
from tests.roost_server import RoostServer

CLOSES_WITHIN_S = 5.0


def token_for(server: RoostServer, user: UserClient, seconds: int) -> str:
    """The user's own access token, signed anew to end so many seconds from now."""
    key = OctKey.import_key((server.data_dir / "secret_key").read_text().strip())
    claims = jwt.decode(user.access_token, key, algorithms=["HS256"]).claims
    fresh = claims | {"exp": int(time.time()) + seconds, "jti": uuid.uuid4().hex}
    return jwt.encode({"alg": "HS256"}, fresh, key, algorithms=["HS256"])


def closes_soon(live: LiveClient) -> tuple[int, str]:
    began = time.monotonic()
    farewell = live.closing()
    assert time.monotonic() - began < CLOSES_WITHIN_S
    return farewell


def test_signing_out_closes_the_sockets_of_that_session_at_once(
    open_live: OpenLive, server: RoostServer, user: UserClient
) -> None:
    again = user.post("/auth/login", json={"identifier": user.email, "password": user.password}).json()
    ending = [open_live("/ws/live-data", user.access_token), open_live("/ws/device-status", user.access_token)]
    staying = open_live("/ws/live-data", again["access_token"])
    with register_user(server) as stranger:
        strange = open_live("/ws/live-data", stranger.access_token)
        assert user.post("/auth/logout", json={"refresh_token": user.refresh_token}).status_code == 204
        for live in ending:
            assert closes_soon(live) == (4401, "You have signed out.")
        for live in (staying, strange):
            live.send({"type": "ping"})
            assert live.receive() == {"type": "pong"}


async def test_a_deactivated_user_hears_nothing_more(
    open_live: OpenLive, server: RoostServer, user: UserClient
) -> None:
    live = open_live("/ws/live-data", user.access_token)
    # As another process on the same database would say it.
    database = Database(Settings(data_dir=server.data_dir, database_url=server.database_url))
    async with database.write() as session:
        outbox.add(session, "user.deactivated", {"user_id": user.profile["id"]})
    await database.dispose()
    assert closes_soon(live)[0] == 4401


def test_a_socket_ends_with_its_token(open_live: OpenLive, server: RoostServer, user: UserClient) -> None:
    live = open_live("/ws/live-data", token_for(server, user, 2))
    code, reason = closes_soon(live)
    assert code == 4401
    assert "expired" in reason


def test_a_fresh_token_keeps_the_socket_open(
    open_live: OpenLive, server: RoostServer, user: UserClient, device: RegisteredDevice
) -> None:
    live = open_live("/ws/live-data", token_for(server, user, 2))
    live.send({"type": "authenticate", "token": token_for(server, user, 6)})
    assert live.receive() == {"type": "authenticated"}
    doomed = open_live("/ws/live-data", token_for(server, user, 3))
    assert closes_soon(doomed)[0] == 4401
    answer = user.post("/telemetry", json={"n": 1}, headers=device.headers | {"Authorization": ""})
    assert answer.status_code == 201, answer.text
    assert live.receive()["device_id"] == device.id
    assert closes_soon(live)[0] == 4401


def test_a_token_of_somebody_else_does_not_renew(open_live: OpenLive, server: RoostServer, user: UserClient) -> None:
    with register_user(server) as stranger:
        live = open_live("/ws/live-data", user.access_token)
        live.send({"type": "authenticate", "token": stranger.access_token})
        assert live.closing()[0] == 4401
    live = open_live("/ws/live-data", user.access_token)
    live.send({"type": "authenticate", "token": "nonsense"})
    assert live.closing()[0] == 4401
