"""What years of telemetry cost: bytes on disk, and the time of the questions that people ask about them.

The blocks are written as sealing writes them, without the way through slices first, which other cases measure: a device
with a year behind it, and a fleet with a week.
"""

import os
import time
from collections.abc import Iterator
from contextlib import closing
from statistics import median
from typing import Any, NamedTuple
from urllib.parse import urlencode

import httpx2
import numpy as np

from benchmarks.cases import Pace
from benchmarks.server import Owner, cpu_s, measured_server, register_fleet, register_owner, rss_mib, start_pinned
from benchmarks.walks import random_walks
from roost.core.clock import rfc3339_from_ms
from roost.telemetry import slices
from roost.telemetry.blocks import file
from roost.telemetry.blocks.planning import cut
from roost.telemetry.blocks.sealing import insert
from roost.telemetry.blocks.stretch import Stretch
from roost.telemetry.frames import Column
from tests.roost_server import RoostServer

KEYS = tuple(f"series_{number}" for number in range(5))
DAY_MS = 24 * 3600 * 1000
WEEK_MS, YEAR_MS = 7 * DAY_MS, 365 * DAY_MS
# A span that begins in the middle of a block of nearly every device.
CUT_MS = WEEK_MS - DAY_MS // 3
# At a hundred million points, this is a reading of each of five series every ten seconds.
SHARE_OF_THE_YEAR = 0.158
_BLOCKS_AT_ONCE = 64


class Timing(NamedTuple):
    """Milliseconds of each request, and what the server's processors had to do for one."""

    walls: list[float]
    cpu_ms: float

    def figures(self, name: str) -> dict[str, float]:
        ordered = sorted(self.walls)
        return {
            f"{name}_p50_ms": round(median(ordered), 1),
            f"{name}_p99_ms": round(ordered[int(0.99 * (len(ordered) - 1))], 1),
            f"{name}_cpu_ms": round(self.cpu_ms, 1),
        }


def measure_history(pace: Pace, points: int, devices: int) -> dict[str, Any]:
    """Figures with so many points in blocks on SQLite: a sixth of them of one device, the others of so many."""
    with measured_server() as server:
        owner = register_owner(server)
        fleet = [each.device_id for each in register_fleet(server, owner, devices + 1)]
        server.stop()
        # A whole week of those that buckets of seven days are counted in.
        end = int(time.time() * 1000) // WEEK_MS * WEEK_MS
        began = time.process_time()
        written = _fill(server, fleet, points, end)
        sealing_s = time.process_time() - began
        size = (server.data_dir / "telemetry" / file.FILE).stat().st_size
        start_pinned(server)
        return {
            "points": written,
            "devices": devices,
            "bytes_per_point": round(size / written, 3),
            "sealed_points_per_cpu_s": round(written / sealing_s),
            **_ask(server, owner, fleet, end, pace.blocks),
            "rss_mib": round(rss_mib(server), 1),
            "load_average": round(os.getloadavg()[0], 1),
        }


def _fill(server: RoostServer, fleet: list[int], points: int, end: int) -> int:
    rng = np.random.default_rng(1)
    year_rows = round(points * SHARE_OF_THE_YEAR / len(KEYS))
    week_rows = round(points * (1 - SHARE_OF_THE_YEAR) / len(KEYS) / (len(fleet) - 1))
    with closing(file.create(server.data_dir / "telemetry")) as blocks:
        first_id = 1
        for number, device_id in enumerate(fleet):
            rows, span = (year_rows, YEAR_MS) if number == 0 else (week_rows, WEEK_MS)
            parts = list(cut(_walks(rng, device_id, first_id, rows=rows, span=span, end=end)))
            for start in range(0, len(parts), _BLOCKS_AT_ONCE):
                with slices.writing(blocks):
                    for part in parts[start : start + _BLOCKS_AT_ONCE]:
                        insert(blocks, part)
            first_id += rows
        slices.move_to_place(blocks)
    return (first_id - 1) * len(KEYS)


def _walks(rng: np.random.Generator, device_id: int, first_id: int, *, rows: int, span: int, end: int) -> Stretch:
    """Random walks with two decimals, at an even pace with jitter, the last just before `end`."""
    times, walks = random_walks(rng, KEYS, rows=rows, span=span, end=end)
    columns = {key: Column(values) for key, values in walks.items()}
    return Stretch(device_id, times, np.arange(first_id, first_id + rows), times + 20, None, columns)


def _ask(server: RoostServer, owner: Owner, fleet: list[int], end: int, blocks: int) -> dict[str, Any]:
    """Every kind of question again and again, all of another series than the one before."""
    headers = {"Authorization": f"Bearer {owner.access_token}"}
    asked = {
        "day": (_days_of_devices(fleet, end), 40 * blocks),
        "year": (_years(fleet[0], end), 10 * blocks),
        "week": (_weeks_of_all(end, WEEK_MS, "7d"), 10 * blocks),
        "cut_week": (_weeks_of_all(end, CUT_MS, "7d"), 4 * blocks),
        "week_hourly": (_weeks_of_all(end, WEEK_MS, "1h"), 1 + blocks),
    }
    with httpx2.Client(base_url=f"{server.url}/api/v1", headers=headers, timeout=120, trust_env=False) as client:
        figures: dict[str, Any] = {}
        for name, (paths, repeats) in asked.items():
            figures |= _timed(server, client, paths, repeats).figures(name)
        figures["exported_points_per_cpu_s"] = _export(server, client, fleet[0])
    return figures


def _days_of_devices(fleet: list[int], end: int) -> Iterator[str]:
    """The last 24 hours of one series of one device after the other, as a chart asks for them."""
    while True:
        for number, device_id in enumerate(fleet):
            yield _path(f"devices/{device_id}/readings", number, end - DAY_MS, end, points=500)


def _years(device_id: int, end: int) -> Iterator[str]:
    number = 0
    while True:
        width_s = YEAR_MS // 500 // 1000
        yield _path(f"devices/{device_id}/readings", number, end - YEAR_MS, end, bucket=width_s, agg="avg,min,max")
        number += 1


def _weeks_of_all(end: int, span: int, bucket: str) -> Iterator[str]:
    number = 0
    while True:
        yield _path("analytics/trends", number, end - span, end, bucket=bucket, agg="avg,min,max")
        number += 1


def _path(path: str, number: int, since: int, until: int, **question: Any) -> str:
    span = {"from": rfc3339_from_ms(since), "to": rfc3339_from_ms(until)}
    return f"{path}?{urlencode({'sensor_type': KEYS[number % len(KEYS)], **span, **question})}"


def _timed(server: RoostServer, client: httpx2.Client, paths: Iterator[str], repeats: int) -> Timing:
    """Of each request, after one that finds nothing prepared."""
    _time_ms(client, next(paths))
    used = cpu_s(server)
    walls = [_time_ms(client, next(paths)) for _ in range(repeats)]
    return Timing(walls, 1000 * (cpu_s(server) - used) / repeats)


def _time_ms(client: httpx2.Client, path: str) -> float:
    started = time.perf_counter()
    client.get(path).raise_for_status()
    return (time.perf_counter() - started) * 1000


def _export(server: RoostServer, client: httpx2.Client, device_id: int) -> int:
    """Points per CPU second of the server, into Parquet, all that the device has."""
    used, size = cpu_s(server), 0
    with client.stream("GET", f"analytics/export?format=parquet&device_id={device_id}") as answer:
        answer.raise_for_status()
        for chunk in answer.iter_bytes():
            size += len(chunk)
    assert size
    used = cpu_s(server) - used
    found = client.get(f"devices/{device_id}/readings/stats").raise_for_status().json()
    points: int = sum(series["count"] for series in found)
    return round(points / used)
