"""Two ways into a hub's telemetry for commands: a running hub over HTTP, or the data itself while none has it."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any, NamedTuple, Protocol

import httpx2

from roost.access.audit.keys import audit_key
from roost.access.audit.log import SYSTEM, Deed, use_key
from roost.core.blobs import blobs_for
from roost.core.clock import Clock, SystemClock
from roost.core.database import AWAY, Database, sqlite_path
from roost.core.errors import CutShort, RoostError
from roost.core.settings import Settings
from roost.telemetry.log import Log, LogUnavailable
from roost.telemetry.queries import TelemetryStore
from roost.telemetry.retention.history import History
from roost.telemetry.retention.horizons import Horizons
from roost.telemetry.service import open_log
from roost.telemetry.transfer.service import OPERATOR, Transfers
from roost.telemetry.transfer.wanted import Events, Position, Readings

TIMEOUT_S = 60.0
TRIES = 6
FOREVER_MS = 2**62


class DoorClosed(Exception):  # noqa: N818 - it reads as what it says
    """The hub or its data cannot be reached, or refuses; the text says why."""


class BrokenOff(Exception):  # noqa: N818 - it reads as what it says
    """A file ended before it was whole; its rest can be asked for."""


class Door(Protocol):
    def export(self, asked: dict[str, Any]) -> Iterator[bytes]:
        """The file for these parameters of `GET /analytics/export`. Raises DoorClosed, BrokenOff."""

    def take(self, lines: bytes) -> dict[str, Any]:
        """What `POST /analytics/import` answers. Raises DoorClosed."""


class HttpDoor:
    """A running hub, with a user's token."""

    def __init__(self, http: httpx2.Client) -> None:
        self._http = http

    def export(self, asked: dict[str, Any]) -> Iterator[bytes]:
        try:
            with self._http.stream("GET", "/analytics/export", params=asked) as answer:
                if answer.status_code != 200:
                    answer.read()
                    _refused(answer)
                yield from answer.iter_bytes()
        except httpx2.HTTPError as error:
            raise BrokenOff(str(error) or type(error).__name__) from error

    def take(self, lines: bytes) -> dict[str, Any]:
        """What is lost on the way is sent again: the hub knows what it has."""
        for attempt in range(1, TRIES + 1):
            try:
                answer = self._http.post(
                    "/analytics/import", content=lines, headers={"Content-Type": "application/x-ndjson"}
                )
                if answer.status_code == 200:
                    told: dict[str, Any] = answer.json()
                    return told
                if answer.status_code not in {429, 502, 503, 504} or attempt == TRIES:
                    _refused(answer)
            except httpx2.HTTPError as error:
                if attempt == TRIES:
                    raise DoorClosed(f"The hub does not answer: {error}") from error
            time.sleep(min(2.0**attempt, 20.0))
        raise AssertionError("The last try returns or raises.")


def _refused(answer: httpx2.Response) -> None:
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = answer.text[:200]
    raise DoorClosed(f"The hub refuses ({answer.status_code}): {detail}")


class DataDoor:
    """The database and the log themselves, as the settings name them; a log on SQLite has to be without a hub."""

    def __init__(self, runner: asyncio.Runner, transfers: Transfers) -> None:
        self._runner = runner
        self._transfers = transfers

    def export(self, asked: dict[str, Any]) -> Iterator[bytes]:
        kind, since, until = asked["format"], asked.get("from", 0), asked.get("to", FOREVER_MS)
        resume, home_id = asked.get("resume"), asked.get("home_id")
        wanted: Readings | Events
        if asked["what"] == "events":
            wanted = Events(kind, since, until, asked.get("event_type"), int(resume) if resume else None)
        else:
            position = Position.parse(resume) if resume else None
            wanted = Readings(kind, since, until, tuple(asked["sensor_type"]), position)
        pieces = self._run(
            self._transfers.export(OPERATOR, Deed("", SYSTEM), wanted, tuple(asked["device_id"]), home_id)
        )
        try:
            while (piece := self._run(anext(pieces, None))) is not None:
                yield piece
        finally:
            self._run(pieces.aclose())

    def take(self, lines: bytes) -> dict[str, Any]:
        taken = self._run(self._transfers.take(OPERATOR, SYSTEM, lines))
        refused = [{"line": number, "detail": detail} for number, detail in taken.refused]
        return {"stored": taken.stored, "known": taken.known, "refused": refused}

    def _run(self, work: Any) -> Any:
        try:
            return self._runner.run(_awaited(work))
        except LogUnavailable as error:
            raise DoorClosed(f"The telemetry cannot be used at the moment: {error}") from error
        except CutShort as error:
            raise BrokenOff(str(error)) from error
        except (*AWAY, RoostError) as error:
            raise DoorClosed(f"The hub's data cannot be used: {error}") from error


async def _awaited(work: Any) -> Any:
    return await work


@contextmanager
def door_to(url: str | None, token: str | None) -> Iterator[Door]:
    """The hub at this address, or without one the data that the settings name. Raises DoorClosed."""
    if url is None:
        with opened_data() as (runner, data):
            yield DataDoor(runner, Transfers(data.log, data.store, data.database, data.clock, history=data.history))
    elif not token:
        raise DoorClosed("A hub wants a token: --token, or ROOST_TOKEN in the environment.")
    else:
        headers = {"Authorization": f"Bearer {token}"}
        with httpx2.Client(base_url=f"{url.rstrip('/')}/api/v1", headers=headers, timeout=TIMEOUT_S) as http:
            yield HttpDoor(http)


class Data(NamedTuple):
    """What a hub works on."""

    settings: Settings
    clock: Clock
    database: Database
    log: Log
    store: TelemetryStore
    history: History


@contextmanager
def opened_data() -> Iterator[tuple[asyncio.Runner, Data]]:
    """Database and log as the settings name them, and what runs work on them. Raises DoorClosed."""
    with asyncio.Runner() as runner:
        opened = AsyncExitStack()
        try:
            try:
                data = runner.run(_open(opened))
            except LogUnavailable as error:
                raise DoorClosed(f"{error} Ask the running hub with --url and --token.") from error
            except (*AWAY, RoostError) as error:
                raise DoorClosed(f"The hub's data cannot be used: {error}") from error
            yield runner, data
        finally:
            runner.run(opened.aclose())


async def _open(opened: AsyncExitStack) -> Data:
    settings, clock = Settings(), SystemClock()
    path = sqlite_path(settings.database_url)
    if path is not None and not path.exists():
        raise DoorClosed(f"There is no database at {path}; start the hub once, or name its folder (ROOST_DATA_DIR).")
    database = Database(settings)
    opened.push_async_callback(database.dispose)
    use_key(database, audit_key(settings))
    log = open_log(settings, clock)
    opened.push_async_callback(log.close)
    await log.open()
    history = History(log, Horizons(database, clock), blobs_for(settings) if settings.archive else None)
    return Data(settings, clock, database, log, TelemetryStore(log, clock, history), history)
