"""What many build themselves: Mosquitto, a subscriber in Python, a table in PostgreSQL with a row for each reading."""

import asyncio
import sys
import time
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from importlib import metadata
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import asyncpg  # type: ignore[import-untyped]

from benchmarks.peers.json_messages import messages_of
from benchmarks.peers.mqtt_feed import Sender, publish
from benchmarks.peers.peer import Answer, Peer
from benchmarks.peers.program import child, program, running, version_of
from benchmarks.peers.subscriber import COLUMNS
from benchmarks.peers.workload import DAY_BUCKET_MS, YEAR_BUCKET_MS, ReadingSet, Workload
from benchmarks.processes import on_core
from benchmarks.server import SERVER_CORE
from tests.postgres_cluster import PostgresCluster, free_port
from tests.waiting import wait_until

T = TypeVar("T")

# Devices of the sets have numbers of their own.
_FIRST_ID = {"day": 0, "year": 100_000, "week": 200_000}
_TABLE = """
CREATE TABLE reading (
    device_id integer NOT NULL, key text NOT NULL, ts timestamptz NOT NULL, value double precision NOT NULL,
    PRIMARY KEY (device_id, key, ts)
)"""
_AVERAGES = """
SELECT date_bin($4, ts, 'epoch'), avg(value) FROM reading
 WHERE device_id = $5 AND key = $1 AND ts >= $2 AND ts < $3 GROUP BY 1 ORDER BY 1"""
_AVERAGE_OF_ALL = "SELECT avg(value) FROM reading WHERE key = $1 AND ts >= $2 AND ts < $3"
_PRESENT = """
SELECT count(*) FROM unnest($1::integer[], $2::timestamptz[]) AS last (device_id, ts)
  JOIN reading USING (device_id, ts) WHERE key = $3"""
# Room for a table of some gigabytes on a machine that does other things besides.
_TUNED = (
    "shared_buffers=1GB", "work_mem=64MB", "maintenance_work_mem=256MB", "max_wal_size=4GB", "random_page_cost=1.1",
    "wal_compression=on", "effective_cache_size=4GB", "max_parallel_workers_per_gather=0",
)  # fmt: skip
_BROKER = """
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {folder}/
max_inflight_messages 1000
max_queued_messages 0
log_type error
"""
_STORED_TIMEOUT_S = 400


def _series_and_span(of: ReadingSet, series: int) -> tuple[str, datetime, datetime]:
    since, until = (datetime.fromtimestamp(moment / 1000, UTC) for moment in (of.end - of.span, of.end))
    return of.keys[series], since, until


def _rows(readings: ReadingSet) -> Iterator[tuple[int, str, datetime, float]]:
    for device in range(readings.devices):
        times, columns = readings.walk(device)
        moments = [datetime.fromtimestamp(moment / 1000, UTC) for moment in times.tolist()]
        for key, values in zip(readings.keys, columns, strict=True):
            yield from zip(repeat(_FIRST_ID[readings.name] + device), repeat(key), moments, values.tolist())


class HomeMade(Peer):
    """Questions are asked in SQL, without the web server that would stand before it."""

    name = "Mosquitto, Python, PostgreSQL"
    transport = "MQTT QoS 1, JSON, a message each"
    promise = "in the broker's memory"
    remark = (
        "A COPY for all that waits, primary key (device, key, time), 1 GB of shared buffers. Year and week are copied"
        " into the table; questions are asked in SQL, without a web server before it."
    )

    def __init__(
        self, workload: Workload, version: str, *, pids: list[int], mqtt_port: int, postgres: PostgresCluster,
        runner: asyncio.Runner, connection: "asyncpg.Connection[asyncpg.Record]",
    ) -> None:  # fmt: skip
        super().__init__(workload, version)
        self._pids, self._mqtt_port, self._postgres = pids, mqtt_port, postgres
        self._runner, self._connection = runner, connection

    @property
    def pids(self) -> list[int]:
        return [*self._pids, self._postgres.pid]

    def ingest(self, readings: ReadingSet) -> int:
        senders = [
            Sender(f"devices/{_FIRST_ID[readings.name] + device}/telemetry", messages_of(readings, device))
            for device in range(readings.devices)
        ]
        publish(self._mqtt_port, senders)
        ends = {_FIRST_ID[readings.name] + device: readings.walk(device)[0][-1] for device in range(readings.devices)}
        moments = [datetime.fromtimestamp(end / 1000, UTC) for end in ends.values()]
        wait_until(
            lambda: self._has_all(list(ends), moments, readings.keys[-1]),
            _STORED_TIMEOUT_S,
            what="All of it in the table",
        )
        return readings.points

    def load(self, readings: ReadingSet) -> None:
        """Straight into the table: through the broker it would take many minutes."""
        self._run(self._connection.copy_records_to_table("reading", records=_rows(readings), columns=COLUMNS))

    def settle(self) -> None:
        self._run(self._connection.execute("VACUUM ANALYZE reading"))
        self._run(self._connection.execute("CHECKPOINT"))
        self.wait_for_rest()

    def size_bytes(self) -> int:
        return int(self._run(self._connection.fetchval("SELECT pg_total_relation_size('reading')")))

    def day(self, device: int, series: int) -> Answer:
        return self._averages(self.workload.day, device, series, DAY_BUCKET_MS)

    def year(self, series: int) -> Answer:
        return self._averages(self.workload.year, 0, series, YEAR_BUCKET_MS)

    def week(self, series: int) -> Answer:
        week = self.workload.week
        began = time.perf_counter()
        average = self._run(self._connection.fetchval(_AVERAGE_OF_ALL, *_series_and_span(week, series)))
        took_ms = (time.perf_counter() - began) * 1000
        return Answer(took_ms, {week.end - week.span: average})

    def _averages(self, of: ReadingSet, device: int, series: int, width: int) -> Answer:
        asked = (*_series_and_span(of, series), timedelta(milliseconds=width), _FIRST_ID[of.name] + device)
        began = time.perf_counter()
        rows = self._run(self._connection.fetch(_AVERAGES, *asked))
        took_ms = (time.perf_counter() - began) * 1000
        return Answer(took_ms, {round(start.timestamp() * 1000): average for start, average in rows})

    def _has_all(self, device_ids: list[int], last: list[datetime], key: str) -> bool:
        """Whether each device's last reading is there: they come in order."""
        time.sleep(0.2)
        present: int = self._run(self._connection.fetchval(_PRESENT, device_ids, last, key))
        return present == len(device_ids)

    def _run(self, asked: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(asked)


@contextmanager
def home_made(workload: Workload) -> Iterator[HomeMade]:
    """Broker, subscriber and an empty table; all of them on the server's core.

    Raises:
        PeerMissing: there is no Mosquitto.
    """
    mosquitto = program("mosquitto", "mosquitto")
    with ExitStack() as ending:
        folder = Path(ending.enter_context(TemporaryDirectory(prefix="roost-peer-")))
        postgres = PostgresCluster(options=[part for setting in _TUNED for part in ("-c", setting)])
        ending.callback(postgres.remove)
        with on_core(SERVER_CORE):
            database_url = postgres.create_database()
        runner = ending.enter_context(asyncio.Runner())
        connection = runner.run(asyncpg.connect(database_url))
        ending.callback(lambda: runner.run(connection.close()))
        runner.run(connection.execute(_TABLE))
        server_version = runner.run(connection.fetchval("SHOW server_version"))
        port = free_port()
        folders = {name: folder / name for name in ("broker", "subscriber")}
        for each in folders.values():
            each.mkdir()
        configuration = folder / "mosquitto.conf"
        # Started by root it would become another user, who may not write here.
        configuration.write_text(_BROKER.format(port=port, folder=folders["broker"]) + "user root\n")
        broker = ending.enter_context(running([mosquitto, "-c", configuration], folders["broker"], port=port))
        command = [sys.executable, "-m", "benchmarks.peers.subscriber", str(port), database_url]
        environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
        subscriber = ending.enter_context(child(command, folders["subscriber"], environment=environment))
        log = folders["subscriber"] / "log"
        wait_until(lambda: "subscribed" in log.read_text(), 30, what=f"A subscriber ({log})")
        version = f"{version_of('mosquitto')}, aiomqtt {metadata.version('aiomqtt')}, PostgreSQL {server_version}"
        yield HomeMade(
            workload, version, pids=[broker, subscriber.pid], mqtt_port=port, postgres=postgres, runner=runner,
            connection=connection,
        )  # fmt: skip
