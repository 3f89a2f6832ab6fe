"""An owner connects the organization to another MQTT broker."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.bridges.mosquitto import Mosquitto
from tests.conftest import register_user
from tests.roost_server import RoostServer
from tests.web.conftest import OpenBrowser

pytestmark = pytest.mark.pages


def test_a_broker_is_connected_paused_and_left(server: RoostServer, open_browser: OpenBrowser, tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path).start()
    try:
        with register_user(server, organization_name="Harbour Care") as owner:
            visitor = open_browser(server)
            visitor.sign_in(owner.email, owner.password)
            visitor.expect_complaint("422")
            page = visitor.page
            visitor.go(f"/organizations/{owner.get('/organizations').json()[0]['id']}")
            # What still comes in above would move the button away from under the mouse.
            expect(page.get_by_test_id("member")).to_have_count(1)
            expect(page.get_by_text("No broker is connected.")).to_be_visible()
            page.get_by_role("button", name="Connect a broker").click()
            dialog = page.get_by_role("dialog")
            dialog.get_by_label("Name", exact=True).fill("House")
            dialog.get_by_label("Address").fill("broker.example.org")
            dialog.get_by_label("Topic 1", exact=True).fill("z2m/{device}")
            dialog.get_by_label("Topic of the message").fill("z2m/kitchen")
            dialog.get_by_label("The message", exact=True).fill('{"temperature": 21.5}')
            dialog.get_by_role("button", name="Try").click()
            expect(dialog.get_by_role("status")).to_have_text("kitchen: temperature = 21.5")
            dialog.get_by_role("button", name="Connect", exact=True).click()
            expect(dialog.get_by_text(re.compile("It is like mqtt://", re.IGNORECASE))).to_be_visible()
            dialog.get_by_label("Address").fill(broker.url)
            dialog.get_by_role("button", name="Connect", exact=True).click()
            row = page.get_by_test_id("bridge")
            expect(row).to_contain_text("Connected", timeout=15_000)
            row.get_by_role("button", name="Pause House").click()
            expect(row).to_contain_text("Paused")
            row.get_by_role("button", name="End House").click()
            page.get_by_role("button", name="End the bridge", exact=True).click()
            expect(page.get_by_text("No broker is connected.")).to_be_visible()
    finally:
        broker.stop()
