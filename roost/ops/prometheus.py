"""The figures in the words of Prometheus. Imported at the first scrape only: the library below is not small."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

import roost
from roost.ops.fleet import Totals
from roost.ops.intake import BOUNDS_S, CommitFigures
from roost.ops.overview import Installation, Snapshot

# Figures by the values of their labels.
Figures = Mapping[Any, float]


async def render(installation: Installation, accept: str) -> tuple[str, bytes]:
    """Content type and text of a scrape; figures that cannot be had at the moment are left out."""
    snapshot = await installation.snapshot()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Scrape(installation, snapshot))
    encode, content_type = choose_encoder(accept)
    return content_type, encode(registry)


class _Scrape(Collector):
    def __init__(self, installation: Installation, snapshot: Snapshot) -> None:
        self._installation = installation
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        yield from self._process()
        yield from self._requests()
        yield from self._telemetry()
        yield from self._storage()
        if self._snapshot.totals is not None:
            yield from _fleet(self._snapshot.totals)
        problems = self._installation.failures.totals
        yield _counter("problems", "Warnings and errors logged.", ("room", "level"), problems)

    def _process(self) -> Iterator[Metric]:
        own = self._snapshot.host.own
        build = {(roost.__version__, self._installation.dialect): 1}
        yield _gauges("build_info", "Which version runs here.", ("version", "database"), build)
        yield _gauge("uptime_seconds", "Since the process started.", own.uptime_s)
        yield _gauge("memory_bytes", "Resident memory of the process.", own.rss)
        yield _gauge("threads", "Threads of the process.", own.threads)
        yield _counter("cpu_seconds", "Processor time used by the process.", (), {(): own.cpu_seconds})
        available = self._snapshot.totals is not None
        yield _gauge("database_up", "Whether the database answers.", int(available))

    def _requests(self) -> Iterator[Metric]:
        traffic, connections = self._installation.traffic, self._installation.connections
        answers = {(kind,): count for kind, count in traffic.answers.items()}
        yield _counter("http_requests", "HTTP requests answered.", ("status",), answers)
        yield _gauge("http_requests_open", "Requests and WebSockets under way.", traffic.open)
        yield _gauge("mqtt_connections", "MQTT clients connected.", connections.mqtt())
        yield _gauge("websockets", "Live sockets that listen.", connections.websockets())

    def _telemetry(self) -> Iterator[Metric]:
        intake = self._installation.intake
        ingest = intake.ingest
        waiting, waiting_bytes = ingest.waiting
        refused = {(code,): count for code, count in ingest.refused_by_code.items()}
        yield _counter("messages_accepted", "Messages made safe.", (), {(): ingest.accepted_total})
        yield _counter("messages_refused", "Messages refused.", ("code",), refused)
        yield _gauge("messages_waiting", "Messages taken that wait for their commit.", waiting)
        yield _gauge("messages_waiting_bytes", "Bytes of them.", waiting_bytes)
        commits = intake.commits
        outcomes = {("stored",): commits.stored, ("failed",): commits.failed}
        yield _counter("commits", "Commits of telemetry.", ("outcome",), outcomes)
        yield _histogram("commit_seconds", "How long commits of telemetry took.", commits)

    def _storage(self) -> Iterator[Metric]:
        snapshot = self._snapshot
        if snapshot.database_bytes is not None:
            yield _gauge("database_bytes", "Size of the state database.", snapshot.database_bytes)
        if snapshot.telemetry_bytes is not None:
            yield _gauge("telemetry_bytes", "Size of the telemetry log.", snapshot.telemetry_bytes)
        yield _gauge("disk_free_bytes", "Free space for the data folder.", snapshot.host.disk.free)
        yield _gauge("disk_bytes", "Size of the data folder's file system.", snapshot.host.disk.total)


def _fleet(totals: Totals) -> Iterator[Metric]:
    devices = totals.devices
    states = {
        ("online",): devices.online,
        ("offline",): devices.offline,
        ("never_seen",): devices.never_seen,
        ("unclaimed",): totals.unclaimed,
    }
    yield _gauges("devices", "Devices by how they are.", ("state",), states)
    yield _gauge("users", "User accounts.", totals.users)
    yield _gauge("organizations", "Organizations.", totals.organizations)
    yield _gauge("homes", "Homes.", totals.homes)


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(f"roost_{name}", documentation, value=value)


def _gauges(name: str, documentation: str, labels: tuple[str, ...], values: Figures) -> Metric:
    family = GaugeMetricFamily(f"roost_{name}", documentation, labels=labels)
    for given, value in values.items():
        family.add_metric(given, value)
    return family


def _counter(name: str, documentation: str, labels: tuple[str, ...], values: Figures) -> Metric:
    family = CounterMetricFamily(f"roost_{name}", documentation, labels=labels)
    for given, value in values.items():
        family.add_metric(given, value)
    return family


def _histogram(name: str, documentation: str, commits: CommitFigures) -> Metric:
    buckets, total = [], 0
    for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), commits.by_duration, strict=True):
        total += count
        buckets.append((bound, total))
    return HistogramMetricFamily(f"roost_{name}", documentation, buckets=buckets, sum_value=commits.seconds)
