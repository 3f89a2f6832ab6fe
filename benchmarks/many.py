"""A hub of several processes: from the PUBLISH to the row in PostgreSQL, with everything on this machine."""

import asyncio
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.cases import Pace
from benchmarks.generator import run_load
from benchmarks.processes import tree_cpu_s
from benchmarks.server import cpu_s, register_fleet, register_owner, rss_mib
from roost.core.clock import SystemClock
from roost.telemetry.postgres_log import PostgresLog
from tests.nats_server import NatsServer
from tests.postgres_cluster import PostgresCluster
from tests.roost_server import RoostServer
from tests.waiting import wait_until

_CATCH_UP_TIMEOUT_S = 300


@dataclass(frozen=True)
class Machines:
    """What runs beside the generator."""

    nats: NatsServer
    postgres: PostgresCluster
    database_url: str
    mqtt: RoostServer
    workers: list[RoostServer]
    api: RoostServer

    def cpu_s(self) -> dict[str, float]:
        """CPU time that each has used so far."""
        return {
            "mqtt": cpu_s(self.mqtt),
            "workers": sum(map(cpu_s, self.workers)),
            "nats": tree_cpu_s(self.nats.pid),
            "postgres": tree_cpu_s(self.postgres.pid),
        }


def measure_many(pace: Pace, connections: int, window: int, workers: int) -> dict[str, Any]:
    """QoS 1 from many connections at one `roost mqtt`; over when the workers have stored the last message."""
    with _machines(workers) as machines:
        owner = register_owner(machines.api)
        fleet = register_fleet(machines.api, owner, connections)
        used, began = machines.cpu_s(), time.perf_counter()
        load = run_load(
            "mqtt", machines.mqtt, fleet, blocks=pace.blocks, block_s=pace.block_s, window=window, batch=1
        )  # fmt: skip
        acknowledged_at = time.perf_counter()
        wait_until(
            lambda: _stored(machines.database_url) >= load.acked, _CATCH_UP_TIMEOUT_S, what="All of it in the store"
        )
        ended = time.perf_counter()
        stored = _stored(machines.database_url)
        after = machines.cpu_s()
        rss = {"rss_mqtt_mib": rss_mib(machines.mqtt), "rss_worker_mib": rss_mib(machines.workers[0])}
    assert load.refused == load.lost_connections == 0
    assert load.acked <= stored <= load.sent, f"{load.acked} were acknowledged, {load.sent} sent, {stored} stored."
    return {
        "messages_per_s": round(load.per_second),
        "stored_per_s": round(stored / (ended - began - load.connect_s)),
        "behind_at_the_end_s": round(ended - acknowledged_at, 2),
        "ack_p50_ms": round(load.middle("ack_p50_ms"), 2),
        "ack_p99_ms": round(load.middle("ack_p99_ms"), 2),
        "stored": stored,
        **{f"cpu_{name}_us": round((after[name] - used[name]) / stored * 1e6, 1) for name in after},
        **{name: round(value, 1) for name, value in rss.items()},
        "blocks": load.blocks,
    }


@contextmanager
def _machines(workers: int) -> Iterator[Machines]:
    with ExitStack() as ending, TemporaryDirectory(prefix="roost-bench-") as folder:
        nats, postgres = NatsServer(), PostgresCluster()
        ending.callback(postgres.remove)
        database_url = postgres.create_database()
        nats.start()
        ending.callback(nats.remove)
        settings = {
            "PYTHONWARNINGS": "ignore",
            "NATS_URL": nats.url,
            "SECRET_KEY": secrets.token_hex(32),
            "ROOST_AUDIT_KEY": secrets.token_hex(32),
        }

        def started(command: str, number: int = 0) -> RoostServer:
            server = RoostServer(Path(folder) / f"{command}-{number}", database_url, settings, command=command).start()
            ending.callback(server.stop)
            return server

        api, mqtt = started("api"), started("mqtt")
        yield Machines(
            nats, postgres, database_url, mqtt, [started("worker", number) for number in range(workers)], api
        )


def _stored(database_url: str) -> int:
    async def count() -> int:
        log = PostgresLog(database_url, SystemClock())
        try:
            return (await log.size())[0]
        finally:
            await log.close()

    return asyncio.run(count())
