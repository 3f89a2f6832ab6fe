"""The main job in a browser: sign in, see this machine live, pair a second device, watch its readings arrive."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import Locator, Page, expect

from tests.conftest import FreshServer
from tests.roost_server import RoostServer
from tests.waiting import wait_until
from tests.web.conftest import OpenBrowser

_UID = "greenhouse-7"
# How many pixels of the chart have the colour of the first line: what was really drawn, not what was meant to be.
_COUNT_FIRST_LINE = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let found = 0;
  for (let at = 0; at < data.length; at += 4) {
    const near = Math.abs(data[at] - 0x0d) + Math.abs(data[at + 1] - 0x8f) + Math.abs(data[at + 2] - 0x83);
    if (data[at + 3] > 200 && near < 24) found += 1;
  }
  return found;
}"""


def test_from_sign_in_to_a_live_point(fresh_server: FreshServer, open_browser: OpenBrowser) -> None:
    server = fresh_server(ROOST_HOST_SAMPLE_INTERVAL_S="1")
    visitor = open_browser(server)
    # Chromium's advice on reading pixels, which this test does and the page does not.
    visitor.expect_complaint("willReadFrequently")
    page = visitor.page

    page.goto(server.url)
    expect(page).to_have_url(re.compile(r"/app/signin$"))
    page.get_by_label("E-mail or username").fill(server.admin_email)
    page.get_by_label("Password", exact=True).fill(server.admin_password)
    page.get_by_role("button", name="Sign in").click()

    _this_machine_is_live(page)
    token = _pair_by_code(page, server)
    _readings_arrive_over_http(page, server, token)
    _readings_arrive_over_mqtt(page, server, token)


def _this_machine_is_live(page: Page) -> None:
    row = page.locator("tbody tr", has_text="host-")
    expect(row.get_by_test_id("status")).to_have_text("Online")
    row.get_by_role("link").click()
    expect(_card(page, "memory_percent").get_by_test_id("value")).to_have_text(re.compile(r"^\d"))
    expect(_card(page, "disk_percent")).to_be_visible()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    before = _points(page)
    wait_until(lambda: _points(page) >= before + 3, timeout_s=20, what="Samples of this machine on the chart")


def _pair_by_code(page: Page, server: RoostServer) -> str:
    """The device says hello, a person asks for its code, the device confirms it. Returns the device's token."""
    with _device_http(server) as device:
        hello = device.post("/devices/hello", json={"device_uid": _UID, "firmware_version": "1.4.2"})
        assert hello.status_code == 200, hello.text
        page.get_by_role("button", name="Add a device").click()
        dialog = page.get_by_role("dialog", name="Add a device")
        dialog.get_by_label("Device UID").fill(_UID)
        dialog.get_by_role("button", name="Get a pairing code").click()
        code = dialog.get_by_test_id("pairing-code").inner_text()
        assert re.fullmatch(r"[0-9A-Z]{4}-[0-9A-Z]{4}", code)
        expect(dialog.get_by_role("img", name=re.compile("^QR code"))).to_be_visible()
        expect(dialog.get_by_text(re.compile(r"Good for (10:00|9:\d\d)"))).to_be_visible()
        progress = dialog.get_by_test_id("join-progress")
        expect(progress).to_contain_text("Waiting for the device to confirm its code")

        confirmed = device.post("/pairing/confirm", json={"device_uid": _UID, "pairing_code": code})
        assert confirmed.status_code == 200, confirmed.text
        expect(progress).to_contain_text("Paired. Waiting for its first message")
        token: str = confirmed.json()["device_token"]
        _send(device, token, 21.5)
    expect(progress).to_contain_text("It is live.")
    expect(progress).to_contain_text("Temperature 21.5 °C")
    progress.get_by_role("link", name="Open the device").click()
    return token


def _readings_arrive_over_http(page: Page, server: RoostServer, token: str) -> None:
    expect(page.get_by_role("heading", name=_UID)).to_be_visible()
    expect(page.get_by_text("firmware 1.4.2")).to_be_visible()
    expect(page.locator("main header").get_by_test_id("status")).to_have_text("Online")
    expect(_card(page, "temp_c").get_by_test_id("value")).to_have_text("21.5")
    wait_until(lambda: _drawn(page) > 0, what="The first reading as a dot on the chart")
    with _device_http(server) as device:
        for number, value in enumerate((21.7, 21.9, 22.1), start=2):
            _send(device, token, value)
            expect(_card(page, "temp_c").get_by_test_id("value")).to_have_text(str(value))
            expect(page.get_by_test_id("point-count")).to_have_attribute("data-points", str(number))
    expect(page.get_by_test_id("legend-value").first).to_have_text("22.1 °C")


def _readings_arrive_over_mqtt(page: Page, server: RoostServer, token: str) -> None:
    before = _drawn(page)
    with _device_mqtt(server, token) as device:
        for value in (24.5, 19.25, 23.75):
            device.publish("devices/me/telemetry", json.dumps({"temp_c": value}), qos=1).wait_for_publish(10)
            expect(_card(page, "temp_c").get_by_test_id("value")).to_have_text(str(value))
    expect(page.get_by_test_id("point-count")).to_have_attribute("data-points", "7")
    wait_until(lambda: _drawn(page) > before, what="A longer line on the chart")
    expect(page.get_by_role("region", name="Last readings").locator("tbody tr")).to_have_count(7)
    # It signed off, and the page says so without being asked.
    expect(page.locator("main header").get_by_test_id("status")).to_have_text("Offline")
    expect(page.get_by_test_id("why")).to_contain_text(re.compile(r"\w"))


def _card(page: Page, key: str) -> Locator:
    return page.locator(f'[data-testid="value-card"][title^="{key},"]')


def _points(page: Page) -> int:
    return int(page.get_by_test_id("point-count").get_attribute("data-points") or 0)


def _drawn(page: Page) -> int:
    pixels: int = page.get_by_test_id("chart").locator("canvas").evaluate(_COUNT_FIRST_LINE)
    return pixels


def _send(device: httpx2.Client, token: str, value: float) -> None:
    message = {"event_type": "reading", "payload": {"temp_c": value}}
    answer = device.post("/telemetry", json=message, headers={"X-Device-Token": token})
    assert answer.status_code == 201, answer.text


@contextmanager
def _device_http(server: RoostServer) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=f"{server.url}/api/v1", timeout=30, trust_env=False, verify=False) as device:
        yield device


@contextmanager
def _device_mqtt(server: RoostServer, token: str) -> Iterator[Client]:
    device = Client(CallbackAPIVersion.VERSION2, client_id=_UID)
    device.username_pw_set(_UID, token)
    device.connect("127.0.0.1", server.mqtt_port)
    device.loop_start()
    try:
        yield device
    finally:
        device.disconnect()
        device.loop_stop()
