"""Those who call: people and devices with what they send to say who they are."""

from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.roost_server import RoostServer

PASSWORD = "Test1234!"


@dataclass
class Caller:
    """Somebody, or nobody, at the door of one hub."""

    name: str
    http: httpx2.Client
    server: RoostServer
    token: str = ""
    email: str = ""
    password: str = PASSWORD
    user_id: int = 0
    device_id: int = 0
    device_uid: str = ""
    refresh_token: str = ""
    scopes: list[str] = field(default_factory=list)

    @property
    def is_user(self) -> bool:
        """Whether it is a person who is signed in."""
        return bool(self.email)

    @property
    def headers(self) -> dict[str, str]:
        """A device says who it is in both ways at once, so that no door can overlook it."""
        if not self.token:
            return {}
        headers = {"Authorization": f"Bearer {self.token}"}
        return headers | {"X-Device-Token": self.token} if self.device_id else headers

    def ask(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Send a request. Paths are relative to `/api/v1`."""
        return self.http.request(method, self.server.url + "/api/v1" + path, headers=self.headers, **options)

    def get(self, path: str, **options: Any) -> Any:
        """What is there; it has to be given."""
        answer = self.ask("GET", path, **options)
        assert answer.status_code == 200, (self.name, path, answer.text)
        return answer.json()

    def make(self, path: str, body: Any = None) -> Any:
        """Make something; it has to succeed."""
        answer = self.ask("POST", path, json=body)
        assert answer.is_success, (self.name, path, answer.text)
        return answer.json() if answer.content else None

    def sign_in(self) -> "Caller":
        """Begin a session."""
        made = self.http.post(
            f"{self.server.url}/api/v1/auth/login", json={"email": self.email, "password": self.password}
        )
        assert made.status_code == 200, (self.name, made.text)
        self.take(made.json())
        return self

    def take(self, session: dict[str, Any]) -> None:
        """Go on with this session."""
        self.token, self.refresh_token = session["access_token"], session["refresh_token"]
        self.user_id, self.scopes = session["user"]["id"], session["scope"].split()


def person(http: httpx2.Client, server: RoostServer, name: str, email: str) -> Caller:
    """Sign somebody in who exists already."""
    return Caller(name, http, server, email=email).sign_in()


def newcomer(http: httpx2.Client, server: RoostServer, name: str) -> Caller:
    """Register somebody, with an organization and a home of their own."""
    caller = Caller(name, http, server, email=f"{name}@example.org")
    Caller("anon", http, server).make("/auth/register", {"email": caller.email, "password": PASSWORD})
    return caller.sign_in()


def new_device(owner: Caller, name: str, **fields: Any) -> Caller:
    """Register a device of somebody's."""
    made = owner.make("/devices", {"name": name, "device_uid": f"{name}-uid", **fields})
    return Caller(
        name, owner.http, owner.server, made["device_token"], device_id=made["id"], device_uid=made["device_uid"]
    )
