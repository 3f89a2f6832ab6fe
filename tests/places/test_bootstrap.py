"""The first start, as the person at the keyboard sees it."""

import re
import stat

import httpx2

from tests.conftest import FreshServer, sign_in_admin
from tests.waiting import wait_until

SHOWN = re.compile(r"the password (\S+)")


def sign_in(url: str, password: str) -> int:
    answer = httpx2.post(
        f"{url}/auth/login", json={"identifier": "admin", "password": password}, trust_env=False, verify=False
    )
    return answer.status_code


def test_the_password_is_made_up_printed_once_and_never_logged(fresh_server: FreshServer) -> None:
    server = fresh_server(ROOST_ADMIN_PASSWORD="", ROOST_HOST_DEVICE="false")
    wait_until(lambda: "Roost is ready" in server.log_text())
    text = server.log_text()
    password = SHOWN.findall(text)
    assert len(password) == 1
    assert not [line for line in text.splitlines() if line.startswith("{") and password[0] in line]
    assert sign_in(server.url, password[0]) == 200
    server.stop()
    start = server.log_size()
    server.start()
    wait_until(lambda: "Roost is ready" in server.log_text(start))
    assert "password" not in server.log_text(start)
    assert sign_in(server.url, password[0]) == 200


def test_a_given_password_is_taken_and_not_printed(fresh_server: FreshServer) -> None:
    server = fresh_server(ROOST_HOST_DEVICE="false")
    with sign_in_admin(server) as admin:
        profile = admin.get("/auth/me").json()
    assert profile["email"] == server.admin_email
    assert server.admin_password not in server.log_text()
    secret = server.data_dir / "secret_key"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert secret.read_text().strip() not in server.log_text()


def test_sessions_outlive_a_restart(fresh_server: FreshServer) -> None:
    server = fresh_server(ROOST_HOST_DEVICE="false")
    with sign_in_admin(server) as admin:
        server.stop()
        server.start()
        assert admin.get("/auth/me").status_code == 200
        assert admin.post("/auth/refresh", json={"refresh_token": admin.refresh_token}).status_code == 200
