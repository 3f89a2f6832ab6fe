"""An export that cannot be finished is seen to be not whole; one that never began is a refusal."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import httpx2
import pytest
import uvicorn
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from roost.core.errors import CutShort
from roost.core.http import Edge
from roost.telemetry.frames import Frame, Summary
from roost.telemetry.log import LogUnavailable
from roost.telemetry.messages import Message
from roost.telemetry.sqlite_log import SqliteLog
from roost.telemetry.transfer.readings_file import readings_file
from roost.telemetry.transfer.service import cut_short_when_away
from roost.telemetry.transfer.wanted import Readings
from tests.conftest import FreshServer, register_device, register_user
from tests.postgres_cluster import PostgresCluster, free_port
from tests.telemetry.conftest import NOW, HandClock
from tests.waiting import wait_until

EVERYTHING = Readings("csv", 0, 2**62)


class Leaving(SqliteLog):
    """A log that goes away after so many pieces."""

    pieces_left = 1_000

    async def pieces(
        self, device_id: int, since: int, until: int, *, keys: Sequence[str] = (),
        whole: Callable[[int, int], bool] | None = None,
    ) -> AsyncIterator[Frame | Summary]:  # fmt: skip
        async for piece in super().pieces(device_id, since, until, keys=keys, whole=whole):
            if self.pieces_left == 0:
                raise LogUnavailable("It left.")
            self.pieces_left -= 1
            yield piece


@pytest.fixture
async def leaving(tmp_path: Path, clock: HandClock) -> AsyncIterator[Leaving]:
    log = Leaving(tmp_path / "telemetry", clock)
    await log.open()
    for device_id in (1, 2):
        await log.append([device_id], [Message(NOW, NOW, None, {"v": 1}, b'{"v":1}')])
    yield log
    await log.close()


def file_of(log: SqliteLog) -> AsyncIterator[bytes]:
    async def devices() -> AsyncIterator[Sequence[tuple[int, str]]]:
        yield [(1, "dev-1"), (2, "dev-2")]

    return readings_file(log, devices(), EVERYTHING, asyncio.Semaphore(1))


async def test_nothing_is_sent_before_the_log_was_read(leaving: Leaving) -> None:
    leaving.pieces_left = 0
    with pytest.raises(LogUnavailable):
        await anext(file_of(leaving))


async def test_a_log_that_leaves_in_the_middle_ends_the_file_before_its_end(leaving: Leaving) -> None:
    leaving.pieces_left = 1
    pieces = file_of(leaving)
    whole = cut_short_when_away(await anext(pieces), pieces)
    assert (await anext(whole)).count(b"\n") == 2
    with pytest.raises(CutShort):
        await anext(whole)


@pytest.fixture
def half_an_answer() -> Iterator[str]:
    """The address of a server whose answers are cut short after their first piece."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"device_id\n"
        raise CutShort("It left.")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await StreamingResponse(pieces())(scope, receive, send)

    port = free_port()
    server = uvicorn.Server(uvicorn.Config(Edge(app), port=port, lifespan="off", log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started, what="The server")
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def test_a_client_sees_that_an_answer_was_cut_short(half_an_answer: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        httpx2.get(half_an_answer, trust_env=False)
    said = [record.getMessage() for record in caplog.records if record.name == "roost.core.http"]
    assert said == ["It left."]
    assert not any(record.exc_info for record in caplog.records)


def received(user: httpx2.Client, after_the_first_piece: Callable[[], object]) -> bytes:
    """What came of an export until it broke off, which it must."""
    have = b""
    try:
        with user.stream("GET", "/analytics/export") as answer:
            for piece in answer.iter_raw(65_536):
                if not have:
                    after_the_first_piece()
                have += piece
    except httpx2.HTTPError:
        return have
    raise AssertionError("The export came to its end.")


@pytest.mark.soak
def test_a_database_that_goes_away_under_an_export(fresh_server: FreshServer, own_postgres: PostgresCluster) -> None:
    """The client's file ends in the middle, and its rest comes once the database is back."""
    server = fresh_server(own_postgres.create_database())
    with register_user(server) as user:
        device = register_device(user)
        for start in range(0, 400_000, 8_000):
            lines = [
                json.dumps({"device_uid": device.uid, "sensor_type": "v", "time": NOW - 10**9 + n, "value": n})
                for n in range(start, start + 8_000)
            ]
            assert user.post("/analytics/import", content="\n".join(lines).encode()).json()["stored"] == 8_000
        have = received(user, own_postgres.stop)
        own_postgres.start()
        lines = have[: have.rindex(b"\n") + 1].decode().splitlines()
        last = lines[-1].split(",")
        wait_until(lambda: user.get("/readyz").status_code == 200, 60)
        rest = user.get("/analytics/export", params={"resume": f"{last[0]},{last[3]},1"}).text.splitlines()[1:]
    values = [int(line.split(",")[4]) for line in [*lines[1:], *rest]]
    assert values == list(range(400_000))
