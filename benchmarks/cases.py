"""The measurements. Each starts a server of its own and returns the figures of one line of the report."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import authorization
from benchmarks.generator import Load, run_load, started_generator
from benchmarks.latency import measure_latency
from benchmarks.server import (
    AS_USERS_RUN_IT,
    CORES,
    SERVER_CORE,
    cpu_s,
    measured_server,
    register_fleet,
    register_owner,
    rss_mib,
    start_pinned,
)
from benchmarks.verification import check_sample, count_stored
from tests.roost_server import RoostServer
from tests.waiting import wait_until

_HTTP_CONNECTIONS = 64


@dataclass(frozen=True)
class Pace:
    """How long to measure."""

    blocks: int
    block_s: float


def measure_ingest(pace: Pace, mode: str, connections: int, *, window: int = 1, batch: int = 1) -> dict[str, Any]:
    """Publish or post as fast as the acknowledgements allow, then count what is stored."""
    with measured_server() as server:
        owner = register_owner(server)
        fleet = register_fleet(server, owner, connections)
        load = run_load(mode, server, fleet, blocks=pace.blocks, block_s=pace.block_s, window=window, batch=batch)
        rss = rss_mib(server)
        stored = count_stored(server)
        asked = check_sample(server, owner, fleet, stored)
    _assert_nothing_lost(load, sum(stored.values()))
    return {
        "messages_per_cpu_s": round(load.per_cpu_s),
        "messages_per_s": round(load.per_second),
        "ack_p50_ms": round(load.middle("ack_p50_ms"), 2),
        "ack_p99_ms": round(load.middle("ack_p99_ms"), 2),
        "rss_mib": round(rss, 1),
        "acknowledged": load.acked,
        "stored": sum(stored.values()),
        "asked_through_api": asked,
        "connect_s": load.connect_s,
        "blocks": load.blocks,
    }


def _assert_nothing_lost(load: Load, stored: int) -> None:
    assert load.refused == 0, f"{load.refused} messages were refused."
    assert load.lost_connections == 0, f"{load.lost_connections} connections were closed by the server."
    assert stored >= load.acked, f"{load.acked} messages were acknowledged, {stored} are stored."
    assert stored <= load.sent, f"{load.sent} messages were sent, {stored} are stored."


def measure_mqtt(pace: Pace, connections: int, window: int) -> dict[str, Any]:
    """QoS 1 from many connections, `window` messages on the way on each."""
    return measure_ingest(pace, "mqtt", connections, window=window)


def measure_http(pace: Pace, batch: int) -> dict[str, Any]:
    """POST /telemetry on keep-alive connections, `batch` messages in each."""
    return measure_ingest(pace, "http", _HTTP_CONNECTIONS, batch=batch)


def measure_idle_devices(_pace: Pace, connections: int) -> dict[str, Any]:
    """Memory of the whole process with so many MQTT devices connected, and what they cost while silent."""
    with measured_server() as server:
        owner = register_owner(server)
        fleet = register_fleet(server, owner, connections)
        before = rss_mib(server)
        with started_generator("idle", server, fleet, hold_s=300) as (process, lines):
            connected = rss_mib(server)
            settle_s = _wait_for_rest(server)
            share = _cpu_share(server, 20)
            highest = max(connected, rss_mib(server))
            output, errors = process.communicate("", timeout=60)
            assert process.returncode == 0, errors
            total = json.loads(output.splitlines()[-1])
    assert total["lost_connections"] == 0, total
    return {
        "rss_mib": round(highest, 1),
        "rss_before_mib": round(before, 1),
        "kib_per_device": round((highest - before) * 1024 / connections, 2),
        "connect_s": lines[0]["seconds"],
        "settle_s": round(settle_s, 1),
        "cpu_percent": round(share * 100, 2),
    }


def measure_start(_pace: Pace) -> dict[str, Any]:
    """From the start of the process in an empty folder (database, migrations, admin) to the first answer."""
    times: dict[str, list[float]] = {"fresh_start_s": [], "second_start_s": [], "fresh_start_one_core_s": []}
    used: list[float] = []
    for _ in range(5):
        with TemporaryDirectory(prefix="roost-bench-") as folder, TemporaryDirectory(prefix="roost-bench-") as other:
            for name, place, cores in (
                ("fresh_start_s", folder, CORES),
                ("second_start_s", folder, CORES),
                ("fresh_start_one_core_s", other, [SERVER_CORE]),
            ):
                server = RoostServer(Path(place), environment=AS_USERS_RUN_IT)
                times[name].append(start_pinned(server, cores))
                if name == "fresh_start_s":
                    used.append(cpu_s(server))
                server.stop()
    return {
        **{name: round(median(found), 2) for name, found in times.items()},
        "fresh_start_cpu_s": round(median(used), 2),
    }


def measure_idle_cpu(_pace: Pace) -> dict[str, Any]:
    """A hub that nobody speaks to, its own machine sampled every 10 s."""
    with measured_server() as server:
        _wait_for_rest(server)
        share = _cpu_share(server, 20)
        return {"cpu_percent": round(share * 100, 2), "rss_mib": round(rss_mib(server), 1)}


def _wait_for_rest(server: RoostServer) -> float:
    """Seconds until the process has used hardly any time for a second: what followed a start or a rush is over."""
    started = time.perf_counter()
    wait_until(lambda: _cpu_share(server, 1) < 0.03, timeout_s=120, what="A server at rest")
    return time.perf_counter() - started


def _cpu_share(server: RoostServer, duration_s: float) -> float:
    used, started = cpu_s(server), time.perf_counter()
    time.sleep(duration_s)
    return (cpu_s(server) - used) / (time.perf_counter() - started)


def measure_authorization(pace: Pace, database: str) -> dict[str, Any]:
    """What asking who may adds to a message on its way in, and to a list of 10,000 devices."""
    return authorization.measure(2 * pace.blocks, database)


def measure_live_latency(pace: Pace, connections: int) -> dict[str, Any]:
    """From publish to WebSocket frame, at half of the rate that this machine takes.

    A paced message comes alone, like those of window 1 and unlike those of window 10, which arrive ten at a time; so
    the half is that of window 1.
    """
    with measured_server() as server:
        owner = register_owner(server)
        fleet = register_fleet(server, owner, connections + 1)
        probe, others = fleet[0], fleet[1:]
        full = run_load("mqtt", server, others, blocks=1, block_s=3, window=1)
        rate = full.per_second / 2
        duration_s = pace.blocks * pace.block_s
        with started_generator(
            "mqtt", server, others, blocks=1, block_s=duration_s + 2, window=10, rate=round(rate)
        ) as (process, _):
            figures = measure_latency(server, owner, probe, duration_s)
            output, errors = process.communicate(timeout=duration_s + 60)
            assert process.returncode == 0, errors
    total = json.loads(output.splitlines()[-1])
    assert total["acked"] == total["sent"], total
    return {"background_messages_per_s": round(rate), **figures}
