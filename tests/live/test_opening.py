"""Who gets in, by which way, and what everybody else is told."""

import httpx2
from websockets.exceptions import ConnectionClosed

from tests.conftest import RegisteredDevice, UserClient, register_user
from tests.live.conftest import OpenLive, bearer
from tests.roost_server import RoostServer
from tests.waiting import wait_until

PATHS = ["/api/v1/ws/live-data", "/ws/live-data", "/api/v1/ws/device-status", "/ws/device-status"]


def test_the_token_travels_in_the_first_frame_or_as_a_subprotocol(open_live: OpenLive, user: UserClient) -> None:
    for path in PATHS:
        live = open_live(path)
        live.send({"type": "authenticate", "token": user.access_token})
        assert live.receive() == {"type": "ready"}
        live = open_live(path, subprotocols=bearer(user.access_token))
        assert live.connection.subprotocol == "bearer"
        assert live.receive() == {"type": "ready"}


def test_the_token_travels_in_the_address_and_stays_out_of_the_log(
    open_live: OpenLive, server: RoostServer, user: UserClient
) -> None:
    start = server.log_size()
    live = open_live(f"/ws/live-data?token={user.access_token}")
    assert live.receive() == {"type": "ready"}
    # The access line of a request that came later is in the log: what the socket left there is in it too.
    assert user.get("/auth/me").status_code == 200
    assert user.access_token not in server.log_text(start)


def test_filters_that_do_not_exist_or_are_no_ids_are_refused(open_live: OpenLive, user: UserClient) -> None:
    ids = ["home_id=abc", "home_id=0", "device_id=-1", "device_id=1&device_id=2", "device_id=99999999999"]
    for query in ["unknown=1", *ids]:
        code, reason = open_live(f"/ws/live-data?{query}", subprotocols=bearer(user.access_token)).closing()
        assert code == 4400, query
        assert reason.endswith(".")


def test_a_token_that_is_none_is_refused(open_live: OpenLive) -> None:
    for path in PATHS:
        assert open_live(f"{path}?token=nonsense").closing()[0] == 4401
        assert open_live(path, subprotocols=bearer("nonsense")).closing()[0] == 4401


def test_the_first_frame_must_authenticate(open_live: OpenLive) -> None:
    for frame in ({"type": "ping"}, {"type": "authenticate"}, {"type": "authenticate", "token": ""}):
        live = open_live()
        live.send(frame)
        assert live.closing()[0] == 4401


def test_frames_that_are_none_end_the_socket(open_live: OpenLive, user: UserClient) -> None:
    frames = [("{", 4400), ("[]", 4400), ('{"type":7}', 4400), (b"\x00", 1003), ('{"type":"' + "x" * 9000 + '"}', 1009)]
    for frame, code in frames:
        for live in (open_live(), open_live(token=user.access_token)):
            live.send(frame)
            assert live.closing()[0] == code
    live = open_live(token=user.access_token)
    live.send({"type": "subscribe"})
    assert live.closing()[0] == 4400


def test_a_ping_is_answered(open_live: OpenLive, user: UserClient) -> None:
    live = open_live(token=user.access_token)
    live.send({"type": "ping"})
    assert live.receive() == {"type": "pong"}


def test_a_device_does_not_get_in(open_live: OpenLive, device: RegisteredDevice) -> None:
    for path in PATHS:
        live = open_live(path)
        live.send({"type": "authenticate", "token": device.token})
        assert live.closing()[0] == 4401


def test_other_peoples_devices_and_homes_are_not_there(
    open_live: OpenLive, server: RoostServer, user: UserClient, device: RegisteredDevice
) -> None:
    home_id = user.get(f"/devices/{device.id}").json()["home_id"]
    with register_user(server) as stranger:
        for query in (f"device_id={device.id}", f"home_id={home_id}", "device_id=1999999999", "homeId=1999999999"):
            for path in ("/ws/live-data", "/ws/device-status"):
                live = open_live(f"{path}?{query}", subprotocols=bearer(stranger.access_token))
                assert live.closing()[0] == 4404, query
    assert open_live(f"/ws/live-data?homeId={home_id}", user.access_token)


def test_a_user_may_have_so_many_sockets_and_no_more(open_live: OpenLive, user: UserClient) -> None:
    lives = [open_live(token=user.access_token) for _ in range(32)]
    code, reason = open_live(subprotocols=bearer(user.access_token)).closing()
    assert code == 4429
    assert "32" in reason
    lives[0].connection.close()
    # The closing handshake is answered before the place is free.
    wait_until(lambda: _gets_in(open_live, user))


def _gets_in(open_live: OpenLive, user: UserClient) -> bool:
    try:
        return open_live(subprotocols=bearer(user.access_token)).receive() == {"type": "ready"}
    except ConnectionClosed:
        return False


def test_a_plain_request_finds_nothing_there(client: httpx2.Client) -> None:
    answer = client.get("/ws/live-data")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
