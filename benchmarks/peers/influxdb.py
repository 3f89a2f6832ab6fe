"""InfluxDB 1 as Debian has it, with the settings it comes with but for one: see `_CONFIGURATION`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.peers.line_protocol import LineProtocolPeer
from benchmarks.peers.peer import Answer
from benchmarks.peers.program import program, running, version_of
from benchmarks.peers.web import Web
from benchmarks.peers.workload import DAY_BUCKET_MS, YEAR_BUCKET_MS, ReadingSet, Workload
from tests.postgres_cluster import free_port

# A shard that nobody writes to is compacted after ten minutes and four hours by default. Here after seconds, so that
# its size and its answers are those of data at rest.
_CONFIGURATION = """
reporting-enabled = false
bind-address = "127.0.0.1:{rpc_port}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  wal-fsync-delay = "0s"
  query-log-enabled = false
  cache-snapshot-write-cold-duration = "5s"
  compact-full-write-cold-duration = "5s"
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
[monitor]
  store-enabled = false
[logging]
  level = "warn"
"""


class InfluxDB(LineProtocolPeer):
    """Written to in requests of 5,000 lines, as collectors do."""

    name = "InfluxDB"
    write_path = "/write?db=bench&precision=ms"
    promise = "on the disk: its log is synced at every request"
    remark = "As it comes, but a shard that nobody writes to is compacted after seconds, not hours."

    def settle(self) -> None:
        # It looks for shards to compact every few seconds; only when nothing comes of it is the work done.
        self.wait_for_rest(still_s=12)

    def day(self, device: int, series: int) -> Answer:
        return self._averages(self.workload.day, series, DAY_BUCKET_MS, device)

    def year(self, series: int) -> Answer:
        return self._averages(self.workload.year, series, YEAR_BUCKET_MS, 0)

    def week(self, series: int) -> Answer:
        return self._averages(self.workload.week, series, self.workload.week.span, None)

    def _averages(self, of: ReadingSet, series: int, width: int, device: int | None) -> Answer:
        where = f"time >= {of.end - of.span}ms AND time < {of.end}ms"
        if device is not None:
            where += f" AND device = '{device}'"
        query = f"SELECT mean({of.keys[series]}) FROM r WHERE {where} GROUP BY time({width}ms) fill(none)"
        reply = self._web.get("/query", db="bench", epoch="ms", q=query)
        rows = json.loads(reply.body)["results"][0]["series"][0]["values"]
        return Answer(reply.ms, dict(rows))


@contextmanager
def influxdb(workload: Workload) -> Iterator[InfluxDB]:
    """An empty InfluxDB.

    Raises:
        PeerMissing: it is not installed.
    """
    influxd = program("influxd", "influxdb")
    with TemporaryDirectory(prefix="roost-peer-") as name:
        folder, port = Path(name), free_port()
        (folder / "influxdb.conf").write_text(
            _CONFIGURATION.format(folder=folder / "influxdb", port=port, rpc_port=free_port())
        )
        with running([influxd, "run", "-config", folder / "influxdb.conf"], folder, port=port) as pid:
            web = Web(port)
            web.post("/query?q=CREATE+DATABASE+bench", b"")
            yield InfluxDB(workload, version_of("influxdb"), pid, web, folder / "influxdb")
            web.close()
