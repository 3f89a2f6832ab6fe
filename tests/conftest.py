"""What every test may ask for: a real server on a real database, people and devices in it."""

import gc
import os
import shutil
import signal
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx2
import hypothesis
import pytest

# Before anything that hashes passwords, or whose lines are counted.
from tests.every_process.sitecustomize import COUNT_LINES_IN
from tests.file_room import use_memory
from tests.migrated_databases import MigratedDatabases
from tests.postgres_cluster import PostgresCluster
from tests.postgres_installation import postgres_installation
from tests.roost_server import RoostServer
from tests.warm_roost import counting_roost, warm_roost

use_memory()

DatabaseKind = Literal["sqlite", "postgresql"]
FreshServer = Callable[..., RoostServer]

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

_LONG = ("tests/hostile/test_schemathesis.py", "tests/web/", "tests/telemetry/retention/", "tests/migrations/")


def pytest_configure(config: pytest.Config) -> None:
    """A test run that is told to end takes its servers with it, as one that is interrupted by hand does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Until all is collected there is nothing to find, and each round would look at more.
    gc.disable()
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        postgres_installation.share()
        warm_roost.share()
        if COUNT_LINES_IN in os.environ:
            counting_roost.share()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first, so that no worker ends with it while the others have nothing left."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONG))


def pytest_collection_finish() -> None:
    """What was imported and collected stays until the end: nobody has to look for cycles in it again and again."""
    gc.enable()
    gc.collect()
    gc.freeze()


class UserClient(httpx2.Client):
    """An HTTP client that is signed in. Paths are relative to `/api/v1`.

    Without `verify` every client would read all certificates of the machine first, which takes longer than most tests.
    """

    def __init__(self, server: RoostServer, email: str, password: str, session: dict[str, Any]) -> None:
        super().__init__(
            base_url=f"{server.url}/api/v1",
            headers={"Authorization": f"Bearer {session['access_token']}"},
            timeout=30,
            trust_env=False,
            verify=False,
        )
        self.email = email
        self.password = password
        self.access_token: str = session["access_token"]
        self.refresh_token: str = session["refresh_token"]
        self.scope: str = session["scope"]
        self.profile: dict[str, Any] = session["user"]


@dataclass(frozen=True)
class RegisteredDevice:
    """A device of `user`, with the token that was shown once."""

    id: int
    uid: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """What the device sends with every request."""
        return {"X-Device-Token": self.token}


def new_hub(
    folder: Path,
    kind: str,
    migrated: MigratedDatabases,
    environment: Mapping[str, str] | None = None,
    *,
    counted: bool = False,
) -> RoostServer:
    """A hub that has not been started, on a database of this kind that need not be migrated any more."""
    url = migrated.postgresql() if kind == "postgresql" else None
    server = RoostServer(folder, url, environment, counted=counted)
    if url is None:
        migrated.sqlite(server.data_dir / "roost.db")
    return server


class Servers:
    """The long-lived servers of this test process, one for each kind of database, started when first asked for."""

    def __init__(self, folder: Path, migrated: MigratedDatabases) -> None:
        self._folder = folder
        self._migrated = migrated
        self._running: dict[str, RoostServer] = {}

    def get(self, kind: DatabaseKind) -> RoostServer:
        """The running server on this kind of database."""
        if kind not in self._running:
            self._running[kind] = new_hub(self._folder / kind, kind, self._migrated, counted=True).start()
        return self._running[kind]

    def stop(self) -> None:
        """Stop all of them; a complaint on the way out is a failure too."""
        _stop_all(self._running.values())


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresCluster]:
    """A PostgreSQL that all tests of this process share, each in a database of its own; started when first used."""
    cluster = PostgresCluster()
    yield cluster
    cluster.remove()


@pytest.fixture
def own_postgres() -> Iterator[PostgresCluster]:
    """A PostgreSQL for one test alone, which may stop and start it."""
    cluster = PostgresCluster()
    cluster.start()
    yield cluster
    cluster.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> DatabaseKind:
    """Whoever asks for this, or for `server`, runs once on each database."""
    kind: DatabaseKind = request.param
    return kind


@pytest.fixture
def empty_database_url(database_kind: DatabaseKind, tmp_path: Path, postgres: PostgresCluster) -> str:
    """The URL of a database without any table, of each kind in turn."""
    if database_kind == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    return postgres.create_database()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresCluster) -> MigratedDatabases:
    """Where databases with every table come from."""
    return MigratedDatabases(tmp_path_factory.mktemp("migrated"), postgres)


@pytest.fixture
def database_url(database_kind: DatabaseKind, tmp_path: Path, migrated: MigratedDatabases) -> str:
    """The URL of a database with every table and nothing in them, of each kind in turn."""
    return migrated.postgresql() if database_kind == "postgresql" else migrated.sqlite(tmp_path / "roost.db")


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory, migrated: MigratedDatabases) -> Iterator[Servers]:
    """The servers that tests of this process share."""
    shared = Servers(tmp_path_factory.mktemp("servers"), migrated)
    yield shared
    shared.stop()


@pytest.fixture
def server(servers: Servers, database_kind: DatabaseKind) -> Iterator[RoostServer]:
    """A running server, shared between tests: make your own user and devices. Its log must stay free of complaints."""
    shared = servers.get(database_kind)
    log_start = shared.log_size()
    yield shared
    shared.assert_no_complaints(log_start)


@pytest.fixture
def fresh_server(tmp_path: Path, postgres: PostgresCluster, migrated: MigratedDatabases) -> Iterator[FreshServer]:
    """`fresh_server(database="postgresql", start=False, ROOST_TELEMETRY_RATE="60")` makes a server for this test alone.

    `database` is "sqlite" (default), "postgresql" or a URL. With `start=False` there is nothing yet, as at first;
    otherwise there is nothing to migrate. Whatever still runs at the end is stopped.
    """
    made: list[RoostServer] = []

    def make(database: str = "sqlite", *, start: bool = True, **environment: str) -> RoostServer:
        folder = tmp_path / f"server-{len(made)}"
        if database not in {"sqlite", "postgresql"}:
            server = RoostServer(folder, database, environment)
        elif start:
            server = new_hub(folder, database, migrated, environment)
        else:
            server = RoostServer(folder, postgres.create_database() if database == "postgresql" else None, environment)
        made.append(server)
        return server.start() if start else server

    yield make
    _stop_all(made)


@pytest.fixture
def client(server: RoostServer) -> Iterator[httpx2.Client]:
    """An HTTP client without any credential. Paths are relative to `/api/v1`."""
    with httpx2.Client(base_url=f"{server.url}/api/v1", timeout=30, trust_env=False, verify=False) as anonymous:
        yield anonymous


def _stop_all(servers: Iterable[RoostServer]) -> None:
    """Stop every one of them, whatever another one complains about."""
    with ExitStack() as endings:
        for server in servers:
            endings.callback(server.assert_no_complaints)
            endings.callback(server.stop)


def register_user(server: RoostServer, password: str = "Test1234!", **fields: Any) -> UserClient:
    """Register somebody new and sign in; close the client when done."""
    email = f"{uuid.uuid4().hex[:12]}@example.org"
    with httpx2.Client(base_url=f"{server.url}/api/v1", timeout=30, trust_env=False, verify=False) as anonymous:
        registered = anonymous.post("/auth/register", json={"email": email, "password": password, **fields})
        assert registered.status_code == 201, registered.text
        signed_in = anonymous.post("/auth/login", json={"email": email, "password": password})
        assert signed_in.status_code == 200, signed_in.text
    return UserClient(server, email, password, signed_in.json())


def sign_in_admin(server: RoostServer) -> UserClient:
    """Sign in the administrator that the first start made; close the client when done."""
    credentials = {"identifier": server.admin_email, "password": server.admin_password}
    answer = httpx2.post(f"{server.url}/api/v1/auth/login", json=credentials, timeout=30, trust_env=False, verify=False)
    assert answer.status_code == 200, answer.text
    return UserClient(server, server.admin_email, server.admin_password, answer.json())


def register_device(user: httpx2.Client, uid: str | None = None, **fields: Any) -> RegisteredDevice:
    """Register a device directly for a signed-in user."""
    uid = uid or f"dev-{uuid.uuid4().hex[:12]}"
    answer = user.post("/devices", json={"name": uid, "device_uid": uid, **fields})
    assert answer.status_code == 201, answer.text
    body = answer.json()
    device = body.get("device", body)
    return RegisteredDevice(device["id"], uid, body.get("device_token") or body["token"])


@pytest.fixture
def user(server: RoostServer) -> Iterator[UserClient]:
    """Somebody new with an organization and a home of their own, signed in."""
    with register_user(server) as somebody:
        yield somebody


@pytest.fixture
def admin(server: RoostServer) -> Iterator[UserClient]:
    """The administrator, signed in."""
    with sign_in_admin(server) as administrator:
        yield administrator


@pytest.fixture
def device(user: UserClient) -> RegisteredDevice:
    """A device of `user`."""
    return register_device(user)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium or Chrome; its absence is a failure, since the browser tests are part of the proof."""
    mac = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", mac)
    found = next((path for path in map(shutil.which, names) if path), None)
    assert found, "No Chromium was found: `make test-tools` installs it."
    return found
