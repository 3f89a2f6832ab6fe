"""Tasks and commands over HTTP, as devices and their owners meet them."""

import contextlib
import http.client
import threading
from typing import Any

import httpx2

from tests.conftest import FreshServer, RegisteredDevice, UserClient, register_device, register_user


def ordered(user: UserClient, device: RegisteredDevice, **wanted: Any) -> dict[str, Any]:
    answer = user.post(f"/devices/{device.id}/tasks", json={"type": "blink", **wanted})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_an_order_said_twice_is_one_task(user: UserClient, device: RegisteredDevice) -> None:
    path, wanted = f"/devices/{device.id}/tasks", {"type": "blink", "idempotency_key": "once", "priority": 3}
    first, second = user.post(path, json=wanted), user.post(path, json=wanted)
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json() == first.json()
    header = {"Idempotency-Key": "by header"}
    answers = [user.post(path, json={"type": "blink"}, headers=header) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert len(user.get(path).json()) == 2


def test_orders_that_cannot_be_given_are_refused(user: UserClient, device: RegisteredDevice) -> None:
    path = f"/devices/{device.id}/tasks"
    for wanted, status in (
        ({"type": " "}, 422),
        ({"type": "blink", "payload": [1]}, 422),
        ({"type": "blink", "priority": 101}, 422),
        ({"type": "blink", "expires_at": "2020-01-01T00:00:00Z"}, 422),
        ({"type": "blink", "not_before": "2030-01-02T00:00:00Z", "expires_at": "2030-01-01T00:00:00Z"}, 422),
        ({"type": "blink", "lease": 5}, 422),
        ({"type": "blink", "payload": {"text": "x" * 17 * 1024}}, 413),
    ):
        assert user.post(path, json=wanted).status_code == status, wanted
    nan = user.post(path, content=b'{"type": "blink", "payload": {"n": NaN}}')
    assert nan.status_code in {400, 422}
    assert user.get(path).json() == []


def test_a_device_waits_for_work_and_its_owner_reads_how_it_went(
    client: httpx2.Client, user: UserClient, device: RegisteredDevice
) -> None:
    got: list[Any] = []

    def wait() -> None:
        got.extend(client.post("/tasks/poll?wait=30&lease_seconds=1", headers=device.headers).json())

    polling = threading.Thread(target=wait)
    polling.start()
    task_id = ordered(user, device, payload={"n": 1})["id"]
    polling.join(timeout=20)
    assert [(task["id"], task["lease_seconds"]) for task in got] == [(task_id, 5)]
    said: list[tuple[str, Any]] = [("progress", {"percent": 10}), ("extend", {"lease_seconds": 9999}), ("extend", None)]
    for verb, body in said:
        held = client.post(f"/tasks/{task_id}/{verb}", json=body, headers=device.headers)
        assert held.status_code == 200, held.text
    assert held.json()["lease_seconds"] == 600
    for wrong, status in (({"status": "perhaps"}, 422), ({"status": "done", "result": "x" * 17 * 1024}, 413)):
        assert client.post(f"/tasks/{task_id}/complete", json=wrong, headers=device.headers).status_code == status
    done = client.post(f"/tasks/{task_id}/complete", json={"status": "done"}, headers=device.headers)
    assert done.json()["status"] == "done"
    steps = user.get(f"/tasks/{task_id}").json()["steps"]
    assert [step["status"] for step in steps] == ["queued", "leased", "done"]
    assert steps[0]["detail"] == f"Ordered by {user.email}."


def test_commands_are_the_same_queue(client: httpx2.Client, user: UserClient, device: RegisteredDevice) -> None:
    path = f"/devices/{device.id}/commands"
    first, second = (
        user.post(path, json={"command": "relay", "parameters": {"on": on}}).json() for on in (True, False)
    )
    leased = client.get(path, headers=device.headers).json()
    assert [(one["id"], one["command"], one["parameters"]) for one in leased] == [
        (first["id"], "relay", {"on": True}),
        (second["id"], "relay", {"on": False}),
    ]
    assert client.get(path, headers=device.headers).json() == []
    assert client.put(f"{path}/{first['id']}", headers=device.headers).json()["status"] == "done"
    failed = {"status": "failed", "result": "the relay sticks"}
    assert client.put(f"{path}/{second['id']}", json=failed, headers=device.headers).status_code == 200
    listed = user.get(path).json()
    assert [(one["id"], one["status"], one["reason"]) for one in listed] == [
        (second["id"], "failed", "the relay sticks"),
        (first["id"], "done", None),
    ]
    assert [task["type"] for task in user.get("/tasks", params={"device_id": device.id}).json()] == ["relay", "relay"]


def test_one_task_for_many_and_what_became_of_it(client: httpx2.Client, user: UserClient) -> None:
    cellar = [register_device(user, tags=["cellar"]) for _ in range(3)]
    register_device(user, tags=["attic"])
    bulk = user.post("/tasks/bulk", json={"type": "ping", "devices": {"tag": "cellar"}}).json()
    assert (bulk["devices"], bulk["counts"]["queued"]) == (3, 3)
    for device, said in zip(
        cellar, ({"status": "done"}, {"status": "failed", "result": {"error": "no route"}}), strict=False
    ):
        [task] = client.post("/tasks/poll", headers=device.headers).json()
        client.post(f"/tasks/{task['id']}/complete", json=said, headers=device.headers)
    cancelled = user.post(f"/tasks/bulk/{bulk['id']}/cancel").json()
    wanted = {"queued": 0, "leased": 0, "done": 1, "failed": 1, "cancelled": 1, "expired": 0}
    assert cancelled["counts"] == wanted
    told = user.get(f"/tasks/bulk/{bulk['id']}").json()
    assert sorted((one["status"], one["reason"], one["count"]) for one in told["failures"]) == [
        ("cancelled", f"Cancelled by {user.email}.", 1),
        ("failed", "no route", 1),
    ]
    [failed] = user.get("/tasks", params={"bulk_id": bulk["id"], "status": "failed"}).json()
    assert failed["device_id"] == cellar[1].id
    for query in ({}, {"tag": "garage"}, {"colour": "red"}):
        assert user.post("/tasks/bulk", json={"type": "ping", "devices": query}).status_code == 422, query


def test_a_heartbeat_tells_of_work_and_contexts_tell_what_they_can(
    client: httpx2.Client, user: UserClient, device: RegisteredDevice
) -> None:
    ordered(user, device)
    beat = client.post(f"/devices/{device.id}/heartbeat", headers=device.headers).json()
    assert beat["pending"] == {"tasks": 1}
    said = {"context_key": "io", "capabilities": {"tasks": ["io.write"]}, "meta": {"version": "1.0"}}
    answer = client.post("/tasks/context/heartbeat", json=said, headers=device.headers).json()
    assert (answer["context_key"], answer["pending"]) == ("io", {"tasks": 1})
    [context] = user.get(f"/devices/{device.id}/task-contexts").json()
    assert (context["context_key"], context["capabilities"]) == ("io", {"tasks": ["io.write"]})
    assert client.post("/tasks/poll?context_key=io", headers=device.headers).json() == []


def test_tasks_go_with_their_device(client: httpx2.Client, user: UserClient, device: RegisteredDevice) -> None:
    task_id = ordered(user, device)["id"]
    assert user.delete(f"/devices/{device.id}").status_code == 204
    assert user.get(f"/tasks/{task_id}").status_code == 404
    assert client.post("/tasks/poll", headers=device.headers).status_code == 401


def test_a_hub_goes_down_while_devices_wait_and_nothing_is_lost(fresh_server: FreshServer) -> None:
    server = fresh_server()
    with register_user(server) as user:
        device = register_device(user)
        ordered(user, device)
        [leased] = user.post("/tasks/poll", headers=device.headers).json()
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)) as waiting:
            waiting.request("POST", "/api/v1/tasks/poll?wait=60", headers=device.headers)
            # Whoever asks later is answered, so the one before has been heard.
            assert user.get("/health").status_code == 200
            server.stop()
            answer = waiting.getresponse()
            assert (answer.status, answer.read()) == (200, b"[]")
        server.start()
        done = user.post(f"/tasks/{leased['id']}/complete", json={"status": "done"}, headers=device.headers)
        assert done.status_code == 200, done.text
        assert user.get(f"/tasks/{leased['id']}").json()["status"] == "done"
