"""`make test-auth`: the sign-in flow of a running hub.

With ROOST_ADMIN_PASSWORD the administrator signs in; without it somebody new registers, and stays in the database.
"""

import sys
import uuid

import httpx2

from roost.core.settings import Settings
from tests.running.hub import expect, run_checks


def check_sign_in(client: httpx2.Client) -> None:
    """Sign in, read the profile, refresh, sign out; and what must be refused."""
    identifier, password = _credentials(client)
    expect(client.post("/auth/login", json={"identifier": identifier, "password": f"{password}-not"}), 401)
    expect(client.get("/auth/me"), 401)
    session = expect(client.post("/auth/login", json={"identifier": identifier, "password": password}), 200).json()
    bearer = {"Authorization": f"Bearer {session['access_token']}"}
    profile = expect(client.get("/auth/me", headers=bearer), 200).json()
    assert profile["email"] == identifier, f"GET /auth/me answered {profile}"
    assert "system:read" in session["scope"].split(), f"the scope is {session['scope']!r}"
    refreshed = expect(client.post("/auth/refresh", json={"refresh_token": session["refresh_token"]}), 200).json()
    assert refreshed["refresh_token"] != session["refresh_token"], "the refresh token did not rotate"
    logout = client.post(
        "/auth/logout",
        headers={"Authorization": f"Bearer {refreshed['access_token']}"},
        json={"refresh_token": refreshed["refresh_token"]},
    )
    assert logout.is_success, f"POST /auth/logout answered {logout.status_code}: {logout.text[:500]}"
    print(f"ok  POST /auth/logout {logout.status_code}")
    expect(client.post("/auth/refresh", json={"refresh_token": refreshed["refresh_token"]}), 401)


def _credentials(client: httpx2.Client) -> tuple[str, str]:
    settings = Settings()
    if settings.admin_password is not None:
        return settings.admin_email, settings.admin_password.get_secret_value()
    email, password = f"check-{uuid.uuid4().hex[:8]}@example.org", f"Check-{uuid.uuid4().hex}"
    expect(client.post("/auth/register", json={"email": email, "password": password}), 201)
    return email, password


if __name__ == "__main__":
    sys.exit(run_checks(check_sign_in))
