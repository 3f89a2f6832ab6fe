"""Coming in, staying in, going out: with errors that say what to do."""

import re
import uuid

import pytest
from playwright.sync_api import Page, Route, expect

from tests.conftest import FreshServer, register_device, register_user
from tests.roost_server import RoostServer
from tests.web.conftest import OpenBrowser

pytestmark = pytest.mark.pages

_REFUSED = r"status of 401|status of 409|status of 422"
# Whatever way a browser has of saying that nobody is there: which one depends on what it was doing at that moment.
_AWAY = r"net::ERR_|WebSocket connection to"


def test_an_account_is_made_and_lasts(server: RoostServer, open_browser: OpenBrowser) -> None:
    visitor = open_browser(server)
    visitor.expect_complaint(_REFUSED)
    page = visitor.page
    email = f"{uuid.uuid4().hex[:12]}@example.org"
    visitor.go("/")
    page.get_by_role("link", name="Create one").click()
    _register(page, "not an address", "short")
    expect(page.get_by_text("Write an address like name@example.org.")).to_be_visible()
    expect(page.get_by_text("At least 8 characters, not yet")).to_be_visible()
    # Long enough for the page; only the hub knows that everybody uses it.
    _register(page, email, "password123")
    expect(page.get_by_text("breached passwords; choose another one")).to_be_visible()
    _register(page, email, "Test1234!")
    expect(page.get_by_text("Pair your first device")).to_be_visible()

    page.reload()
    expect(page.get_by_text("Pair your first device")).to_be_visible()
    tab = visitor.second_tab()
    tab.goto(f"{server.url}/app/account")
    expect(tab.get_by_label("E-mail")).to_have_value(email)
    assert "token" not in page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")

    page.get_by_role("button", name="account menu").click()
    page.get_by_role("menuitem", name="Sign out").click()
    expect(page).to_have_url(re.compile(r"/signin$"))
    expect(tab).to_have_url(re.compile(r"/signin$"))
    page.reload()
    expect(page.get_by_role("heading", name="Sign in to Roost")).to_be_visible()

    page.get_by_role("link", name="Create one").click()
    _register(page, email, "Test1234!")
    expect(page.get_by_text("There is an account with this address already.")).to_be_visible()


def _register(page: Page, email: str, password: str) -> None:
    page.get_by_label("E-mail", exact=True).fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Create the account").click()


def test_many_tabs_opened_at_once_keep_the_session(fresh_server: FreshServer, open_browser: OpenBrowser) -> None:
    server = fresh_server()
    visitor = open_browser(server)
    visitor.sign_in_on_the_page("admin", server.admin_password)
    # Each tab exchanges the same refresh token at load, and a token that is used twice ends the session.
    tabs = [visitor.second_tab() for _ in range(3)]
    for tab in tabs:
        tab.goto(f"{server.url}/app/devices", wait_until="commit")
    for tab in (*tabs, visitor.page):
        expect(tab.get_by_role("heading", name="Devices", exact=True)).to_be_visible()
        tab.reload()
        expect(tab.get_by_role("heading", name="Devices", exact=True)).to_be_visible()


def test_a_wrong_password_says_what_to_do(server: RoostServer, open_browser: OpenBrowser) -> None:
    visitor = open_browser(server)
    visitor.expect_complaint(_REFUSED)
    page = visitor.page
    visitor.go("/devices/1/logs")
    expect(page).to_have_url(re.compile(r"/signin\?next="))
    page.get_by_label("E-mail or username").fill("nobody@example.org")
    page.get_by_label("Password", exact=True).fill("Wrong-Password-1")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text(
        "That name and password do not belong together. Check both and try again."
    )


@pytest.mark.parametrize("page_path", ["/nothing/here", "/devices/999999"])
def test_what_is_not_there_is_said(server: RoostServer, open_browser: OpenBrowser, page_path: str) -> None:
    visitor = open_browser(server)
    visitor.expect_complaint("status of 404")
    visitor.sign_in_on_the_page("admin", server.admin_password)
    visitor.go(page_path)
    expect(visitor.page.get_by_role("heading", name=re.compile("^There is no"), level=1)).to_be_visible()
    visitor.page.get_by_role("link", name="To your devices").click()
    expect(visitor.page.get_by_role("heading", name="Devices", exact=True)).to_be_visible()


def test_a_hub_that_went_away_is_waited_for(fresh_server: FreshServer, open_browser: OpenBrowser) -> None:
    server = fresh_server()
    visitor = open_browser(server)
    visitor.expect_complaint(_AWAY)
    page = visitor.page
    visitor.sign_in_on_the_page("admin", server.admin_password)
    banner = page.get_by_text("Reconnecting")
    server.kill()
    expect(banner).to_be_visible()
    server.start()
    expect(banner).to_be_hidden()
    expect(page.locator("tbody tr", has_text="host-").get_by_test_id("status")).to_have_text("Online")


def test_the_next_one_sees_nothing_of_the_last_one(server: RoostServer, open_browser: OpenBrowser) -> None:
    """In the same tab, and without loading the page anew."""
    with register_user(server) as last, register_user(server) as following:
        register_device(last, name="The Last One's Lamp")
        visitor = open_browser(server)
        page = visitor.page
        visitor.sign_in_on_the_page(last.email, last.password)
        lamp = page.get_by_role("link", name="The Last One's Lamp", exact=True)
        expect(lamp).to_be_visible()
        page.reload()
        expect(lamp).to_be_visible()
        # Whatever is still on the page while the next one is on its way must not ask: it would be refused.
        held: list[Route] = []

        def hold(route: Route) -> None:
            held.append(route)

        page.route("**/SignInPage*.js", hold)
        page.get_by_role("button", name="account menu").click()
        page.get_by_role("menuitem", name="Sign out").click()
        expect(page.get_by_role("status").filter(has_text="Loading")).to_be_attached()
        held[0].continue_()
        expect(page.get_by_role("heading", name="Sign in to Roost")).to_be_visible()
        # So that only what the browser has kept could be seen.
        page.route("**/api/v1/devices**", lambda _: None)
        page.get_by_label("E-mail or username").fill(following.email)
        page.get_by_label("Password", exact=True).fill(following.password)
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_role("heading", name="Devices", exact=True)).to_be_visible()
        expect(lamp).not_to_be_visible()
