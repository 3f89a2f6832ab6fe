"""Roost itself, as `roost run` starts it: over HTTP as a collector would write, and over MQTT as devices do."""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.peers.json_messages import messages, messages_of
from benchmarks.peers.mqtt_feed import Sender, publish
from benchmarks.peers.peer import Answer, Peer
from benchmarks.peers.program import size_of
from benchmarks.peers.web import Web
from benchmarks.peers.workload import DAY_BUCKET_MS, YEAR_BUCKET_MS, ReadingSet, Workload
from benchmarks.server import Credential, Owner, measured_server, register_fleet, register_owner, start_pinned
from roost import __version__
from roost.core.clock import parse_time, rfc3339_from_ms
from roost.telemetry.messages import Message
from roost.telemetry.sqlite_log import SLICE_AGE_MS, SqliteLog
from tests.roost_server import RoostServer
from tests.stopped_clock import StoppedClock


class Roost(Peer):
    """Each device writes with its own token."""

    name = "Roost"
    transport = "HTTP, JSON, 500 messages a request"
    promise = "on the disk: synced, together with what else came meanwhile"
    remark = "Of each message it checks whose it is, its keys, and whether it was sent before. SQLite."

    def __init__(self, workload: Workload, server: RoostServer) -> None:
        super().__init__(workload, __version__)
        self._server = server
        self._owner: Owner = register_owner(server)
        sizes = [each.devices for each in workload.sets]
        fleet = register_fleet(server, self._owner, sum(sizes))
        self._credentials: dict[str, list[Credential]] = {
            each.name: fleet[sum(sizes[:place]) : sum(sizes[: place + 1])] for place, each in enumerate(workload.sets)
        }
        # Of what has ended: the hub before it was started again, and sealing.
        self._cpu_before_s = 0.0
        self._web = self._new_web()
        self._days = 0

    @property
    def pids(self) -> list[int]:
        return [self._server.pid]

    def cpu_s(self) -> float:
        return self._cpu_before_s + super().cpu_s()

    def ingest(self, readings: ReadingSet) -> int:
        credentials = self._credentials[readings.name]
        for batch in readings.batches():
            body = b"[" + b",".join(messages(readings.keys, batch)) + b"]"
            token = credentials[batch.device].token
            self._web.post("/api/v1/telemetry", body, **{"X-Device-Token": token, "Content-Type": "application/json"})
        return readings.points

    def settle(self) -> None:
        """Seals all, also what the hub would go on to fill for a day, and what its child had not come to."""
        self._cpu_before_s = self.cpu_s()
        self._web.close()
        self._server.stop()
        self._days += 1
        last = self._credentials["week"][-1].device_id
        folder = self._server.data_dir / "telemetry"
        slices = len(list(folder.glob("head_*.db")))
        asyncio.run(_close_slice(folder, last, self._days))
        assert len(list(folder.glob("head_*.db"))) == slices + 1, "The slice was not closed."
        used = os.times()
        sealed = self._server.run_command("telemetry", "seal", timeout_s=600)
        assert sealed.returncode == 0, sealed.stdout + sealed.stderr
        after = os.times()
        self._cpu_before_s += after.children_user + after.children_system - used.children_user - used.children_system
        start_pinned(self._server)
        self._web = self._new_web()
        self.wait_for_rest()
        self._cpu_before_s -= super().cpu_s()  # starting again belongs to the measuring

    def size_bytes(self) -> int:
        return size_of(self._server.data_dir / "telemetry")

    def day(self, device: int, series: int) -> Answer:
        return self._averages(self.workload.day, device, series, DAY_BUCKET_MS)

    def year(self, series: int) -> Answer:
        return self._averages(self.workload.year, 0, series, YEAR_BUCKET_MS)

    def week(self, series: int) -> Answer:
        week = self.workload.week
        return self._ask("/api/v1/analytics/trends", week, series, week.span)

    def _averages(self, of: ReadingSet, device: int, series: int, width: int) -> Answer:
        device_id = self._credentials[of.name][device].device_id
        return self._ask(f"/api/v1/devices/{device_id}/readings", of, series, width)

    def _ask(self, path: str, of: ReadingSet, series: int, width: int) -> Answer:
        span = {"from": rfc3339_from_ms(of.end - of.span), "to": rfc3339_from_ms(of.end)}
        reply = self._web.get(path, sensor_type=of.keys[series], bucket=f"{width // 1000}s", agg="avg", **span)
        rows: list[dict[str, Any]] = json.loads(reply.body)
        return Answer(reply.ms, {parse_time(row["bucket"]): row["avg"] for row in rows})

    def _new_web(self) -> Web:
        return Web(self._server.port, {"Authorization": f"Bearer {self._owner.access_token}"})


class RoostOverMqtt(Roost):
    """A connection for each device."""

    name = "Roost, MQTT"
    transport = "MQTT QoS 1, JSON, a message each"
    questions = ()
    remark = "The same hub; its answers are those of the column before."

    def ingest(self, readings: ReadingSet) -> int:
        senders = [
            Sender("devices/me/telemetry", messages_of(readings, device), str(each.device_id), each.token)
            for device, each in enumerate(self._credentials[readings.name])
        ]
        publish(self._server.mqtt_port, senders)
        return readings.points


@contextmanager
def roost(workload: Workload) -> Iterator[Roost]:
    """An empty hub with all devices, on SQLite."""
    with measured_server(ROOST_HOST_DEVICE="false") as server:
        yield Roost(workload, server)


@contextmanager
def roost_over_mqtt(workload: Workload) -> Iterator[RoostOverMqtt]:
    """The same, for devices that are connected."""
    with measured_server(ROOST_HOST_DEVICE="false") as server:
        yield RoostOverMqtt(workload, server)


async def _close_slice(folder: Path, device_id: int, days: int) -> None:
    """What a message does that comes so many days from now: sealing takes what is no longer written to."""
    then = int(time.time() * 1000) + days * SLICE_AGE_MS
    log = SqliteLog(folder, StoppedClock(then))
    await log.open()
    await log.append([device_id], [Message(then, then, None, {"last": 1.0}, b'{"last":1.0}')])
    await log.close()
