"""Signing in at another provider: a real one, which nobody here wrote."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from tests.access.credentials.oidc_provider import CLIENT, Provider, start_provider
from tests.colleagues import sign_in
from tests.conftest import DatabaseKind, FreshServer, UserClient, new_hub, register_user
from tests.core.test_http import assert_problem
from tests.migrated_databases import MigratedDatabases
from tests.postgres_cluster import free_port
from tests.roost_server import RoostServer


@dataclass(frozen=True)
class Setup:
    """A hub, and the provider to which it sends people."""

    provider: Provider
    hub: RoostServer

    def is_asked_by(self, **claims: Any) -> str:
        """Who signs in at the provider from now on."""
        return self.provider.is_asked_by(**claims)

    def browser(self) -> httpx2.Client:
        """Cookies of one's own."""
        return httpx2.Client(base_url=f"{self.hub.url}/api/v1", trust_env=False, verify=False, timeout=30)

    def walk(self, browser: httpx2.Client, url: str = "/auth/oidc/start") -> str:
        """Follow every redirect until the web app's; its address, from the path on."""
        for _ in range(12):
            answer = browser.get(url)
            assert answer.is_redirect, (url, answer.text)
            url = str(answer.url.join(answer.headers["location"]))
            if url.startswith(f"{self.hub.url}/app/"):
                return url.removeprefix(self.hub.url)
        raise AssertionError("It goes round in circles.")

    def callback(self, browser: httpx2.Client) -> str:
        """Walk as far as the way back to the hub; that address."""
        url = "/auth/oidc/start"
        while "/auth/oidc/callback" not in urlsplit(url).path:
            answer = browser.get(url)
            assert answer.is_redirect, (url, answer.text)
            url = str(answer.url.join(answer.headers["location"]))
        return url


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def provider(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, migrated: MigratedDatabases
) -> Iterator[Setup]:
    """A hub on each database, and its provider; with PostgreSQL one that keeps claims out of the ID token."""
    kind: DatabaseKind = request.param
    port = free_port()
    settings = {**CLIENT, "ROOST_OIDC_ISSUER": f"http://127.0.0.1:{port}", "ROOST_OIDC_NAME": "Example"}
    hub = new_hub(tmp_path_factory.mktemp("hub"), kind, migrated, settings).start()
    callback = f"{hub.url}/api/v1/auth/oidc/callback"
    with start_provider(callback, port, bare_id_tokens=kind == "postgresql") as started:
        yield Setup(started, hub)
    hub.stop()
    hub.assert_no_complaints()


def me(browser: httpx2.Client) -> dict[str, Any]:
    """Who is signed in by the cookie."""
    refreshed = browser.post("/auth/refresh")
    assert refreshed.status_code == 200, refreshed.text
    headers = {"Authorization": f"Bearer {refreshed.json()['access_token']}"}
    profile: dict[str, Any] = browser.get("/auth/me", headers=headers).json()
    return profile | {"headers": headers}


def test_somebody_new_is_registered_and_known_the_next_time(provider: Setup) -> None:
    email = provider.is_asked_by(name="Ada Lovelace")
    with provider.browser() as first, provider.browser() as second:
        ways = first.get("/auth/providers").json()
        assert [(one["name"], one["start_url"]) for one in ways["providers"]] == [
            ("Example", "/api/v1/auth/oidc/start")
        ]
        assert provider.walk(first) == "/app/#signed-in"
        profile = me(first)
        assert (profile["email"], profile["full_name"], profile["roles"]) == (email, "Ada Lovelace", ["owner"])
        assert len(profile["homes"]) == 1
        assert provider.walk(second) == "/app/#signed-in"
        assert me(second)["id"] == profile["id"]
        sessions = first.get("/auth/sessions", headers=profile["headers"]).json()
        assert [one["method"] for one in sessions] == ["oidc", "oidc"]


def test_has_no_password_until_one_is_chosen(provider: Setup) -> None:
    email = provider.is_asked_by()
    with provider.browser() as browser:
        provider.walk(browser)
        headers = me(browser)["headers"]
        assert browser.post("/auth/login", json={"email": email, "password": "Test1234!"}).status_code == 401
        (identity,) = browser.get("/auth/external-identities", headers=headers).json()
        path = f"/auth/external-identities/{identity['id']}"
        assert (identity["issuer"], identity["email"]) == (provider.provider.issuer, email)
        assert_problem(browser.delete(path, headers=headers), 409, "last_sign_in_method")
        change = {"new_password": "Tall-Chimney-43"}
        assert browser.post("/auth/password", json=change, headers=headers).status_code == 200
        assert browser.delete(path, headers=headers).status_code == 204
        sign_in(provider.hub, email, "Tall-Chimney-43").close()


def test_an_account_that_nobody_has_proved_is_taken_over(provider: Setup) -> None:
    with register_user(provider.hub) as squatter, provider.browser() as browser:
        made = squatter.post("/auth/api-tokens", json={"name": "trap", "scopes": ["devices:read"]}).json()
        run = provider.hub.run_command("user", "reset-password", squatter.email)
        link = run.stdout.strip().partition("#")[2]
        provider.is_asked_by(email=squatter.email)
        assert provider.walk(browser) == "/app/#signed-in"
        assert me(browser)["id"] == squatter.profile["id"]
        # Whoever laid it out has no way back in.
        assert_problem(squatter.get("/auth/me"), 401, "session_ended")
        login = {"email": squatter.email, "password": squatter.password}
        assert browser.post("/auth/login", json=login).status_code == 401
        token = {"Authorization": f"Bearer {made['token']}"}
        assert browser.get("/devices", headers=token).status_code == 401
        again = {"token": link, "password": "Tall-Chimney-43"}
        assert_problem(browser.post("/auth/password/reset", json=again), 410, "reset_link_gone")


def test_the_administrator_loses_nothing(provider: Setup) -> None:
    provider.is_asked_by(email=provider.hub.admin_email)
    with provider.browser() as browser:
        provider.walk(browser)
        assert "admin" in me(browser)["roles"]
    sign_in(provider.hub, provider.hub.admin_email, provider.hub.admin_password).close()


def test_an_account_is_linked_by_whoever_is_signed_in(provider: Setup) -> None:
    with register_user(provider.hub) as user, provider.browser() as browser:
        # Whatever address they have there, proven or not.
        provider.is_asked_by(email="other@example.org", email_verified=False)
        started = browser.post("/auth/oidc/link", headers=dict(user.headers)).json()
        assert provider.walk(browser, started["url"]) == "/app/account#linked"
        assert browser.post("/auth/refresh").status_code == 401, "linking signs nobody in"
        assert provider.walk(browser) == "/app/#signed-in"
        assert me(browser)["id"] == user.profile["id"]
        assert user.get("/auth/me").status_code == 200
        with register_user(provider.hub) as other:
            started = browser.post("/auth/oidc/link", headers=dict(other.headers)).json()
            assert provider.walk(browser, started["url"]) == "/app/account?error=oidc_linked_elsewhere"


def test_who_is_not_let_in(provider: Setup) -> None:
    def outcome() -> str:
        with provider.browser() as browser:
            page = provider.walk(browser)
            assert browser.post("/auth/refresh").status_code == 401
        return page

    with register_user(provider.hub) as user:
        provider.is_asked_by(email=user.email, email_verified=False)
        assert outcome() == "/app/signin?error=oidc_email_unverified"
        assert user.get("/auth/me").status_code == 200
        login = {"email": user.email, "password": user.password}
        assert user.post("/auth/login", json=login).status_code == 200
    provider.is_asked_by(email="no address at all")
    assert outcome() == "/app/signin?error=oidc_failed"
    provider.is_asked_by(wish={"deny": True})
    assert outcome() == "/app/signin?error=oidc_denied"


def test_a_deactivated_user_is_not_let_in(provider: Setup) -> None:
    provider.is_asked_by()
    with (
        provider.browser() as browser,
        sign_in(provider.hub, provider.hub.admin_email, provider.hub.admin_password) as admin,
    ):
        provider.walk(browser)
        user_id = me(browser)["id"]
        assert admin.patch(f"/admin/users/{user_id}", json={"is_active": False}).status_code == 200
        assert provider.walk(browser) == "/app/signin?error=account_inactive"


def test_only_the_browser_that_left_comes_back(provider: Setup) -> None:
    provider.is_asked_by()
    with provider.browser() as attacker, provider.browser() as victim:
        back = provider.callback(attacker)
        # A link to somebody else's sign-in, sent to a victim: it would sign the victim in as the attacker.
        assert victim.get(back).headers["location"] == "/app/signin?error=oidc_expired"
        victim.get("/auth/oidc/start")
        assert victim.get(back).headers["location"] == "/app/signin?error=oidc_expired"
        assert victim.post("/auth/refresh").status_code == 401
        kept = dict(attacker.cookies)
        assert attacker.get(back).headers["location"] == "/app/#signed-in"
        # Nor does it count twice, whatever the browser remembers.
        with provider.browser() as again:
            again.cookies.update(kept)
            assert again.get(back).headers["location"] == "/app/signin?error=oidc_expired"


@pytest.mark.parametrize("change", [{"code": "forged"}, {"iss": "https://elsewhere.example"}, {"code": ""}])
def test_an_answer_that_was_changed_on_the_way(provider: Setup, change: dict[str, str]) -> None:
    provider.is_asked_by()
    with provider.browser() as browser:
        back = httpx2.URL(provider.callback(browser))
        assert browser.get(back.copy_merge_params(change)).headers["location"] == "/app/signin?error=oidc_failed"
        assert browser.post("/auth/refresh").status_code == 401


def test_what_the_browser_is_sent_away_with(provider: Setup) -> None:
    with provider.browser() as browser:
        answer = browser.get("/auth/oidc/start")
        query = parse_qs(urlsplit(answer.headers["location"]).query)
        assert query["code_challenge_method"] == ["S256"]
        assert query["response_type"] == ["code"]
        assert len(query["state"][0]) >= 32
        assert len(query["nonce"][0]) >= 24
        cookie = answer.headers["set-cookie"].lower()
        for attribute in ("httponly", "samesite=lax", "path=/api/v1/auth/oidc"):
            assert attribute in cookie


def test_without_a_provider(client: httpx2.Client, user: UserClient) -> None:
    assert client.get("/auth/providers").json()["providers"] == []
    assert_problem(client.get("/auth/oidc/start"), 404, "no_provider")
    assert_problem(client.get("/auth/oidc/callback", params={"state": "x", "hd": "x"}), 404, "no_provider")
    assert_problem(user.post("/auth/oidc/link"), 404, "no_provider")


def test_a_provider_that_is_away(fresh_server: FreshServer) -> None:
    issuer = f"http://127.0.0.1:{free_port()}"
    hub = fresh_server(**CLIENT, ROOST_OIDC_ISSUER=issuer)
    with httpx2.Client(base_url=f"{hub.url}/api/v1", trust_env=False, verify=False) as client:
        assert client.get("/auth/oidc/start").headers["location"] == "/app/signin?error=oidc_unavailable"
        with register_user(hub) as user:
            assert_problem(client.post("/auth/oidc/link", headers=dict(user.headers)), 503, "oidc_unavailable")
