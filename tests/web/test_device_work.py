"""What a device shall be, what it writes, how it is doing, and the work that one gives it."""

import re
from collections.abc import Iterator

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.conftest import RegisteredDevice, UserClient, register_device
from tests.roost_server import RoostServer
from tests.web.conftest import Visitor

pytestmark = pytest.mark.pages


@pytest.fixture
def page(visitor: Visitor) -> Page:
    """What `user` sees."""
    return visitor.page


@pytest.fixture
def device(user: UserClient) -> RegisteredDevice:
    """A device with a tag of its own."""
    return register_device(user, tags=["attic"])


@pytest.fixture
def hardware(server: RoostServer, device: RegisteredDevice) -> Iterator[httpx2.Client]:
    """What the device itself sends."""
    url = f"{server.url}/api/v1"
    with httpx2.Client(base_url=url, headers=device.headers, timeout=30, trust_env=False, verify=False) as client:
        yield client


def test_a_shadow_is_edited_and_follows_the_device(
    visitor: Visitor, page: Page, user: UserClient, device: RegisteredDevice, hardware: httpx2.Client
) -> None:
    path = f"/devices/{device.id}/shadow"
    visitor.go(path)
    page.get_by_role("button", name="Edit desired").click()
    dialog = page.get_by_role("dialog")
    text = dialog.get_by_label("Desired", exact=True)
    text.fill('{"led": tru')
    expect(dialog.get_by_text("This is not JSON yet.")).to_be_visible()
    text.fill('{"led": true, "rate": 5}')
    expect(dialog.get_by_test_id("diff")).to_have_text(re.compile("led.*true.*rate.*5"))
    user.put(path, json={"desired": {"rate": 9}})
    expect(dialog.get_by_text("Somebody else has changed it meanwhile.")).to_be_visible()
    dialog.get_by_role("button", name="Keep mine").click()
    expect(dialog.get_by_test_id("diff")).to_have_text(re.compile("led.*true.*rate.*9.*5"))
    dialog.get_by_role("button", name="Desire this").click()
    rows = page.get_by_test_id("shadow").get_by_role("row")
    expect(rows.filter(has_text="rate")).to_have_text(re.compile("5.*Waiting"))
    hardware.patch(path, json={"reported": {"rate": 5, "uptime_s": 1}})
    expect(rows.filter(has_text="rate")).to_have_text(re.compile("5.*5.*Done"))
    expect(rows.filter(has_text="uptime_s")).to_have_text(re.compile("Its own"))
    expect(page.get_by_test_id("shadow-change")).to_have_count(3)
    assert user.get(path).json()["desired"] == {"led": True, "rate": 5}


def test_a_log_is_followed_and_searched(
    visitor: Visitor, page: Page, device: RegisteredDevice, hardware: httpx2.Client
) -> None:
    path = f"/devices/{device.id}/logs"
    hardware.post(path, json=[{"message": "Started"}, {"level": "error", "message": "No sensor"}])
    visitor.go(path)
    lines = page.get_by_test_id("log-line")
    expect(lines).to_have_count(2)
    expect(page.get_by_text("New lines appear on top by themselves.")).to_be_visible()
    hardware.post(path, json={"level": "error", "message": "Sensor is hot"})
    expect(lines.first).to_have_text(re.compile("error.*Sensor is hot"))
    page.get_by_role("button", name="Pause").click()
    hardware.post(path, json={"message": "Cooled down"})
    page.get_by_role("button", name="Follow (1 new)").click()
    expect(lines).to_have_count(4)
    page.get_by_label("Search the log").fill("SENSOR")
    expect(lines).to_have_count(2)
    page.get_by_role("radio", name="Warnings").click()
    page.get_by_label("Search the log").fill("down")
    expect(page.get_by_text("No line like this")).to_be_visible()
    page.get_by_role("button", name="Show everything").click()
    expect(lines).to_have_count(4)


def test_health_is_said_with_its_reasons(
    visitor: Visitor, page: Page, device: RegisteredDevice, hardware: httpx2.Client
) -> None:
    readings = [{"sensor_type": "battery", "value": 8, "unit": "%"}]
    hardware.post(f"/devices/{device.id}/readings", json={"readings": readings})
    visitor.go(f"/devices/{device.id}")
    page.get_by_test_id("health").click()
    checks = page.get_by_test_id("check")
    expect(checks).to_have_count(6)
    expect(checks.first).to_have_text(re.compile("Battery.*nearly empty: 8 %.*Critical"))
    hardware.post(f"/devices/{device.id}/status", json={"status": "offline", "detail": "It sleeps."})
    visitor.load("/devices")
    expect(page.get_by_test_id("cause")).to_have_text("said goodbye")


def test_a_task_is_ordered_and_watched(
    visitor: Visitor, page: Page, device: RegisteredDevice, hardware: httpx2.Client
) -> None:
    hardware.post("/tasks/context/heartbeat", json={"capabilities": {"tasks": ["ping"]}})
    visitor.go(f"/devices/{device.id}/tasks")
    page.get_by_role("button", name="New task").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Type of task").fill("dance")
    expect(dialog.get_by_text("No context of this device takes dance")).to_be_visible()
    dialog.get_by_label("Type of task").fill("ping")
    dialog.get_by_label("Payload").fill('{"count": 3}')
    dialog.get_by_role("button", name="Order it").click()
    status = page.get_by_test_id("task-status").first
    expect(status).to_have_text("Waiting")
    (task,) = hardware.post("/tasks/poll").json()
    assert task["payload"] == {"count": 3}
    expect(status).to_have_text("Running")
    hardware.post(f"/tasks/{task['id']}/progress", json={"percent": 40, "note": "Sent one"})
    expect(page.get_by_test_id("progress")).to_have_text(re.compile("Sent one.*40 %"))
    hardware.post(f"/tasks/{task['id']}/complete", json={"status": "done", "result": {"ms": 12}})
    expect(status).to_have_text("Done")
    expect(page.get_by_text('"ms": 12')).to_be_visible()
    page.get_by_role("link", name="Tasks of").click()
    expect(page.get_by_test_id("task")).to_have_text(re.compile("ping.*Done"))


def test_bulk_work_says_who_did_it_and_who_did_not(
    visitor: Visitor, page: Page, user: UserClient, device: RegisteredDevice, hardware: httpx2.Client
) -> None:
    register_device(user, tags=["attic"])
    register_device(user)
    visitor.go("/tasks")
    page.get_by_role("button", name="New bulk work").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Type of task").fill("update")
    expect(dialog.get_by_text("every device")).to_be_visible()
    dialog.get_by_label("Tag").fill("attic")
    expect(dialog.get_by_text("every device")).to_be_hidden()
    dialog.get_by_role("button", name="Order it from all of them").click()
    expect(page.get_by_test_id("counts")).to_have_text("2 waiting")
    (task,) = hardware.post("/tasks/poll").json()
    hardware.post(f"/tasks/{task['id']}/complete", json={"status": "failed", "result": {"error": "no space"}})
    expect(page.get_by_test_id("counts")).to_have_text(re.compile("1 waiting.*1 failed"))
    expect(page.get_by_test_id("failures")).to_have_text(re.compile("no space.*1"))
    page.get_by_role("button", name="Cancel the rest").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the rest").click()
    expect(page.get_by_test_id("counts")).to_have_text(re.compile("1 failed.*1 cancelled"))
    page.get_by_role("link", name="Bulk work").click()
    expect(page.get_by_test_id("bulk")).to_have_text(re.compile("update.*2 devices"))
