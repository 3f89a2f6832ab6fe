"""VictoriaMetrics, one node, as Debian has it and with the settings it comes with."""

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


class VictoriaMetrics(LineProtocolPeer):
    """Takes InfluxDB's line protocol; answers Prometheus' questions."""

    name = "VictoriaMetrics"
    write_path = "/write?precision=ms"
    promise = "in memory: on the disk some seconds later"
    remark = "As it comes, but for a retention of two years."

    def settle(self) -> None:
        self._web.get("/internal/force_flush")
        self._web.get("/internal/force_merge")
        self.wait_for_rest()

    def day(self, device: int, series: int) -> Answer:
        return self._averages(self.workload.day, device, series, DAY_BUCKET_MS)

    def year(self, series: int) -> Answer:
        return self._averages(self.workload.year, 0, series, YEAR_BUCKET_MS)

    def week(self, series: int) -> Answer:
        # Every device has as many readings, so that the average of their averages is that of all.
        week = self.workload.week
        query = f"avg(avg_over_time({week.keys[series]}[{week.span}ms]))"
        reply = self._web.get("/api/v1/query", query=query, time=week.end // 1000, nocache=1)
        _, average = json.loads(reply.body)["data"]["result"][0]["value"]
        return Answer(reply.ms, {week.end - week.span: float(average)})

    def _averages(self, of: ReadingSet, device: int, series: int, width: int) -> Answer:
        """A point of the answer is the end of its bucket."""
        query = f'avg_over_time({of.keys[series]}{{device="{device}"}}[{width}ms])'
        first, last = (of.end - of.span) // width * width + width, -(-of.end // width) * width
        reply = self._web.get(
            "/api/v1/query_range", query=query, start=first // 1000, end=last // 1000, step=f"{width}ms", nocache=1
        )
        values = json.loads(reply.body)["data"]["result"][0]["values"]
        return Answer(reply.ms, {round(end * 1000) - width: float(average) for end, average in values})


@contextmanager
def victoriametrics(workload: Workload) -> Iterator[VictoriaMetrics]:
    """An empty VictoriaMetrics.

    Raises:
        PeerMissing: it is not installed.
    """
    binary = program("victoria-metrics", "victoria-metrics")
    with TemporaryDirectory(prefix="roost-peer-") as name:
        folder, port = Path(name), free_port()
        options = {
            "httpListenAddr": f"127.0.0.1:{port}",
            "storageDataPath": folder / "data",
            # It forgets after a month by default.
            "retentionPeriod": "2y",
            "influxSkipMeasurement": "true",
            "loggerLevel": "WARN",
        }
        command: list[str | Path] = [binary, *(f"-{option}={value}" for option, value in options.items())]
        with running(command, folder, port=port) as pid:
            web = Web(port)
            yield VictoriaMetrics(workload, version_of("victoria-metrics"), pid, web, folder / "data")
            web.close()
