"""ThingsBoard's own client, unchanged, at this hub."""

from collections.abc import Callable
from typing import Any

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.conftest import RegisteredDevice, UserClient, register_device
from tests.roost_server import RoostServer
from tests.thingsboard.conftest import ThingsBoardDevice
from tests.waiting import wait_until

Connect = Callable[[RegisteredDevice], ThingsBoardDevice]


def test_telemetry_of_every_shape_arrives(user: UserClient, device: RegisteredDevice, connect: Connect) -> None:
    board = connect(device)
    board.do("send_telemetry", {"temperature": 21.5, "on": True, "level": "7", "state": "IDLE"})
    assert board.next("sent") == [0]
    board.do("send_telemetry", [{"ts": 1_790_000_000_000, "values": {"humidity": 60}}, {"humidity": 61}])
    assert board.next("sent") == [0]
    latest = user.get(f"/devices/{device.id}/readings/latest").json()
    assert {one["sensor_type"]: one["value"] for one in latest} == {
        "temperature": 21.5, "on": True, "level": 7, "humidity": 61,
    }  # fmt: skip
    old = user.get(f"/devices/{device.id}/readings", params={"sensor_type": "humidity", "to": 1_790_000_000_001}).json()
    assert [(one["value"], one["timestamp"]) for one in old] == [(60, "2026-09-21T14:13:20.000Z")]
    events = user.get("/events", params={"device_id": device.id}).json()
    assert [one["payload"]["state"] for one in events] == ["IDLE"]
    assert user.get(f"/devices/{device.id}").json()["status"] == "online"


def test_attributes_are_the_shadow(user: UserClient, device: RegisteredDevice, connect: Connect) -> None:
    path = f"/devices/{device.id}/shadow"
    user.patch(path, json={"desired": {"interval_s": 60, "zone": {"a": 1}}})
    board = connect(device)
    board.do("send_attributes", {"firmware": "1.2", "interval_s": 30})
    assert board.next("sent") == [0]
    assert user.get(path).json()["reported"] == {"firmware": "1.2", "interval_s": 30}
    board.do("request", ["firmware", "nothing"], ["interval_s"])
    assert board.next("answer") == [{"client": {"firmware": "1.2"}, "shared": {"interval_s": 60}}]
    user.patch(path, json={"desired": {"interval_s": 90, "zone": {"b": 2}}})
    assert board.next("attributes") == [{"interval_s": 90, "zone": {"a": 1, "b": 2}}]
    user.patch(path, json={"desired": {"interval_s": None}})
    assert board.next("attributes") == [{"deleted": ["interval_s"]}]


def test_a_task_is_a_call_and_its_answer_the_result(
    user: UserClient, device: RegisteredDevice, connect: Connect
) -> None:
    path = f"/devices/{device.id}/tasks"
    before = user.post(path, json={"type": "setGpio", "payload": {"pin": 4}}).json()
    board = connect(device)
    assert board.next("rpc") == [{"method": "setGpio", "params": {"pin": 4}}]
    after = user.post(path, json={"type": "setValue", "payload": {"params": 21.5}}).json()
    assert board.next("rpc") == [{"method": "setValue", "params": 21.5}]
    assert end_of(user, before)["result"] == {"method": "setGpio", "ok": True}
    assert end_of(user, after)["status"] == "done"
    failing = user.post(path, json={"type": "fail"}).json()
    assert end_of(user, failing)["status"] == "failed"


def end_of(user: UserClient, task: dict[str, Any]) -> dict[str, Any]:
    """The task once it has ended."""

    def look() -> dict[str, Any]:
        seen: dict[str, Any] = user.get(f"/tasks/{task['id']}").json()
        return seen if seen["ended_at"] else {}

    return wait_until(look, what="The end of the task")


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_the_client_learns_the_hub_s_limits_and_time(device: RegisteredDevice, connect: Connect) -> None:
    board = connect(device)

    def received() -> bool:
        board.do("limits")
        return bool(board.next("limits")[0])

    wait_until(received, what="The limits")
    board.do("call", "getCurrentTime", {})
    assert board.next("called")[0] > 1_790_000_000_000
    board.do("call", "launch", {})
    assert "'launch'" in board.next("called")[0]["error"]


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_wrong_token_opens_nothing_and_stands_in_no_log(
    server: RoostServer, user: UserClient, device: RegisteredDevice
) -> None:
    other = register_device(user)
    user.delete(f"/devices/{other.id}/token")
    start = server.log_size()
    for name, password in [(other.token, None), (other.token, device.token), (f"rdt_{'x' * 43}", "")]:
        answers: list[int] = []
        client = paho.Client(CallbackAPIVersion.VERSION2, "any", reconnect_on_failure=False)
        client.username_pw_set(name, password)
        client.on_connect = lambda _c, _u, _f, reason, _p, answers=answers: answers.append(reason.value)
        client.connect("127.0.0.1", server.mqtt_port)
        client.loop_start()
        wait_until(answers.__len__, what="CONNACK")
        client.loop_stop()
        assert answers == [134]
    assert "rdt_x" not in server.log_text(start)
    assert other.token not in server.log_text(start)
    audit = user.get(f"/organizations/{user.get('/users/me').json()['organizations'][0]['id']}/audit").text
    assert other.token not in audit
