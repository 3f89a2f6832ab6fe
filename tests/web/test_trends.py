"""The page about all devices, and stretches of time of one's own."""

import re
import time

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.conftest import RegisteredDevice, UserClient, register_device
from tests.web.conftest import Visitor

pytestmark = pytest.mark.pages

HOUR_MS = 3_600_000


def measured(client: httpx2.Client, user: UserClient, name: str, hours_ago: range, **about: str) -> RegisteredDevice:
    """A device that sent its power once in each of these hours."""
    device = register_device(user, name=name, **about)
    now = int(time.time() * 1_000)
    sent = [{"payload": {"power_w": 100 + hour}, "ts": now - hour * HOUR_MS} for hour in hours_ago]
    assert client.post("/telemetry", json=sent, headers=device.headers).status_code == 201
    return device


def test_all_devices_together_and_side_by_side(visitor: Visitor, client: httpx2.Client, user: UserClient) -> None:
    measured(client, user, "Steady", range(24), type="meter")
    silent = measured(client, user, "Silent", range(20, 24), type="lamp")
    page = visitor.page
    page.get_by_role("link", name="Trends", exact=True).click()
    expect(page.get_by_test_id("readings")).to_have_text("28")
    expect(page.get_by_test_id("chart").locator("canvas")).to_be_visible()
    expect(page.get_by_test_id("heard-least").first).to_contain_text("Silent")
    page.get_by_label("Taken together").select_option("By type")
    expect(page.get_by_test_id("legend-value")).to_have_count(2)
    expect(page.get_by_text("lamp", exact=True)).to_be_visible()
    page.get_by_role("radio", name="1 y").click()
    expect(page).to_have_url(re.compile("range=1y"))
    page.reload()
    expect(page.get_by_role("radio", name="1 y")).to_be_checked()
    expect(page.get_by_label("Taken together")).to_have_value("type")
    page.get_by_role("radio", name="24 h").click()
    expect(page.get_by_test_id("heard-least").first).to_contain_text("Silent")
    page.get_by_test_id("heard-least").first.get_by_role("link").click()
    expect(page).to_have_url(re.compile(f"/devices/{silent.id}$"))


def test_a_stretch_of_ones_own_and_a_closer_look(visitor: Visitor, client: httpx2.Client, user: UserClient) -> None:
    device = measured(client, user, "Steady", range(48))
    page = visitor.page
    end = int(time.time()) - 10 * 3600 + 60
    visitor.go(f"/devices/{device.id}?range=custom&from={end - 12 * 3600}&to={end}")
    expect(page.get_by_test_id("point-count")).to_have_attribute("data-points", "12")
    expect(page.get_by_text("Live", exact=True)).to_have_count(0)

    page.get_by_label("To", exact=True).fill(page.get_by_label("From", exact=True).input_value())
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text("Must be before the end.")

    _mark_a_third(page)
    page.get_by_role("button", name="Show in detail").click()
    expect(page.get_by_test_id("point-count")).to_have_attribute("data-points", re.compile("^[345]$"))
    page.get_by_role("radio", name="7 d").click()
    expect(page.get_by_test_id("point-count")).to_have_attribute("data-points", "48")
    expect(page).not_to_have_url(re.compile("from="))


def _mark_a_third(page: Page) -> None:
    over = page.get_by_test_id("chart").locator(".u-over").bounding_box()
    assert over is not None
    y = over["y"] + over["height"] / 2
    page.mouse.move(over["x"] + over["width"] / 3, y)
    page.mouse.down()
    page.mouse.move(over["x"] + over["width"] * 2 / 3, y, steps=4)
    page.mouse.up()
