"""Work for devices: cycles of poll and complete, a task on its way to who waits for it, one task for a whole fleet."""

import asyncio
import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Any

from sqlalchemy import insert

import roost.migrations.tables  # noqa: F401 - tasks refer to the tables of other rooms
from benchmarks.cases import Pace
from benchmarks.server import Credential, cpu_s, measured_server, register_fleet, register_owner
from benchmarks.working import Http, Worker, connect_workers, now
from roost.core.database import Database
from roost.core.settings import Settings
from roost.tasks.models import Task
from tests.roost_server import RoostServer

_POLLERS = 32
_WAITING_FOR_EACH = 400
_EVERY_S = 0.04
_FLEET_TIMEOUT_S = 120.0
_AT_REST_CPU_S = 0.05


def measure_cycles(pace: Pace) -> dict[str, Any]:
    """32 devices poll and complete as fast as they can."""
    with measured_server() as server:
        fleet = register_fleet(server, register_owner(server), _POLLERS)
        blocks = []
        for _ in range(pace.blocks):
            asyncio.run(_fill(server, fleet))
            used, started = cpu_s(server), now()
            cycles = asyncio.run(_cycle(server, fleet, pace.block_s))
            blocks.append((cycles / (cpu_s(server) - used), cycles / (now() - started)))
        return {
            "cycles_per_cpu_s": round(median(per_cpu for per_cpu, _ in blocks)),
            "cycles_per_s": round(median(per_s for _, per_s in blocks)),
        }


async def _fill(server: RoostServer, fleet: Sequence[Credential]) -> None:
    """Write tasks into the database at once: over the API each would cost a commit."""
    moment = datetime.now(UTC)
    database = Database(Settings(data_dir=server.data_dir, database_url=server.database_url))
    rows = [
        {
            "device_id": device.device_id, "type": "blink", "payload": {"n": 1}, "status": "queued", "rank": 0,
            "attempts": 0, "available_at": moment, "created_at": moment, "updated_at": moment,
        }
        for device in fleet
        for _ in range(_WAITING_FOR_EACH)
    ]  # fmt: skip
    async with database.write() as session:
        await session.execute(insert(Task), rows)
    await database.dispose()


async def _cycle(server: RoostServer, fleet: Sequence[Credential], duration_s: float) -> int:
    until = now() + duration_s

    async def work(device: Credential) -> int:
        http = await Http(server.port, f"X-Device-Token: {device.token}").open()
        cycles = 0
        while now() < until and (leased := await http.post("/tasks/poll?limit=1")):
            task = leased[0]
            done = {"status": "done", "result": {"ok": True}, "lease_token": task["lease_token"]}
            await http.post(f"/tasks/{task['id']}/complete", done)
            cycles += 1
        http.close()
        return cycles

    return sum(await asyncio.gather(*(work(device) for device in fleet)))


def measure_way(pace: Pace) -> dict[str, Any]:
    """From the order to the device that waits, by long poll and over MQTT."""
    with measured_server() as server:
        owner = register_owner(server)
        polling, listening = register_fleet(server, owner, 2)
        count = int(pace.blocks * pace.block_s / 2 / _EVERY_S)
        header = f"Authorization: Bearer {owner.access_token}"
        return asyncio.run(_way(server, header, polling, listening, count))


async def _way(
    server: RoostServer, header: str, polling: Credential, listening: Credential, count: int
) -> dict[str, Any]:
    ordering = await Http(server.port, header).open()
    by_poll = await _each_way("long_poll", ordering, polling, count, _LongPoll(server, polling))
    by_mqtt = await _each_way("mqtt", ordering, listening, count, _Subscribed(server, listening))
    ordering.close()
    return {**by_poll, **by_mqtt}


class _LongPoll:
    """Waits for the next task over HTTP, and completes it."""

    def __init__(self, server: RoostServer, device: Credential) -> None:
        self._http = Http(server.port, f"X-Device-Token: {device.token}")

    async def open(self) -> None:
        await self._http.open()

    async def next(self) -> float:
        leased = await self._http.post("/tasks/poll?limit=1&wait=60")
        arrived = now()
        await self._http.post(f"/tasks/{leased[0]['id']}/complete", {"status": "done"})
        return arrived

    def close(self) -> None:
        self._http.close()


class _Subscribed:
    """Hears of the next task over MQTT, and completes it."""

    def __init__(self, server: RoostServer, device: Credential) -> None:
        self._server, self._device = server, device
        self._came: asyncio.Queue[float] = asyncio.Queue()
        self._ended: asyncio.Queue[int] = asyncio.Queue()

    async def open(self) -> None:
        def told(what: str, task_id: int) -> None:
            if what == "came":
                self._came.put_nowait(now())
            else:
                self._ended.put_nowait(task_id)

        [self._worker] = await connect_workers(self._server.mqtt_port, [self._device], told)

    async def next(self) -> float:
        arrived = await self._came.get()
        await self._ended.get()
        return arrived

    def close(self) -> None:
        self._worker.close()


async def _each_way(
    name: str, ordering: Http, device: Credential, count: int, waiting: "_LongPoll | _Subscribed"
) -> dict[str, float]:
    """Since the order was sent, and since it was answered, which is when the task is in the queue."""
    await waiting.open()
    since_sent, since_answered = [], []
    for _ in range(count):
        arriving = asyncio.create_task(waiting.next())
        await asyncio.sleep(_EVERY_S)
        started = now()
        await ordering.post(f"/devices/{device.device_id}/tasks", {"type": "blink"})
        answered = now()
        arrived = await arriving
        since_sent.append(arrived - started)
        since_answered.append(max(arrived - answered, 0.0))
    waiting.close()
    return {**_percentiles(name, sorted(since_sent)), **_percentiles(f"{name}_after_answer", sorted(since_answered))}


def _percentiles(name: str, took: list[float]) -> dict[str, float]:
    return {
        f"{name}_p50_ms": round(took[len(took) // 2] * 1000, 2),
        f"{name}_p99_ms": round(took[len(took) * 99 // 100] * 1000, 2),
    }


def measure_fleet(_pace: Pace, connections: int) -> dict[str, Any]:
    """One task to so many connected devices: until the last completion is acknowledged."""
    with measured_server() as server:
        owner = register_owner(server)
        fleet = register_fleet(server, owner, connections)
        header = f"Authorization: Bearer {owner.access_token}"
        return asyncio.run(_fleet(server, header, fleet))


async def _fleet(server: RoostServer, header: str, fleet: Sequence[Credential]) -> dict[str, Any]:
    every, ended = asyncio.Event(), itertools.count(1)

    def told(what: str, _task_id: int) -> None:
        if what == "ended" and next(ended) == len(fleet):
            every.set()

    workers: list[Worker] = await connect_workers(server.mqtt_port, fleet, told)
    await _rest(server)
    ordering = await Http(server.port, header).open()
    devices = {"device_ids": [device.device_id for device in fleet]}
    used, started = cpu_s(server), now()
    bulk = await ordering.post("/tasks/bulk", {"type": "ping", "devices": devices})
    ordered_s = now() - started
    async with asyncio.timeout(_FLEET_TIMEOUT_S):
        await every.wait()
    acknowledged_s, cpu = now() - started, cpu_s(server) - used
    ordering.close()
    # Another connection: the hub closes one that nobody uses for a while.
    reading = await Http(server.port, header).open()
    read = await reading.get(f"/tasks/bulk/{bulk['id']}")
    reading.close()
    assert read["counts"]["done"] == read["devices"] == len(fleet), read
    for worker in workers:
        worker.close()
    return {
        "ordered_s": round(ordered_s, 2),
        "acknowledged_by_all_s": round(acknowledged_s, 2),
        "bulk_cpu_s": round(cpu, 2),
    }


async def _rest(server: RoostServer) -> None:
    """What follows so many first connections (their addresses are kept for the audit log) is over."""
    async with asyncio.timeout(_FLEET_TIMEOUT_S):
        used = 1.0
        while used > _AT_REST_CPU_S:
            before = cpu_s(server)
            await asyncio.sleep(1)
            used = cpu_s(server) - before
