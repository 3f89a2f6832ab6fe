"""The shadow through a running server."""

from typing import Any

import httpx2
import pytest

from tests.conftest import RegisteredDevice, UserClient, register_user
from tests.roost_server import RoostServer


def _shadow(answer: httpx2.Response) -> tuple[Any, ...]:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return tuple(body[name] for name in ("desired", "desired_version", "reported", "reported_version", "delta"))


def test_a_device_does_what_is_desired(client: httpx2.Client, user: UserClient, device: RegisteredDevice) -> None:
    path = f"/devices/{device.id}/shadow"
    assert _shadow(user.get(path)) == ({}, 0, {}, 0, {})
    wish = {"interval_s": 60, "net": {"ssid": "Attic", "dhcp": True}}
    assert _shadow(user.put(path, json={"desired": wish})) == (wish, 1, {}, 0, wish)
    assert _shadow(client.get(path, headers=device.headers))[4] == wish
    beat = f"/devices/{device.id}/heartbeat"
    assert client.post(beat, headers=device.headers).json()["pending"]["shadow"] == 2
    said = {"interval_s": 60, "uptime_s": 5}
    after = client.patch(path, json={"reported": said}, headers=device.headers)
    assert _shadow(after) == (wish, 1, said, 1, {"net": wish["net"]})
    client.patch(path, json={"reported": {"net": wish["net"], "uptime_s": None}}, headers=device.headers)
    assert "shadow" not in client.post(beat, headers=device.headers).json()["pending"]
    last = user.get(path).json()
    assert (last["reported"], last["delta"], last["delta_version"]) == (wish, {}, 3)
    assert last["desired_at"].endswith("Z")
    assert last["reported_at"] > last["desired_at"]


def test_merging_and_replacing(user: UserClient, device: RegisteredDevice) -> None:
    path = f"/devices/{device.id}/shadow"
    user.patch(path, json={"desired": {"a": {"x": 1, "y": 2}, "b": 1}})
    merged = user.patch(
        path,
        content=b'{"desired": {"a": {"x": null, "z": 3}, "b": [null]}}',
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert _shadow(merged)[:2] == ({"a": {"y": 2, "z": 3}, "b": [None]}, 2)
    assert _shadow(user.patch(path, json={"desired": {"b": [None]}}))[1] == 2, "nothing has changed"
    assert _shadow(user.put(path, json={"desired": {"b": 2, "c": None}}))[:2] == ({"b": 2}, 3)


def test_of_two_who_change_the_same_version_one_is_told(user: UserClient, device: RegisteredDevice) -> None:
    path = f"/devices/{device.id}/shadow"
    assert _shadow(user.put(path, json={"desired": {"a": 1}, "version": 0}))[1] == 1
    stale = user.put(path, json={"desired": {"a": 2}, "version": 0})
    assert (stale.status_code, stale.json()["code"]) == (409, "stale_version")
    assert "version 1" in stale.json()["detail"]
    assert _shadow(user.patch(path, json={"desired": {"a": 2}, "version": 1}))[:2] == ({"a": 2}, 2)


def test_who_changed_what(
    server: RoostServer, client: httpx2.Client, user: UserClient, device: RegisteredDevice
) -> None:
    path = f"/devices/{device.id}/shadow"
    user.put(path, json={"desired": {"a": 1, "b": {"c": 1}}})
    client.put(path, json={"reported": {"a": 1}}, headers=device.headers)
    user.patch(path, json={"desired": {"b": {"c": 2}, "a": None}})
    changes = user.get(f"{path}/changes").json()
    assert [(one["side"], one["version"], one["actor"]["name"], one["patch"]) for one in changes] == [
        ("desired", 2, user.email, {"a": None, "b": {"c": 2}}),
        ("reported", 1, device.uid, {"a": 1}),
        ("desired", 1, user.email, {"a": 1, "b": {"c": 1}}),
    ]
    assert [one["version"] for one in user.get(f"{path}/changes", params={"side": "desired"}).json()] == [2, 1]
    page = user.get(f"{path}/changes", params={"limit": 1})
    rest = user.get(f"{path}/changes", params={"cursor": page.headers["X-Next-Cursor"]})
    assert page.json() + rest.json() == changes
    organization_id = user.get("/organizations").json()[0]["id"]
    deed = user.get(f"/organizations/{organization_id}/audit", params={"limit": 1}).json()[0]
    assert (deed["action"], deed["details"]["version"], deed["details"]["members"]) == (
        "device.desired_set", 2, ["a", "b"],
    )  # fmt: skip
    with register_user(server) as stranger:
        assert stranger.get(path).status_code == stranger.get(f"{path}/changes").status_code == 404
        assert stranger.put(path, json={"desired": {}}).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"desired": [1]}, 422),
        ([], 422),
        ({"desired": None}, 422),
        ({}, 422),
        ({"reported": {"a": 1}}, 422),
        ({"desired": {}, "reported": {}}, 422),
        ({"desired": {}, "more": 1}, 422),
        ({"desired": {}, "version": -1}, 422),
        ({"desired": {"a": "x" * 17_000}}, 413),
    ],
)
def test_what_is_refused(user: UserClient, device: RegisteredDevice, body: Any, status: int) -> None:
    path = f"/devices/{device.id}/shadow"
    for answer in (user.put(path, json=body), user.patch(path, json=body)):
        assert (answer.status_code, bool(answer.json()["detail"])) == (status, True)
    assert user.get(path).json()["desired_version"] == 0


def test_a_document_grows_only_so_far(user: UserClient, device: RegisteredDevice) -> None:
    path = f"/devices/{device.id}/shadow"
    assert user.patch(path, json={"desired": {"a": "x" * 10_000}}).status_code == 200
    assert user.patch(path, json={"desired": {"b": "x" * 10_000}}).status_code == 413


def test_a_device_speaks_for_itself(client: httpx2.Client, device: RegisteredDevice) -> None:
    path, headers = f"/devices/{device.id}/shadow", device.headers
    assert client.put(path, json={"desired": {"a": 1}}, headers=headers).status_code == 422
    assert client.put(f"/devices/{device.id + 1}/shadow", json={"reported": {}}, headers=headers).status_code == 404
    assert client.get(f"{path}/changes", headers=headers).json() == []


def test_the_shadow_goes_with_its_device(user: UserClient, device: RegisteredDevice) -> None:
    path = f"/devices/{device.id}"
    assert user.put(f"{path}/shadow", json={"desired": {"a": 1}}).status_code == 200
    assert user.delete(path).status_code == 204
    assert user.get(f"{path}/shadow").status_code == 404
