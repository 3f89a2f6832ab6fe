"""`roost smoke`: everything a device and its owner do, tried against a running hub, refusals included."""

import secrets
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import httpx2
import typer
from rich.console import Console
from rich.markup import escape

REQUEST_TIMEOUT_S = 30.0
EXPIRY_PATIENCE_S = 10.0
# Of accounts that exist for this run only.
PASSWORD = "Test1234!"  # noqa: S105 # nosec B105
LARGEST_MESSAGE_BYTES = 16 * 1024

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


class CheckFailed(Exception):  # noqa: N818 - said of a check, not of this program
    """A check found something else than was promised; the text says what."""


class Checks:
    """Prints a line per check and remembers how many failed."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    @contextmanager
    def check(self, what: str) -> Iterator[None]:
        """Whatever goes wrong inside is this check's failure."""
        started = time.monotonic()
        try:
            yield
        except (CheckFailed, httpx2.HTTPError, KeyError, TypeError, ValueError) as error:
            self.failed += 1
            said = str(error) if isinstance(error, CheckFailed) else f"{type(error).__name__}: {error}"
            console.print(f"[red]FAIL[/red]  {escape(what)}\n      {escape(said)}")
        else:
            self.passed += 1
            took_ms = (time.monotonic() - started) * 1000
            console.print(f"[green]ok[/green]    {escape(what)} [dim]({took_ms:.0f} ms)[/dim]")


def smoke(
    url: Annotated[str, typer.Option(help="Address of the hub.")] = "http://127.0.0.1:8000",
    email: Annotated[str | None, typer.Option(help="Sign in as this user instead of registering a new one.")] = None,
    password: Annotated[
        str | None, typer.Option(envvar="ROOST_SMOKE_PASSWORD", help="That user's password; asked for when missing.")
    ] = None,
    ca: Annotated[str | None, typer.Option(help="PEM file with the authority behind the hub's certificate.")] = None,
) -> None:
    """Try the whole way of a device through a running hub: register, pair, send, read, and every refusal on it.

    Ends with code 1 when a check fails. Leaves one or two users behind; the devices it makes are deleted.
    """
    if email is not None and password is None:
        password = typer.prompt("Password", hide_input=True)
    checks = Checks()
    verify = ssl.create_default_context(cafile=ca) if ca else True
    base_url = f"{url.rstrip('/')}/api/v1"
    with httpx2.Client(base_url=base_url, timeout=REQUEST_TIMEOUT_S, trust_env=False, verify=verify) as http:
        try:
            http.get("/health")
        except httpx2.HTTPError as error:
            errors.print(f"The hub at {escape(url)} does not answer: {escape(str(error))}")
            raise typer.Exit(1) from None
        Smoke(http, checks, email, password).run()
    console.print(f"\n{checks.passed} passed, {checks.failed} failed.")
    if checks.failed:
        raise typer.Exit(1)


class Smoke:
    """One run. Every step stands on those before it, so a failed sign-in ends the run at once."""

    def __init__(self, http: httpx2.Client, checks: Checks, email: str | None, password: str | None) -> None:
        self._http = http
        self._checks = checks
        self._email = email
        self._password = password
        self._run = f"{time.strftime('%Y%m%d%H%M%S', time.gmtime())}-{secrets.token_hex(4)}"
        self._uid = f"smoke-{self._run}"
        self._owner: dict[str, str] = {}
        self._stranger: dict[str, str] = {}
        self._device: dict[str, str] = {}
        self._code = ""
        self._device_id = 0
        self._task_id = 0

    def run(self) -> None:
        """Every step in order."""
        before, after = (self._sign_in, self._join, self._pair, self._look, self._stay_out), (self._clean_up,)
        for step in (*before, self._send, self._order, self._work, *after):
            step()
            if not self._owner:
                return

    def _sign_in(self) -> None:
        if self._email is None:
            with self._checks.check("A user registers and signs in"):
                self._owner = self._register("owner")
        else:
            with self._checks.check(f"{self._email} signs in"):
                self._owner = self._bearer(self._email, self._password or "")
        with self._checks.check("A second user registers and signs in"):
            self._stranger = self._register("stranger")

    def _join(self) -> None:
        with self._checks.check("A device says hello"):
            hello = {"device_uid": self._uid, "firmware_version": "1.0.0", "capabilities": {"wifi": True}}
            answer = self._json(self._http.post("/devices/hello", json=hello), 200)
            _expect(answer["claimed"] is False, f"it is claimed already: {answer}")
        with self._checks.check("Starting a pairing without signing in is refused (401)"):
            self._refused(self._http.post("/pairing/start", json={"device_uid": self._uid}), 401)
        with self._checks.check("Starting a pairing of an unknown device is refused (404)"):
            unknown = {"device_uid": f"unknown-{self._run}"}
            self._refused(self._http.post("/pairing/start", json=unknown, headers=self._owner), 404)
        with self._checks.check("The owner starts a pairing"):
            self._code = self._start(self._uid)

    def _pair(self) -> None:
        with self._checks.check("A wrong code is refused (404)"):
            wrong = {"device_uid": self._uid, "pairing_code": _other_code(self._code)}
            self._refused(self._http.post("/pairing/confirm", json=wrong), 404)
        with self._checks.check("An expired code is refused (410)"):
            self._expire()
        confirm = {"device_uid": self._uid, "pairing_code": self._code}
        with self._checks.check("The device confirms the code and gets its token"):
            answer = self._json(self._http.post("/pairing/confirm", json=confirm), 200)
            self._device_id = int(answer["device_id"])
            self._device = {"X-Device-Token": answer["device_token"]}
        with self._checks.check("The same code a second time is refused (409)"):
            self._refused(self._http.post("/pairing/confirm", json=confirm), 409)
        with self._checks.check("Starting a pairing of a claimed device is refused (409)"):
            self._refused(self._http.post("/pairing/start", json={"device_uid": self._uid}, headers=self._owner), 409)

    def _look(self) -> None:
        with self._checks.check("The device asks who it is"):
            answer = self._json(self._http.get("/devices/whoami", headers=self._device), 200)
            _expect(answer["device_id"] == self._device_id, f"it is somebody else: {answer}")
        with self._checks.check("Asking without a token is refused (401)"):
            self._refused(self._http.get("/devices/whoami"), 401)
        with self._checks.check("A user's token opens no device endpoint (401)"):
            self._refused(self._http.get("/devices/whoami", headers=self._owner), 401)
        with self._checks.check("A device's token opens no user endpoint (401)"):
            bearer = {"Authorization": f"Bearer {self._device.get('X-Device-Token', '')}"}
            self._refused(self._http.get("/devices", headers=bearer), 401)
        with self._checks.check("The owner finds the device in the list"):
            _expect(self._device_id in self._listed(self._owner), "it is not in the list")
        with self._checks.check("The owner reads the device"):
            answer = self._json(self._http.get(f"/devices/{self._device_id}", headers=self._owner), 200)
            _expect(answer["device_uid"] == self._uid, f"it has another uid: {answer}")

    def _stay_out(self) -> None:
        with self._checks.check("The device is absent from another user's list"):
            _expect(self._device_id not in self._listed(self._stranger), "another user sees it")
        with self._checks.check("Another user cannot read the device (404)"):
            self._refused(self._http.get(f"/devices/{self._device_id}", headers=self._stranger), 403, 404)

    def _send(self) -> None:
        sent = {"event_type": "boot", "payload": {"temp_c": 21, "ok": True}}
        with self._checks.check("The device sends telemetry"):
            self._json(self._http.post("/telemetry", json=sent, headers=self._device), 201, 202)
        with self._checks.check("Sending without a token is refused (401)"):
            self._refused(self._http.post("/telemetry", json=sent), 401)
        with self._checks.check("A message of more than 16 KiB is refused (413)"):
            large = {"event_type": "boot", "payload": {"text": "x" * LARGEST_MESSAGE_BYTES}}
            self._refused(self._http.post("/telemetry", json=large, headers=self._device), 413)
        for who, path, headers in (
            ("The device reads", "/telemetry/recent", self._device),
            ("The owner reads", f"/devices/{self._device_id}/telemetry/recent", self._owner),
        ):
            with self._checks.check(f"{who} back what was sent"):
                self._await_message(path, headers, sent["payload"])
        with self._checks.check("Another user cannot read it (404)"):
            path = f"/devices/{self._device_id}/telemetry/recent"
            self._refused(self._http.get(path, headers=self._stranger), 403, 404)

    def _order(self) -> None:
        path = f"/devices/{self._device_id}/tasks"
        wanted = {"type": "config.apply", "payload": {"mode": "safe"}, "execution_context_key": "default"}
        with self._checks.check("The device says what it can do"):
            beat = {"context_key": "default", "capabilities": {"tasks": ["io.write", "config.apply"]}, "meta": {}}
            self._json(self._http.post("/tasks/context/heartbeat", json=beat, headers=self._device), 200)
        with self._checks.check("The owner gives it a task"):
            once = {**wanted, "idempotency_key": self._run}
            self._task_id = self._json(self._http.post(path, json=once, headers=self._owner), 201)["id"]
        with self._checks.check("The same idempotency key gives the same task (200)"):
            again = self._json(self._http.post(path, json=once, headers=self._owner), 200)
            _expect(again["id"] == self._task_id, f"it is another task: {again}")
        with self._checks.check("A task of more than 16 KiB is refused (413)"):
            large = {**wanted, "payload": {"text": "x" * LARGEST_MESSAGE_BYTES}}
            self._refused(self._http.post(path, json=large, headers=self._owner), 413)
        with self._checks.check("Another user cannot give it a task (404)"):
            self._refused(self._http.post(path, json=wanted, headers=self._stranger), 403, 404)

    def _work(self) -> None:
        path, done = f"/tasks/{self._task_id}/complete", {"status": "done", "result": {"ok": True}}
        poll = "/tasks/poll?limit=1&context_key=default"
        with self._checks.check("The device takes the task"):
            taken = self._json(self._http.post(poll, headers=self._device), 200)
            _expect([task["id"] for task in taken] == [self._task_id], f"it is not the one: {taken}")
            _expect(bool(taken[0]["lease_token"]), f"it has no lease: {taken}")
        with self._checks.check("Nobody gets it twice"):
            _expect(self._json(self._http.post(poll, headers=self._device), 200) == [], "it was given out again")
        with self._checks.check("The device completes it"):
            first = self._json(self._http.post(path, json=done, headers=self._device), 200)
            _expect(first["status"] == "done", f"it is not done: {first}")
        with self._checks.check("The same completion a second time gets the first answer"):
            again = self._json(self._http.post(path, json=done, headers=self._device), 200)
            _expect(again == first, f"it is another one: {again}")
        with self._checks.check("Another completion of it is refused (409)"):
            self._refused(self._http.post(path, json={"status": "failed"}, headers=self._device), 409)
        with self._checks.check("The owner cancels a task before the device takes it"):
            path = f"/devices/{self._device_id}/tasks"
            made = self._json(self._http.post(path, json={"type": "io.write"}, headers=self._owner), 201)
            self._json(self._http.post(f"{path}/{made['id']}/cancel", headers=self._owner), 200)
            _expect(self._json(self._http.post(poll, headers=self._device), 200) == [], "it was given out all the same")
        with self._checks.check("The owner reads what became of them"):
            listed = self._json(self._http.get(path, params={"limit": 10}, headers=self._owner), 200)
            _expect([task["status"] for task in listed] == ["cancelled", "done"], f"it is something else: {listed}")

    def _clean_up(self) -> None:
        with self._checks.check("The owner deletes the device"):
            path = f"/devices/{self._device_id}"
            self._status(self._http.delete(path, headers=self._owner), 204)
            self._refused(self._http.get(path, headers=self._owner), 404)
        with self._checks.check("The deleted device's token is refused (401)"):
            self._refused(self._http.get("/devices/whoami", headers=self._device), 401)

    def _register(self, name: str) -> dict[str, str]:
        email = f"{name}+{self._run}@example.com"
        body = {"email": email, "password": PASSWORD}
        self._json(self._http.post("/auth/register", json=body), 201)
        return self._bearer(email, PASSWORD)

    def _bearer(self, email: str, password: str) -> dict[str, str]:
        answer = self._json(self._http.post("/auth/login", json={"email": email, "password": password}), 200)
        return {"Authorization": f"Bearer {answer['access_token']}"}

    def _start(self, uid: str, **options: int) -> str:
        body = {"device_uid": uid, **options}
        return str(self._json(self._http.post("/pairing/start", json=body, headers=self._owner), 201)["pairing_code"])

    def _expire(self) -> None:
        """With a device of its own, whose code is good for a second. Nobody claims it, so the hub forgets it."""
        uid = f"{self._uid}-late"
        self._json(self._http.post("/devices/hello", json={"device_uid": uid}), 200)
        code = self._start(uid, expires_in_s=1)
        time.sleep(1.1)
        self._refused(self._http.post("/pairing/confirm", json={"device_uid": uid, "pairing_code": code}), 410)

    def _listed(self, headers: dict[str, str]) -> set[int]:
        listed = self._json(self._http.get("/devices", params={"q": self._uid}, headers=headers), 200)
        return {device["id"] for device in listed}

    def _await_message(self, path: str, headers: dict[str, str], payload: object) -> None:
        """A 202 says that the message is safe but may not be visible yet."""
        deadline = time.monotonic() + EXPIRY_PATIENCE_S
        while True:
            messages = self._json(self._http.get(path, params={"limit": 5}, headers=headers), 200)
            if any(message["payload"] == payload for message in messages):
                return
            _expect(time.monotonic() < deadline, f"it is not among {messages}")
            time.sleep(0.1)

    def _json(self, answer: httpx2.Response, *statuses: int) -> Any:
        self._status(answer, *statuses)
        return answer.json()

    def _refused(self, answer: httpx2.Response, *statuses: int) -> None:
        """The refusal must also say, in a sentence, what is wrong."""
        self._status(answer, *statuses)
        problem = answer.json()
        _expect(problem["status"] == answer.status_code and bool(problem["detail"]), f"it gives no reason: {problem}")

    @staticmethod
    def _status(answer: httpx2.Response, *statuses: int) -> None:
        wanted = " or ".join(str(status) for status in statuses)
        asked = f"{answer.request.method} {answer.request.url.path}"
        _expect(
            answer.status_code in statuses,
            f"{asked} answered {answer.status_code} instead of {wanted}: {answer.text[:300]}",
        )


def _expect(true: bool, otherwise: str) -> None:
    if not true:
        raise CheckFailed(otherwise)


def _other_code(code: str) -> str:
    """A well-formed code that is not this one."""
    return ("2" if code[:1] != "2" else "3") + code[1:]
