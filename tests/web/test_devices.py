"""What a person does with devices on the pages: find, add, paste, change, lock out, delete."""

import re
import shutil
import subprocess
import sys
import uuid

import httpx2
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.conftest import UserClient, register_device
from tests.web.conftest import Visitor

pytestmark = pytest.mark.pages

_TIMEOUT_S = 30


def test_devices_are_found_and_paged(visitor: Visitor, user: UserClient) -> None:
    for number in range(52):
        register_device(user, uid=f"node-{number:02}-{uuid.uuid4().hex[:8]}")
    page = visitor.page
    page.reload()
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="Load more").click()
    expect(rows).to_have_count(52)
    page.get_by_label("Search devices").fill("node-07")
    expect(rows).to_have_count(1)
    page.get_by_role("radio", name="Online").click()
    expect(page.get_by_text("No device matches")).to_be_visible()
    page.get_by_role("button", name="Show all devices").click()
    expect(page.get_by_text("52 devices")).to_be_visible()

    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Search and commands").fill("node-31")
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=re.compile("^node-31"))).to_be_visible()
    expect(page.get_by_text("Nothing heard yet")).to_be_visible()
    expect(page.get_by_test_id("why")).to_contain_text("never been heard")


def test_enter_opens_no_device_that_the_words_do_not_name(visitor: Visitor, user: UserClient) -> None:
    register_device(user, uid=f"lamp-{uuid.uuid4().hex[:8]}")
    page, held = visitor.page, list[Route]()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("option").filter(has_text="lamp-")).to_be_visible()

    def hold(route: Route) -> None:
        held.append(route)

    page.route(re.compile(r"/devices\?.*q=add"), hold)
    page.get_by_role("combobox", name="Search and commands").fill("add a")
    expect(page.get_by_role("option", name="Add a device")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Add a device")).to_be_visible()
    assert held, "The search was answered, so nothing was held back."
    for route in held:
        route.continue_()


def test_a_late_answer_leaves_what_is_highlighted(visitor: Visitor, user: UserClient) -> None:
    register_device(user, name="Trends recorder")
    page, held = visitor.page, list[Route]()

    def hold(route: Route) -> None:
        held.append(route)

    # Not even those that are shown before anything is typed.
    page.route(re.compile(r"/devices\?.*limit=8"), hold)
    page.keyboard.press("Control+k")
    with page.expect_request(re.compile("q=trend")):
        page.get_by_role("combobox", name="Search and commands").fill("trend")
    chosen = page.get_by_role("option", selected=True)
    expect(chosen).to_have_text("Trends")
    held[-1].continue_()
    expect(page.get_by_role("option", name="Trends recorder")).to_be_visible()
    expect(chosen).to_have_text("Trends")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/trends"))


def test_whoever_leaves_a_page_before_it_is_live_reads_no_complaint(visitor: Visitor, user: UserClient) -> None:
    device = register_device(user)
    opened: list[str] = []
    visitor.page.on("websocket", lambda socket: opened.append(socket.url))
    for _ in range(10):
        visitor.go(f"/devices/{device.id}")
        visitor.go("/account")
    # The console, which must stay silent, is looked at in the end, as with every visitor.
    assert any("live-data" in url for url in opened)


@pytest.mark.parametrize("tool", ["curl", "mosquitto_pub", "Python"])
@pytest.mark.parametrize("way", ["Pair by a code", "Get a token now"])
def test_what_is_pasted_makes_a_device_live(visitor: Visitor, way: str, tool: str) -> None:
    page = visitor.page
    page.get_by_role("button", name="Add device").first.click()
    dialog = page.get_by_role("dialog", name="Add a device")
    dialog.get_by_text(way).click()
    if way == "Pair by a code":
        # Nobody has heard of this device yet: the code is there all the same.
        dialog.get_by_label("Device UID").fill(f"paste-{uuid.uuid4().hex[:8]}")
        dialog.get_by_role("button", name="Get a pairing code").click()
    else:
        dialog.get_by_label("Name", exact=True).fill("Attic")
        dialog.get_by_role("button", name="Create the device").click()
        expect(dialog.get_by_test_id("device-token")).to_have_text(re.compile("^rdt_"))
    dialog.get_by_role("tab", name=tool, exact=True).click()
    code = dialog.get_by_role("tabpanel").locator("pre").inner_text()
    progress = dialog.get_by_test_id("join-progress")
    if tool == "Python":
        # It goes on sending, as a device does.
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL) as device:
            _expect_live(progress)
            device.kill()
    else:
        assert shutil.which(tool), f"{tool} was not found: `make test-tools` installs it."
        subprocess.run(["/bin/sh", "-ec", code], check=True, timeout=_TIMEOUT_S, capture_output=True)
        _expect_live(progress)


def _expect_live(progress: Locator) -> None:
    expect(progress).to_contain_text("It is live.")
    expect(progress).to_contain_text(re.compile(r"Temperature 2\d"))


def test_a_claimed_device_is_not_taken_again(visitor: Visitor, user: UserClient) -> None:
    mine = register_device(user)
    visitor.expect_complaint("status of 409")
    page = visitor.page
    page.get_by_role("button", name="Add device").first.click()
    page.get_by_label("Device UID").fill("1234")
    expect(page.get_by_text("Digits alone would be taken for a device id")).to_be_visible()
    page.get_by_label("Device UID").fill(mine.uid)
    page.get_by_role("button", name="Get a pairing code").click()
    expect(page.get_by_role("alert")).to_contain_text("its owner has to release it first")


def test_a_device_is_renamed_tagged_locked_out_and_deleted(
    visitor: Visitor, user: UserClient, client: httpx2.Client
) -> None:
    device = register_device(user)
    page = visitor.page
    visitor.go(f"/devices/{device.id}/settings")
    page.get_by_label("Name", exact=True).fill("Cellar")
    page.get_by_label("Tags").fill("cold, dark,")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    expect(page.get_by_role("heading", name="Cellar")).to_be_visible()
    assert user.get(f"/devices/{device.id}").json()["tags"] == ["cold", "dark"]

    page.get_by_role("button", name="Rotate the token").click()
    page.get_by_role("button", name="Make a new token").click()
    token = page.get_by_test_id("device-token").inner_text()
    assert token != device.token
    assert _status(client, token) == 200
    page.keyboard.press("Escape")

    page.get_by_role("button", name="Revoke the token").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke the token").click()
    expect(page.get_by_text("The token is revoked.")).to_be_visible()
    assert _status(client, token) == 401

    page.get_by_role("button", name="Delete the device").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Delete the device")).to_be_disabled()
    dialog.get_by_label("Type Cellar to confirm").fill("Cellar")
    dialog.get_by_role("button", name="Delete the device").click()
    expect(page.get_by_text("Cellar is deleted.")).to_be_visible()
    assert user.get(f"/devices/{device.id}").status_code == 404


def _status(client: httpx2.Client, token: str) -> int:
    return client.get("/devices/whoami", headers={"X-Device-Token": token}).status_code


def test_events_and_logs_are_shown(visitor: Visitor, user: UserClient, client: httpx2.Client) -> None:
    device = register_device(user)
    sent = {"event_type": "door_opened", "payload": {"door": "north", "seconds": 12}}
    assert client.post("/telemetry", json=sent, headers=device.headers).status_code == 201
    line = {"level": "warning", "message": "The battery is nearly empty."}
    assert client.post(f"/devices/{device.id}/logs", json=line, headers=device.headers).is_success
    page = visitor.page
    visitor.go(f"/devices/{device.id}/events")
    page.get_by_role("button", name=re.compile("^door_opened")).click()
    expect(page.locator("pre")).to_contain_text('"door": "north"')
    page.get_by_role("tab", name="Logs").click()
    expect(page.get_by_text("The battery is nearly empty.")).to_be_visible()
    page.get_by_role("radio", name="Errors").click()
    expect(page.get_by_text("No line like this")).to_be_visible()


def test_ranges_and_series_are_chosen_and_kept_in_the_address(
    visitor: Visitor, user: UserClient, client: httpx2.Client
) -> None:
    device = register_device(user)
    message = {"temp_c": 20.5, "humidity_percent": 51, "open": True}
    assert client.post("/telemetry", json={"payload": message}, headers=device.headers).status_code == 201
    page = visitor.page
    visitor.go(f"/devices/{device.id}")
    _expect_legend(page, ["20.5 °C", "51 %"])
    for name in ("1 h", "24 h", "7 d", "30 d"):
        page.get_by_role("radio", name=name).click()
        expect(page.get_by_test_id("point-count")).to_have_attribute("data-points", "2")
    page.locator('[data-testid="value-card"][title^="open,"]').click()
    _expect_legend(page, ["20.5 °C", "51 %", "On"])
    page.reload()
    expect(page.get_by_role("radio", name="30 d")).to_be_checked()
    _expect_legend(page, ["20.5 °C", "51 %", "On"])


def _expect_legend(page: Page, texts: list[str]) -> None:
    # Playwright compares with a plain space where the page has one that does not break.
    expect(page.get_by_test_id("legend-value")).to_have_text(texts)
