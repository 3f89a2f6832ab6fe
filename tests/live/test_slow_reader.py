"""A reader that does not read loses old frames, learns how many, and slows nobody down."""

import json
import socket
import time
from collections.abc import Iterator

import httpx2
from websockets.sync.client import connect

from tests.conftest import RegisteredDevice, UserClient
from tests.live.conftest import LiveClient, OpenLive
from tests.roost_server import RoostServer

BATCHES = 30
BATCH = 100
RECEIVE_BUFFER_BYTES = 64 * 1024


def batch(number: int) -> str:
    # Many series make long frames, so that the buffers between hub and reader fill soon.
    keys = [f"series_with_a_rather_long_name_to_fill_the_buffers_{index:02d}" for index in range(40)]
    return json.dumps([dict.fromkeys(keys, number * BATCH + index) for index in range(BATCH)])


def values(live: LiveClient) -> Iterator[tuple[str, int]]:
    while True:
        frame = live.receive()
        if frame["type"] == "dropped":
            yield "dropped", frame["count"]
        elif frame["type"] == "telemetry":
            yield "value", frame["readings"][0]["value"]


def test_a_slow_reader_is_told_what_it_lost_and_slows_nobody_down(
    open_live: OpenLive, server: RoostServer, user: UserClient, client: httpx2.Client, device: RegisteredDevice
) -> None:
    with socket.socket() as narrow:
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        narrow.connect(("127.0.0.1", server.port))
        address = server.url.replace("http", "ws", 1) + "/ws/live-data"
        # One frame in the client's own queue: it stops reading from the network at once.
        with connect(address, sock=narrow, proxy=None, max_queue=1, compression=None) as connection:
            slow = LiveClient(connection)
            slow.send({"type": "authenticate", "token": user.access_token})
            assert slow.receive() == {"type": "ready"}
            began = time.monotonic()
            for number in range(BATCHES):
                answer = client.post("/telemetry", content=batch(number), headers=device.headers)
                assert answer.status_code == 201, answer.text
            sending_s = time.monotonic() - began
            quick = open_live(f"/ws/live-data?device_id={device.id}", user.access_token)
            client.post("/telemetry", json={"n": BATCHES * BATCH}, headers=device.headers)
            assert quick.receive()["readings"][0]["value"] == BATCHES * BATCH
            assert sending_s < 30
            assert_nothing_is_missing_unnoticed(slow)


def assert_nothing_is_missing_unnoticed(slow: LiveClient) -> None:
    """What was received and what was reported lost add up to what was sent, in order."""
    expected, lost = 0, 0
    for kind, value in values(slow):
        if kind == "dropped":
            expected += value
            lost += value
            continue
        assert value == expected
        expected += 1
        if value == BATCHES * BATCH:
            break
    assert lost > 0
