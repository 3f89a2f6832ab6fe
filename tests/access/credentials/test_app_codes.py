"""The second factor: asked for, spent once, guessed at slowly, removed by proof only."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pyotp
import pytest
from sqlalchemy import select

from roost.access.audit.log import use_key
from roost.access.credentials.app_codes import AppCodes
from roost.access.credentials.models import OneTimeCodes, RecoveryCode
from roost.access.passwords import Passwords
from roost.access.sessions import Client, Sessions
from roost.access.tokens import AccessTokens
from roost.core.database import Database
from roost.core.errors import Conflict, RoostError
from roost.core.settings import Settings
from roost.places.registration import register
from tests.conftest import UserClient
from tests.core.test_http import assert_problem
from tests.migrated_databases import MigratedDatabases
from tests.roost_server import RoostServer
from tests.stopped_clock import StoppedClock

PASSWORD = "Test1234!"
HOME = Client("192.168.1.2")


@dataclass
class Hub:
    """Sessions and codes over a real database, at a moment in the middle of a time step."""

    database: Database
    clock: StoppedClock
    sessions: Sessions
    codes: AppCodes
    user_id: int
    secret: str = ""

    def code(self, steps_ahead: int = 0) -> str:
        """What the app shows now, or so many steps later."""
        return pyotp.TOTP(self.secret).at(self.clock.now_ms() // 1000, counter_offset=steps_ahead)

    async def sign_in(self, code: str | None, client: Client = HOME, password: str = PASSWORD) -> str:
        """`in`, or the code of the refusal."""
        try:
            await self.sessions.sign_in("ada@example.org", password, client, code)
        except RoostError as error:
            return error.code
        return "in"


@pytest.fixture
async def hub(tmp_path: Path, migrated: MigratedDatabases) -> AsyncIterator[Hub]:
    """Where `ada@example.org` has a second factor and ten recovery codes."""
    settings, clock = Settings(data_dir=tmp_path, _env_file=None), StoppedClock(1_800_000_015_000)
    migrated.sqlite(tmp_path / "roost.db")
    database, passwords, codes = Database(settings), Passwords(), AppCodes("s" * 43, clock)
    use_key(database, "k" * 43)
    kept = await passwords.hash(PASSWORD)
    async with database.write() as session:
        user = (await register(session, clock, email="ada@example.org", password_hash=kept)).user
        setup = await codes.set_up(session, user.id, user.email)
    tokens = AccessTokens(settings, "s" * 43, clock)
    sessions = Sessions(database, settings, tokens, passwords, clock, second_factor=codes)
    yield Hub(database, clock, sessions, codes, user.id, setup.secret)
    passwords.close()
    await database.dispose()


async def confirm(hub: Hub) -> list[str]:
    """Confirm the app, and let the code that did it pass."""
    async with hub.database.write() as session:
        recovery = await hub.codes.confirm(session, hub.user_id, hub.code())
    hub.clock.advance(60)
    return recovery


async def test_is_asked_for_once_it_is_confirmed(hub: Hub) -> None:
    assert await hub.sign_in(None) == "in"
    await confirm(hub)
    assert await hub.sign_in(None) == "second_factor_required"
    assert await hub.sign_in(hub.code()) == "in"
    assert await hub.sign_in(hub.code(), password="not it") == "wrong_credentials"


async def test_the_code_that_confirmed_does_not_sign_in(hub: Hub) -> None:
    async with hub.database.write() as session:
        await hub.codes.confirm(session, hub.user_id, hub.code())
    assert await hub.sign_in(hub.code()) == "wrong_second_factor"


async def test_a_code_counts_once(hub: Hub) -> None:
    await confirm(hub)
    code = hub.code()
    assert await hub.sign_in(code) == "in"
    assert await hub.sign_in(code) == "wrong_second_factor"
    # Nor does one from before it.
    assert await hub.sign_in(hub.code(-1)) == "wrong_second_factor"
    hub.clock.advance(30)
    assert await hub.sign_in(hub.code()) == "in"


@pytest.mark.parametrize(("steps", "outcome"), [(-2, "wrong"), (-1, "in"), (1, "in"), (2, "wrong")])
async def test_clocks_may_differ_by_a_step(hub: Hub, steps: int, outcome: str) -> None:
    await confirm(hub)
    hub.clock.advance(60)
    assert (await hub.sign_in(hub.code(steps))).startswith(outcome)


async def test_a_recovery_code_counts_once_however_it_is_typed(hub: Hub) -> None:
    recovery = await confirm(hub)
    assert len(set(recovery)) == 10
    typed = recovery[3].upper().replace("-", " ")
    assert await hub.sign_in(typed) == "in"
    assert await hub.sign_in(recovery[3]) == "wrong_second_factor"
    assert await hub.sign_in(recovery[4]) == "in"
    async with hub.database.read() as session:
        assert (await hub.codes.status(session, hub.user_id)).recovery_codes_left == 8


async def test_guessing_is_slow_and_does_not_lock_the_owner_out(hub: Hub) -> None:
    await confirm(hub)
    assert await hub.sign_in(hub.code()) == "in"
    hub.clock.advance(30)
    # Whoever has the password, and as many addresses as they like.
    outcomes = [await hub.sign_in("000000", Client(f"203.0.113.{number}")) for number in range(20)]
    assert outcomes[:10] == ["wrong_second_factor"] * 10
    assert set(outcomes[10:]) == {"too_many_failures"}
    assert await hub.sign_in(hub.code(), Client("203.0.113.99")) == "too_many_failures"
    assert await hub.sign_in(hub.code()) == "in"


async def test_asking_for_the_code_is_no_failure(hub: Hub) -> None:
    await confirm(hub)
    for _ in range(50):
        assert await hub.sign_in(None, Client("203.0.113.1")) == "second_factor_required"
    # And no ground to trust that address with the account: it waits with the others while somebody guesses.
    for number in range(30):
        await hub.sign_in(None, Client(f"198.51.100.{number}"), "not it")
    assert await hub.sign_in(None, Client("203.0.113.1")) == "too_many_failures"


async def test_what_is_kept_says_nothing_without_the_key(hub: Hub) -> None:
    recovery = await confirm(hub)
    async with hub.database.read() as session:
        row = await session.get_one(OneTimeCodes, hub.user_id)
        digests = (await session.scalars(select(RecoveryCode.digest))).all()
    assert hub.secret not in row.secret
    assert not any(code.replace("-", "") in digest for code in recovery for digest in digests)
    other_key = AppCodes("t" * 43, hub.clock)
    async with hub.database.write() as session:
        assert not await other_key.spend(session, hub.user_id, hub.code())
        assert not await other_key.spend(session, hub.user_id, recovery[0])


async def test_a_secret_that_was_copied_to_somebody_else_opens_nothing(hub: Hub) -> None:
    await confirm(hub)
    async with hub.database.write() as session:
        other = (await register(session, hub.clock, email="eve@example.org", password_hash=None)).user
        mine = await session.get_one(OneTimeCodes, hub.user_id)
        now = hub.clock.now()
        session.add(OneTimeCodes(user_id=other.id, secret=mine.secret, created_at=now, confirmed_at=now, last_step=0))
        await session.flush()
        assert not await hub.codes.spend(session, other.id, hub.code())


async def test_a_second_app_needs_the_first_to_go(hub: Hub) -> None:
    await confirm(hub)
    async with hub.database.write() as session:
        with pytest.raises(Conflict):
            await hub.codes.set_up(session, hub.user_id, "ada@example.org")
        assert await hub.codes.remove(session, hub.user_id)
        assert not await hub.codes.remove(session, hub.user_id)
    assert await hub.sign_in(None) == "in"


def set_up(user: UserClient) -> tuple[pyotp.TOTP, list[str]]:
    made = user.post("/auth/totp/setup").json()
    app = pyotp.parse_uri(made["otpauth_uri"])
    assert isinstance(app, pyotp.TOTP)
    assert (app.secret, app.name, app.issuer) == (made["secret"], user.email, "Roost")
    confirmed = user.post("/auth/totp/confirm", json={"code": app.now()})
    assert confirmed.status_code == 200, confirmed.text
    assert confirmed.headers["Cache-Control"] == "no-store"
    return app, confirmed.json()["recovery_codes"]


def test_over_http(client: httpx2.Client, user: UserClient) -> None:
    assert user.get("/auth/totp").json() == {"active": False, "confirmed_at": None, "recovery_codes_left": 0}
    assert_problem(user.post("/auth/totp/confirm", json={"code": "123456"}), 409, "totp_not_set_up")
    user.post("/auth/totp/setup")
    assert_problem(user.post("/auth/totp/confirm", json={"code": "not a code"}), 422, "wrong_code")
    login = {"email": user.email, "password": user.password}
    assert client.post("/auth/login", json=login).status_code == 200, "it does not count before it is confirmed"
    app, recovery = set_up(user)
    assert user.get("/auth/totp").json()["recovery_codes_left"] == 10
    assert_problem(user.post("/auth/totp/setup"), 409, "totp_already_active")
    assert_problem(client.post("/auth/login", json=login), 401, "second_factor_required")
    assert_problem(client.post("/auth/login", json={**login, "code": "000000"}), 401, "wrong_second_factor")
    form = {"username": user.email, "password": user.password}
    assert_problem(client.post("/auth/login", data=form), 401, "second_factor_required")
    assert client.post("/auth/login", data={**form, "code": recovery[0]}).status_code == 200
    assert_problem(user.request("DELETE", "/auth/totp", json={"password": "not it"}), 403, "wrong_password")
    assert_problem(user.request("DELETE", "/auth/totp", json={"code": "000000"}), 403, "wrong_second_factor")
    assert_problem(user.request("DELETE", "/auth/totp", json={}), 422)
    fresh = user.post("/auth/totp/recovery-codes", json={"password": user.password}).json()["recovery_codes"]
    assert_problem(user.request("DELETE", "/auth/totp", json={"code": recovery[1]}), 403, "wrong_second_factor")
    assert user.request("DELETE", "/auth/totp", json={"code": fresh[0]}).status_code == 204
    assert client.post("/auth/login", json=login).status_code == 200
    assert app.secret not in user.get("/auth/me").text


def test_whoever_runs_the_hub_can_remove_it(server: RoostServer, client: httpx2.Client, user: UserClient) -> None:
    set_up(user)
    run = server.run_command("user", "remove-second-factor", user.email)
    assert run.returncode == 0, run.stderr
    assert client.post("/auth/login", json={"email": user.email, "password": user.password}).status_code == 200


def test_sign_ins_say_how_they_were_made(client: httpx2.Client, user: UserClient) -> None:
    _, recovery = set_up(user)
    login = {"email": user.email, "password": user.password, "code": recovery[0]}
    agent = {"User-Agent": "Tests of Roost"}
    assert client.post("/auth/login", json=login, headers=agent).status_code == 200
    first, second = user.get("/auth/sessions").json()
    assert (first["current"], first["method"]) == (True, "password")
    assert (second["current"], second["method"], second["user_agent"]) == (False, "password+code", "Tests of Roost")
