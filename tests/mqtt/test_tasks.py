"""Work over MQTT: it comes by itself, comes again after a reconnect, and is reported on the way back."""

import itertools
import json
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.access.matrix.mqtt_socket import CONNACK, PUBACK, PUBLISH, SUBACK, VERSION, MqttSocket, mqtt_socket
from tests.conftest import FreshServer, RegisteredDevice, UserClient, register_device, register_user
from tests.live.conftest import connect_live
from tests.mqtt import wire
from tests.roost_server import RoostServer

_packet_ids = itertools.count(1)


class Worker:
    """A device that listens to its tasks."""

    def __init__(self, connection: MqttSocket, device: RegisteredDevice, stack: ExitStack) -> None:
        self._connection, self._device, self._stack = connection, device, stack
        self._messages: deque[dict[str, Any]] = deque()
        self._ask(wire.connect(VERSION, f"worker-{device.id}", str(device.id), device.token), CONNACK)
        self._ask(wire.subscribe("devices/me/tasks", version=VERSION, options=0x20), SUBACK)

    def receive(self) -> dict[str, Any]:
        """The next message on the topic of tasks."""
        while not self._messages:
            self._take(self._connection.receive())
        return self._messages.popleft()

    def report(self, task_id: int, verb: str, **said: Any) -> wire.Packet:
        """Publish what became of a task; the acknowledgement."""
        topic, packet_id = f"devices/me/tasks/{task_id}/{verb}", next(_packet_ids) % 65_000 + 1
        return self._ask(wire.publish(topic, json.dumps(said).encode(), packet_id, version=VERSION), PUBACK)

    def leave(self) -> None:
        """The network is gone."""
        self._stack.close()

    def _ask(self, packet: bytes, kind: int) -> wire.Packet:
        self._connection._connection.sendall(packet)
        while (answer := self._connection.receive()).kind != kind:
            self._take(answer)
        return answer

    def _take(self, packet: wire.Packet) -> None:
        assert packet.kind == PUBLISH, packet
        topic, payload, retained = packet.message(VERSION)
        assert (topic, retained) == ("devices/me/tasks", False)
        self._messages.append(json.loads(payload))


Start = Callable[[RegisteredDevice], Worker]


@pytest.fixture
def start(server: RoostServer) -> Iterator[Start]:
    """Connects a device; all are gone after the test."""
    with ExitStack() as every:

        def start_one(device: RegisteredDevice) -> Worker:
            stack = every.enter_context(ExitStack())
            return Worker(stack.enter_context(mqtt_socket(server.mqtt_port)), device, stack)

        yield start_one


def order(user: UserClient, device: RegisteredDevice, **wanted: Any) -> int:
    answer = user.post(f"/devices/{device.id}/tasks", json={"type": "blink", **wanted})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def status(user: UserClient, task_id: int) -> str:
    return str(user.get(f"/tasks/{task_id}").json()["status"])


def test_work_comes_by_itself_and_is_completed(user: UserClient, device: RegisteredDevice, start: Start) -> None:
    waiting = order(user, device, payload={"n": 1})
    worker = start(device)
    task = worker.receive()
    assert (task["id"], task["payload"], task["status"], task["lease_seconds"]) == (waiting, {"n": 1}, "leased", 600)
    fresh = order(user, device)
    assert worker.receive()["id"] == fresh
    assert worker.report(waiting, "progress", percent=40, note="half way").reason == 0
    assert user.get(f"/tasks/{waiting}").json()["progress"]["note"] == "half way"
    done = {"status": "done", "result": {"ok": True}, "lease_token": task["lease_token"]}
    assert [worker.report(waiting, "complete", **done).reason for _ in range(2)] == [0, 0]
    read = user.get(f"/tasks/{waiting}").json()
    assert (read["status"], read["result"], read["leased_via"]) == ("done", {"ok": True}, "mqtt")


def test_what_a_device_holds_comes_again_with_the_same_lease(
    user: UserClient, device: RegisteredDevice, start: Start
) -> None:
    ordered = [order(user, device, priority=-number) for number in range(3)]
    worker = start(device)
    first = [worker.receive() for _ in ordered]
    assert worker.report(ordered[0], "complete", status="done").reason == 0
    worker.leave()
    again = start(device)
    assert [again.receive() for _ in ordered[1:]] == first[1:]
    assert user.get(f"/tasks/{ordered[1]}").json()["attempts"] == 1


def test_a_device_at_work_is_told_that_its_task_is_cancelled(
    user: UserClient, device: RegisteredDevice, start: Start
) -> None:
    task_id = order(user, device)
    worker = start(device)
    worker.receive()
    assert user.post(f"/devices/{device.id}/tasks/{task_id}/cancel").status_code == 200
    told = worker.receive()
    assert told == {"id": task_id, "status": "cancelled", "reason": f"Cancelled by {user.email}."}
    refused = worker.report(task_id, "complete", status="done")
    assert refused.reason == 0x83
    assert "was cancelled" in refused.body.decode(errors="replace")


def test_a_device_gets_no_more_than_it_may_hold_and_the_next_when_one_is_done(
    user: UserClient, device: RegisteredDevice, start: Start
) -> None:
    query = {"device_ids": [device.id]}
    for _ in range(20):
        assert user.post("/tasks/bulk", json={"type": "blink", "devices": query}).status_code == 201
    worker = start(device)
    held = [worker.receive()["id"] for _ in range(16)]
    assert user.get(f"/devices/{device.id}/tasks", params={"status": "queued"}).json()[0]["id"] > max(held)
    for number in range(20):
        assert worker.report(held.pop(0), "complete", status="done").reason == 0
        if number < 4:
            held.append(worker.receive()["id"])
    assert {one["status"] for one in user.get(f"/devices/{device.id}/tasks").json()} == {"done"}


def test_a_device_that_returns_with_its_hands_full_gets_the_next_when_one_is_done(fresh_server: FreshServer) -> None:
    hub = fresh_server()
    with register_user(hub) as user, ExitStack() as connections:
        device = register_device(user)
        for _ in range(17):
            order(user, device)
        before = Worker(connections.enter_context(mqtt_socket(hub.mqtt_port)), device, connections)
        first = [before.receive()["id"] for _ in range(16)]
        # Killed, since a hub that goes on knows that there was more.
        hub.kill()
        hub.start()
        again = Worker(connections.enter_context(mqtt_socket(hub.mqtt_port)), device, connections)
        assert [again.receive()["id"] for _ in range(16)] == first
        assert again.report(first[0], "complete", status="done").reason == 0
        assert again.receive()["id"] not in first


def test_reports_that_do_not_count_are_refused_with_a_reason(
    user: UserClient, device: RegisteredDevice, start: Start
) -> None:
    other = register_device(user)
    task_id, others = order(user, device), order(user, other)
    worker = start(device)
    worker.receive()
    for report, reason in (
        (("complete", {"status": "perhaps"}), 0x99),
        (("complete", {"status": "done", "lease_token": "another"}), 0x83),
        (("complete", {"status": "done", "result": "x" * 17 * 1024}), 0x97),
        (("progress", {"percent": 200}), 0x99),
    ):
        assert worker.report(task_id, report[0], **report[1]).reason == reason, report
    assert worker.report(others, "complete", status="done").reason == 0x99
    assert (status(user, task_id), status(user, others)) == ("leased", "queued")


def test_users_see_it_happen(server: RoostServer, user: UserClient, device: RegisteredDevice, start: Start) -> None:
    with connect_live(server, "/api/v1/ws/tasks", user.access_token) as live:
        task_id = order(user, device)
        worker = start(device)
        worker.receive()
        worker.report(task_id, "progress", percent=50)
        worker.report(task_id, "complete", status="failed", result={"error": "the lamp is broken"})
        frames = [live.receive_until("task") for _ in range(4)]
    assert [frame["status"] for frame in frames] == ["queued", "leased", "leased", "failed"]
    assert {frame["task_id"] for frame in frames} == {task_id}
    assert (frames[2]["progress_percent"], frames[3]["reason"]) == (50, "the lamp is broken")
