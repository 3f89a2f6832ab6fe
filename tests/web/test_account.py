"""What somebody does with an account of their own: who they are, what signs them in, what they hand to programs."""

import re
import shutil
import subprocess
import uuid

import httpx2
import pyotp
import pytest
from playwright.sync_api import Page, expect

from tests.conftest import RegisteredDevice, UserClient
from tests.roost_server import RoostServer
from tests.web.conftest import OpenBrowser, Visitor

pytestmark = pytest.mark.pages

_NEW_PASSWORD = "Quiet-Harbour-73"
_REFUSED = r"status of 40[13]|status of 422"
_TIMEOUT_S = 30


@pytest.fixture
def visitor(server: RoostServer, user: UserClient, open_browser: OpenBrowser) -> Visitor:
    """`user`, signed in at a browser."""
    somebody = open_browser(server)
    somebody.sign_in_on_the_page(user.email, user.password)
    return somebody


def test_the_profile_is_changed(visitor: Visitor, user: UserClient) -> None:
    visitor.expect_complaint(_REFUSED)
    page = visitor.page
    address = f"{uuid.uuid4().hex[:12]}@example.org"
    visitor.go("/account")
    page.get_by_label("Name", exact=False).first.fill("Kim Park")
    page.get_by_label("E-mail").fill(address)
    page.get_by_label("Your password", exact=True).fill("not this one")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("password")
    page.get_by_label("Your password", exact=True).fill(user.password)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    expect(page.get_by_role("button", name="KP, account menu")).to_be_visible()
    assert user.get("/users/me").json()["email"] == address


def test_another_password_signs_out_everywhere_else(
    server: RoostServer, user: UserClient, visitor: Visitor, open_browser: OpenBrowser
) -> None:
    visitor.expect_complaint(_REFUSED)
    elsewhere = open_browser(server)
    elsewhere.expect_complaint(_REFUSED)
    elsewhere.sign_in_on_the_page(user.email, user.password)
    page = visitor.page
    visitor.go("/account/security")
    page.get_by_role("button", name="Change the password").click()
    page.get_by_label("Current password").fill("not this one")
    page.get_by_label("New password").fill(_NEW_PASSWORD)
    page.get_by_role("button", name="Change it").click()
    expect(page.get_by_text("This is not your password.")).to_be_visible()
    page.get_by_label("Current password").fill(user.password)
    page.get_by_role("button", name="Change it").click()
    expect(page.get_by_text("Your password is changed.")).to_be_visible()
    elsewhere.page.reload()
    expect(elsewhere.page.get_by_role("heading", name="Sign in to Roost")).to_be_visible()
    elsewhere.sign_in_on_the_page(user.email, _NEW_PASSWORD)


def test_sessions_are_seen_and_ended(
    server: RoostServer, user: UserClient, visitor: Visitor, open_browser: OpenBrowser
) -> None:
    elsewhere = open_browser(server)
    elsewhere.expect_complaint(_REFUSED)
    elsewhere.sign_in_on_the_page(user.email, user.password)
    page = visitor.page
    visitor.go("/account/sessions")
    rows = page.get_by_role("list", name="Sessions").get_by_role("listitem")
    # The fixture's own session is the third.
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("This one")
    expect(rows.filter(has_text="Chrome")).to_have_count(2)
    rows.filter(has_not_text="Chrome").get_by_role("button", name="Sign out").click()
    expect(rows).to_have_count(2)
    assert user.get("/users/me").status_code == 401
    page.get_by_role("button", name="Sign out everywhere else").click()
    page.get_by_role("dialog").get_by_role("button", name="Sign out everywhere else").click()
    expect(rows).to_have_count(1)
    elsewhere.page.reload()
    expect(elsewhere.page.get_by_role("heading", name="Sign in to Roost")).to_be_visible()


def test_a_second_factor(visitor: Visitor, user: UserClient) -> None:
    visitor.expect_complaint(_REFUSED)
    page = visitor.page
    visitor.go("/account/security")
    page.get_by_role("button", name="Set it up").click()
    secret = page.get_by_test_id("totp-secret").inner_text().replace(" ", "")
    expect(page.get_by_role("img", name="QR code for the authenticator app")).to_be_visible()
    code = page.get_by_role("textbox", name="Code")
    code.fill("000000")
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_be_visible()
    code.fill(pyotp.TOTP(secret).now())
    page.get_by_role("button", name="Turn it on").click()
    recovery_codes = page.get_by_test_id("recovery-codes").inner_text().split()
    assert len(recovery_codes) == 10
    page.get_by_role("button", name="I have kept them").click()

    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("E-mail or username").fill(user.email)
    page.get_by_label("Password", exact=True).fill(user.password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(code).to_be_focused()
    code.fill("123456")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("This code is wrong or was used before.")
    code.fill(recovery_codes[3])
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("heading", name="Devices", exact=True).wait_for()

    visitor.go("/account/security")
    expect(page.get_by_text("9 left.")).to_be_visible()
    page.get_by_role("button", name="Turn it off").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Your password", exact=True).fill(user.password)
    dialog.get_by_role("button", name="Turn it off").click()
    expect(page.get_by_role("button", name="Set it up")).to_be_visible()


def test_an_api_token_works_as_it_is_pasted(
    visitor: Visitor, user: UserClient, device: RegisteredDevice, client: httpx2.Client
) -> None:
    assert client.post("/telemetry", json={"payload": {"temp_c": 19.25}}, headers=device.headers).status_code == 201
    page = visitor.page
    visitor.go("/account/tokens")
    page.get_by_role("button", name="New token").click()
    dialog = page.get_by_role("dialog", name="New API token")
    dialog.get_by_role("button", name="Make the token").click()
    expect(dialog.get_by_text("Give it a name")).to_be_visible()
    dialog.get_by_label("Name").fill("Node-RED")
    dialog.get_by_label("Good for").select_option("A week")
    dialog.get_by_role("button", name="Make the token").click()
    shown = page.get_by_role("dialog", name="The token Node-RED")
    expect(shown.get_by_test_id("api-token")).to_have_text(re.compile("^rpat_"))
    curl = _pasted(shown.get_by_role("tabpanel").locator("pre").inner_text())
    assert device.uid in curl.stdout
    shown.get_by_role("tab", name="mosquitto_sub").click()
    command = shown.get_by_role("tabpanel").locator("pre").inner_text()
    # The first message only, which is the last value that was sent.
    assert "19.25" in _pasted(f"{command} -C 1 -W {_TIMEOUT_S}").stdout
    code = shown.get_by_test_id("api-token").inner_text()
    page.get_by_role("button", name="I have kept it").click()

    row = page.get_by_role("listitem").filter(has_text="Node-RED")
    expect(row).to_contain_text("Devices: read · Readings and events: read")
    _revoke(page)
    expect(page.get_by_text("No tokens yet")).to_be_visible()
    answer = client.get("/devices", headers={"Authorization": f"Bearer {code}"})
    assert answer.status_code == 401


def _revoke(page: Page) -> None:
    page.get_by_role("button", name="Revoke Node-RED").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke it").click()


def _pasted(command: str) -> "subprocess.CompletedProcess[str]":
    tool = "mosquitto_sub" if "mosquitto_sub" in command else "curl"
    assert shutil.which(tool), f"{tool} was not found: `make test-tools` installs it."
    return subprocess.run(
        ["/bin/sh", "-ec", command], check=True, capture_output=True, text=True, timeout=2 * _TIMEOUT_S
    )
