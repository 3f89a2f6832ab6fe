"""Ways in beside the password: a passkey, another provider, and a link for those who forgot it."""

import re

import pytest
from playwright.sync_api import expect

from tests.access.credentials.oidc_provider import CLIENT, start_provider
from tests.conftest import FreshServer, UserClient, register_user
from tests.mail_server import link_in, running_mail_server
from tests.postgres_cluster import free_port
from tests.roost_server import RoostServer
from tests.waiting import wait_until
from tests.web.conftest import OpenBrowser, Visitor

pytestmark = pytest.mark.pages

_NEW_PASSWORD = "Quiet-Harbour-73"
_AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def visitor(server: RoostServer, open_browser: OpenBrowser) -> Visitor:
    """Somebody who came by the hub's name: passkeys are bound to one."""
    somebody = open_browser(server)
    somebody.url = f"http://localhost:{server.port}"
    return somebody


def test_a_passkey_is_added_and_signs_in(visitor: Visitor, user: UserClient) -> None:
    page = visitor.page
    authenticator = visitor.context.new_cdp_session(page)
    authenticator.send("WebAuthn.enable")
    added = authenticator.send("WebAuthn.addVirtualAuthenticator", {"options": _AUTHENTICATOR})
    visitor.sign_in_on_the_page(user.email, user.password)
    visitor.go("/account/security")
    page.get_by_role("button", name="Add a passkey").click()
    dialog = page.get_by_role("dialog", name="Add a passkey")
    dialog.get_by_label("Name").fill("This laptop")
    dialog.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("listitem").filter(has_text="This laptop")).to_be_visible()
    # The same authenticator holds one already.
    page.get_by_role("button", name="Add a passkey").click()
    dialog.get_by_role("button", name="Go on").click()
    expect(dialog.get_by_role("alert")).to_contain_text("a passkey for your account on this device already")
    page.keyboard.press("Escape")

    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.get_by_role("heading", name="Devices", exact=True).wait_for()
    visitor.go("/account/sessions")
    expect(page.get_by_role("listitem").filter(has_text="This one")).to_contain_text("with a passkey")

    visitor.go("/account/security")
    page.get_by_role("button", name="Remove the passkey This laptop").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove it").click()
    expect(page.get_by_text("instead of the password")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    visitor.expect_complaint("status of 401")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("not known here")
    authenticator.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": added["authenticatorId"]})


def test_another_provider(fresh_server: FreshServer, open_browser: OpenBrowser) -> None:
    port = free_port()
    hub = fresh_server(**CLIENT, ROOST_OIDC_ISSUER=f"http://127.0.0.1:{port}", ROOST_OIDC_NAME="Town Hall")
    visitor = open_browser(hub)
    visitor.url = f"http://localhost:{hub.port}"
    # The way leads over the provider's pages, and the first sign-in is refused.
    visitor.expect_complaint(rf"asked another host: http://127\.0\.0\.1:{port}/")
    page = visitor.page
    with start_provider(f"{visitor.url}/api/v1/auth/oidc/callback", port) as provider:
        provider.is_asked_by(email_verified=False)
        visitor.go("/account/security")
        page.get_by_role("link", name="Sign in with Town Hall").click()
        expect(page.get_by_role("alert")).to_contain_text("does not vouch for your e-mail address")
        visitor.context.clear_cookies(domain="127.0.0.1")
        email = provider.is_asked_by(name="Kim Park")
        visitor.go("/account/security")
        page.get_by_role("link", name="Sign in with Town Hall").click()
        # Where the visitor wanted to go in the first place, and without the mark in the address.
        expect(page).to_have_url(f"{visitor.url}/app/account/security")
        expect(page.get_by_role("listitem").filter(has_text=email)).to_be_visible()
        expect(page.get_by_text("You have none")).to_be_visible()
        # All that was asked for has come: what comes after the sign-out would be a refusal.
        expect(page.get_by_role("button", name="Set it up")).to_be_visible()

        # Somebody with a password links an account there.
        with register_user(hub) as somebody:
            page.get_by_role("button", name="Sign out").click()
            visitor.sign_in_on_the_page(somebody.email, somebody.password)
            visitor.context.clear_cookies(domain="127.0.0.1")
            provider.is_asked_by(email="kim@town.example")
            visitor.go("/account/security")
            page.get_by_role("button", name="Link the account").click()
            expect(page.get_by_text("The account is linked.")).to_be_visible()
            expect(page.get_by_role("listitem").filter(has_text="kim@town.example")).to_be_visible()
            page.get_by_role("button", name="Unlink").click()
            page.get_by_role("dialog").get_by_role("button", name="Unlink it").click()
            expect(page.get_by_role("button", name="Link the account")).to_be_visible()


def test_a_forgotten_password_by_mail(fresh_server: FreshServer, open_browser: OpenBrowser) -> None:
    with running_mail_server() as mail_server:
        hub = fresh_server(**mail_server.settings)
        with register_user(hub) as somebody:
            visitor = open_browser(hub)
            page = visitor.page
            visitor.go("/signin")
            page.get_by_role("link", name="Forgot your password?").click()
            page.get_by_label("E-mail", exact=True).fill(somebody.email)
            page.get_by_role("button", name="Send me a link").click()
            expect(page.get_by_text("a link is on its way to it")).to_be_visible()
            wait_until(lambda: len(mail_server.mails) == 1, timeout_s=20, what="The mail")
            visitor.go(f"/reset-password#{link_in(mail_server.mails[0]).partition('#')[2]}")
            page.get_by_label("New password").fill(_NEW_PASSWORD)
            page.get_by_role("button", name="Set the password").click()
            expect(page.get_by_text("Your password is set.")).to_be_visible()
            page.get_by_role("link", name="Sign in").click()
            visitor.sign_in_on_the_page(somebody.email, _NEW_PASSWORD)


def test_a_forgotten_password_where_there_is_no_mail(server: RoostServer, user: UserClient, visitor: Visitor) -> None:
    visitor.expect_complaint(r"status of 4(10|22)")
    page = visitor.page
    visitor.go("/forgot-password")
    expect(page.get_by_text("This hub sends no mail.")).to_be_visible()
    made = server.run_command("user", "reset-password", user.email)
    link = re.search(r"/app/reset-password#\S+", made.stdout)
    assert link is not None, made.stdout + made.stderr
    path = link[0].removeprefix("/app")
    visitor.go(path)
    page.get_by_label("New password").fill("password123")
    page.get_by_role("button", name="Set the password").click()
    expect(page.get_by_text("breached passwords; choose another one")).to_be_visible()
    page.get_by_label("New password").fill(_NEW_PASSWORD)
    page.get_by_role("button", name="Set the password").click()
    expect(page.get_by_text("Your password is set.")).to_be_visible()
    # A second time, and with a part of it missing.
    for address in (path, "/reset-password"):
        page.goto("about:blank")
        visitor.go(address)
        if address == path:
            page.get_by_label("New password").fill(_NEW_PASSWORD)
            page.get_by_role("button", name="Set the password").click()
        expect(page.get_by_text("This link is not good any more.")).to_be_visible()
