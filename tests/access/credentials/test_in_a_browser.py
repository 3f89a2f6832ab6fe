"""What only a browser decides: whether it takes our passkey options, and which cookies it brings back from afar."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.access.credentials.oidc_provider import CLIENT, start_provider
from tests.conftest import FreshServer, Servers, register_user
from tests.postgres_cluster import free_port
from tests.web.conftest import browser

__all__ = ["browser"]

_ADD = """async ([token]) => {
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }
  const begun = await (await fetch('/api/v1/auth/passkeys/options', { method: 'POST', headers })).json()
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(begun.public_key)
  const credential = (await navigator.credentials.create({ publicKey })).toJSON()
  const body = JSON.stringify({ name: 'laptop', credential })
  return (await fetch('/api/v1/auth/passkeys', { method: 'POST', headers, body })).status
}"""
_SIGN_IN = """async () => {
  const headers = { 'Content-Type': 'application/json' }
  const begun = await (await fetch('/api/v1/auth/login/passkey/options', { method: 'POST' })).json()
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(begun.public_key)
  const credential = (await navigator.credentials.get({ publicKey })).toJSON()
  const body = JSON.stringify({ credential, cookie: true })
  const answer = await fetch('/api/v1/auth/login/passkey', { method: 'POST', headers, body })
  return [answer.status, await answer.json()]
}"""
_REFRESH = """async () => {
  const answer = await fetch('/api/v1/auth/refresh', { method: 'POST' })
  return [answer.status, await answer.json()]
}"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page with cookies of its own."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


def test_a_passkey(page: Page, servers: Servers) -> None:
    server = servers.get("sqlite")
    device = page.context.new_cdp_session(page)
    device.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    device.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    page.goto(f"http://localhost:{server.port}/healthz")
    with register_user(server) as user:
        assert page.evaluate(_ADD, [user.access_token]) == 201
        status, signed_in = page.evaluate(_SIGN_IN)
        assert (status, signed_in["user"]["id"]) == (200, user.profile["id"])
    assert page.evaluate(_REFRESH)[0] == 200


def test_back_from_another_site(page: Page, fresh_server: FreshServer) -> None:
    # Two sites as far as the browser is concerned: localhost and 127.0.0.1.
    port = free_port()
    hub = fresh_server(**CLIENT, ROOST_OIDC_ISSUER=f"http://127.0.0.1:{port}")
    address = f"http://localhost:{hub.port}"
    with start_provider(f"{address}/api/v1/auth/oidc/callback", port) as provider:
        email = provider.is_asked_by()
        # The web app would refresh by itself; here it is about the cookie alone.
        page.route(f"{address}/app/**", lambda route: route.fulfill(body="<title>The web app</title>"))
        page.goto(f"{address}/healthz")
        page.evaluate("location.href = '/api/v1/auth/oidc/start'")
        page.wait_for_url(f"{address}/app/**")
        assert page.url == f"{address}/app/#signed-in"
        status, refreshed = page.evaluate(_REFRESH)
        assert (status, refreshed["user"]["email"]) == (200, email)
