"""The task flow of the documents that came before, typed as it stands there: curl, with bodies from a pipe."""

import json
import subprocess
from typing import Any

from tests.conftest import RegisteredDevice, UserClient
from tests.roost_server import RoostServer


def curl(server: RoostServer, method: str, path: str, credential: str, body: object = None) -> Any:
    """The answer's document; curl's own failure fails the test."""
    command = ["curl", "-sS", "--fail-with-body", "-X", method, f"{server.url}/api/v1{path}", "-H", credential]
    if body is not None:
        command += ["-H", "Content-Type: application/json", "--data-binary", "@-"]
    given = "" if body is None else json.dumps(body)
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_from_the_heartbeat_to_the_cancellation(
    server: RoostServer, user: UserClient, device: RegisteredDevice
) -> None:
    of_device, of_owner = f"X-Device-Token: {device.token}", f"Authorization: Bearer {user.access_token}"
    tasks = f"/devices/{device.id}/tasks"
    context = {
        "context_key": "default",
        "capabilities": {"tasks": ["io.write", "config.apply"]},
        "meta": {"version": "1.0"},
    }
    assert curl(server, "POST", "/tasks/context/heartbeat", of_device, context)["context_key"] == "default"
    wanted = {"type": "config.apply", "payload": {"mode": "safe"}, "execution_context_key": "default"}
    ordered = curl(server, "POST", tasks, of_owner, wanted)
    poll = "/tasks/poll?limit=1&context_key=default"
    [leased] = curl(server, "POST", poll, of_device)
    assert (leased["id"], leased["payload"]) == (ordered["id"], {"mode": "safe"})
    done = {"status": "done", "result": {"ok": True}}
    assert curl(server, "POST", f"/tasks/{leased['id']}/complete", of_device, done)["status"] == "done"
    [listed] = curl(server, "GET", f"{tasks}?limit=10", of_owner)
    assert (listed["id"], listed["status"]) == (ordered["id"], "done")
    second = curl(server, "POST", tasks, of_owner, wanted)
    assert curl(server, "POST", f"{tasks}/{second['id']}/cancel", of_owner)["status"] == "cancelled"
    assert curl(server, "POST", poll, of_device) == []
