"""What those see who watch over more than their own devices: the audit log, the overview, the houses."""

import csv
import json
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.colleagues import join, own_organization
from tests.conftest import FreshServer, RegisteredDevice, UserClient
from tests.roost_server import RoostServer
from tests.waiting import wait_until
from tests.web.conftest import OpenBrowser, Visitor

pytestmark = pytest.mark.pages


@pytest.fixture
def owner(server: RoostServer, user: UserClient, open_browser: OpenBrowser) -> Visitor:
    """`user`, who owns an organization, at a browser."""
    visitor = open_browser(server)
    visitor.sign_in(user.email, user.password)
    return visitor


@pytest.fixture
def operator(server: RoostServer, open_browser: OpenBrowser) -> Visitor:
    """The administrator at a browser."""
    visitor = open_browser(server)
    visitor.sign_in("admin", server.admin_password)
    return visitor


def test_owners_read_their_organizations_log(owner: Visitor, user: UserClient, device: RegisteredDevice) -> None:
    page = owner.page
    assert user.delete(f"/devices/{device.id}").status_code == 204
    page.get_by_role("link", name="Audit log").click()
    entries = page.get_by_test_id("audit-entry")
    expect(entries.first).to_contain_text("Device deleted")
    expect(entries.first).to_contain_text(user.email)
    entries.first.get_by_role("button").first.click()
    expect(entries.first).to_contain_text("device.deleted")
    entries.first.get_by_role("button", name="On the same device").click()
    expect(entries.filter(has_text="Device registered")).to_have_count(1)
    expect(entries.filter(has_not_text=device.uid)).to_have_count(0)
    page.get_by_role("radio", name="Refused").click()
    expect(page.get_by_text("Nothing like this was done")).to_be_visible()
    page.get_by_role("button", name="Show everything").click()
    page.get_by_label("What was done").select_option("Devices")
    expect(entries.filter(has_text="Device")).to_have_count(2)

    # The filters stand in the address, and count for the file as well.
    page.reload()
    expect(entries).to_have_count(2)
    rows = list(csv.DictReader(_saved(page, "CSV", ".csv").read_text().splitlines()))
    assert [row["action"] for row in rows] == ["device.registered", "device.deleted"]
    lines = [json.loads(line) for line in _saved(page, "JSON lines", ".jsonl").read_text().splitlines()]
    assert [line["object_id"] for line in lines] == [str(device.id)] * 2


def _saved(page: Page, button: str, ending: str) -> Path:
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    assert download.value.suggested_filename.endswith(ending)
    return download.value.path()


def test_whoever_may_not_read_it_is_told_so(server: RoostServer, user: UserClient, open_browser: OpenBrowser) -> None:
    with join(server, user, own_organization(user)[0], "viewer") as viewer:
        visitor = open_browser(server)
        visitor.expect_complaint("status of 403")
        visitor.sign_in(viewer.email, viewer.password)
        page = visitor.page
        expect(page.get_by_role("link", name="Devices", exact=True)).to_be_visible()
        expect(page.get_by_role("link", name="Audit log")).to_have_count(0)
        expect(page.get_by_role("link", name="Overview")).to_have_count(0)
        visitor.go("/audit")
        expect(page.get_by_text("Not yours to read")).to_be_visible()
        visitor.go("/ops")
        expect(page.get_by_role("alert")).to_contain_text("ops:read")


def test_operators_see_refusals_everywhere(operator: Visitor, client: httpx2.Client, admin: UserClient) -> None:
    page = operator.page
    guess = {"email": "stranger@example.org", "password": "guess"}
    assert client.post("/auth/login", json=guess).status_code == 401
    # Refusals are written within a second; the page shows what was there when it was opened.
    wait_until(lambda: admin.get("/ops/audit", params={"action": "user.sign_in_refused"}).json(), what="The refusal")
    operator.go("/audit?outcome=refused")
    entry = page.get_by_test_id("audit-entry").filter(has_text="Sign-in refused").first
    expect(entry).to_contain_text("Refused")
    expect(entry).to_contain_text("127.0.0.1")
    expect(page.get_by_label("Organization")).to_have_value("")


def test_the_overview_follows_the_hub(operator: Visitor, user: UserClient, device: RegisteredDevice) -> None:
    page = operator.page
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_test_id("readiness")).to_have_text("Ready")
    online = page.locator('[data-label="Devices online"]')
    expect(online).to_contain_text("of")
    before = _accepted(page)
    sent = [{"payload": {"temp_c": 20 + number}} for number in range(40)]
    headers = {**device.headers, "Authorization": ""}
    assert user.post("/telemetry", json=sent, headers=headers).status_code == 201
    # Nobody reloads: it comes by itself.
    wait_until(lambda: _accepted(page) >= before + 40, timeout_s=20, what="The messages on the overview")
    expect(page.get_by_test_id("chart").locator("canvas")).to_be_visible()
    expect(page.get_by_text("Recent failures")).to_be_visible()


def _accepted(page: Page) -> int:
    figure = page.locator("dt", has_text="Accepted since start").locator("xpath=following-sibling::dd")
    return int("".join(filter(str.isdigit, figure.inner_text())))


def test_the_overview_says_what_is_missing(fresh_server: FreshServer, open_browser: OpenBrowser) -> None:
    hub = fresh_server(ROOST_MIN_FREE_DISK_MIB="1000000000")
    visitor = open_browser(hub)
    visitor.expect_complaint("status of 503")
    visitor.sign_in("admin", hub.admin_password)
    visitor.go("/ops")
    page = visitor.page
    expect(page.get_by_test_id("readiness")).to_have_text("Not ready")
    expect(page.get_by_role("listitem").filter(has_text="Disk space")).to_contain_text("have to be")
    expect(page.get_by_role("listitem").filter(has_text="Database")).to_contain_text("In order.")


def test_houses_are_found(operator: Visitor, user: UserClient, device: RegisteredDevice) -> None:
    home_id = own_organization(user)[1]
    assert user.patch(f"/homes/{home_id}", json={"name": f"Mill {device.uid}"}).status_code == 200
    assert user.patch(f"/devices/{device.id}", json={"home_id": home_id}).status_code == 200
    page = operator.page
    page.get_by_role("link", name="Houses").click()
    page.get_by_label("Search houses").fill(device.uid)
    row = page.locator("tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("0 of 1 online")
    page.get_by_label("Search houses").fill("no such house")
    expect(page.get_by_text("No home matches")).to_be_visible()
    page.get_by_role("button", name="Show all homes").click()
    expect(page.get_by_role("rowheader").first).to_be_visible()
