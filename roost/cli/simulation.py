"""A simulation under way: devices that join and send, what came of it, and the look afterwards whether all is there."""

import asyncio
import json
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2

from roost.cli.simulated_devices import SEQUENCE_KEY, SimulatedDevice, kind_of, uid_of
from roost.cli.transports import NotConnected, Transport, problem_detail
from roost.core.clock import parse_time

PAGE = 500
JOINING_AT_ONCE = 8
RECENT_LATENCIES = 20_000
RETRY_FIRST_S = 0.5
RETRY_LAST_S = 10.0
FAREWELL_S = 5.0


class SimulationFailed(Exception):  # noqa: N818 - it is what happened
    """The simulation cannot go on; the text says why."""


@dataclass(slots=True)
class Tally:
    """What has happened so far."""

    devices: int = 0
    connected: int = 0
    sent: int = 0
    acknowledged: int = 0
    refused: int = 0
    waiting: int = 0
    reconnects: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT_LATENCIES))
    stored: dict[int, set[int]] = field(default_factory=dict)

    def latency_ms(self, quantile: float) -> float | None:
        """A quantile of the recent answers' latency, None before the first."""
        if not self.latencies_ms:
            return None
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))]


async def join_as_user(client: httpx2.AsyncClient, count: int) -> list[SimulatedDevice]:
    """Register `count` devices for the signed-in user, or give new tokens to those of an earlier run."""
    me = await _get(client, "/auth/me")
    prefix = f"sim-{me['id']}"
    known = await _known_devices(client, prefix)
    turns = asyncio.Semaphore(JOINING_AT_ONCE)

    async def join(number: int) -> SimulatedDevice:
        uid, kind = uid_of(number, prefix), kind_of(number)
        async with turns:
            if uid in known:
                answer = await client.post(f"/devices/{known[uid]}/token")
            else:
                body = {"name": f"{kind.name} {number}", "device_uid": uid, "type": kind.type, "tags": ["simulated"]}
                answer = await client.post("/devices", json=body)
        if answer.is_error:
            raise SimulationFailed(f"{uid} cannot join: {answer.status_code} {problem_detail(answer)}")
        joined = answer.json()
        device_id = joined.get("device_id") or joined["id"]
        return SimulatedDevice(number, uid, device_id, joined["device_token"], random.Random(uid))  # noqa: S311 # nosec B311

    return list(await asyncio.gather(*(join(number) for number in range(1, count + 1))))


async def join_with_tokens(client: httpx2.AsyncClient, tokens: Sequence[str]) -> list[SimulatedDevice]:
    """The devices that these tokens belong to."""
    devices = []
    for number, token in enumerate(tokens, start=1):
        answer = await client.get("/devices/whoami", headers={"X-Device-Token": token})
        if answer.is_error:
            raise SimulationFailed(f"Token {number} is refused: {answer.status_code} {problem_detail(answer)}")
        who = answer.json()
        uid = who["device_uid"]
        devices.append(SimulatedDevice(number, uid, who["device_id"], token, random.Random(uid)))  # noqa: S311 # nosec B311
    return devices


class Simulation:
    """Sends for every device at its own pace until it is told to stop."""

    def __init__(
        self, devices: list[SimulatedDevice], transport_of: Callable[[SimulatedDevice], Transport], rate: float
    ) -> None:
        """`rate` in messages per second and device."""
        self.tally = Tally(devices=len(devices))
        self.started_ms = time.time_ns() // 1_000_000
        self._devices = devices
        self._transport_of = transport_of
        self._interval_s = 1 / rate
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Let every device finish its message and leave."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """Whether it has been told to stop."""
        return self._stop.is_set()

    async def run(self, duration_s: float | None) -> None:
        """Run for `duration_s`, or until `stop`; what has no answer five seconds later counts as waiting."""
        tasks = [asyncio.create_task(self._live(device), name=f"simulate-{device.uid}") for device in self._devices]
        try:
            await self._wait_for_stop(duration_s, tasks)
            self._stop.set()
            await asyncio.wait(tasks, timeout=FAREWELL_S)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    async def _wait_for_stop(self, duration_s: float | None, tasks: list[asyncio.Task[None]]) -> None:
        stopped = asyncio.create_task(self._stop.wait())
        try:
            # A device only ends by itself when something is wrong with the simulation.
            await asyncio.wait([stopped, *tasks], timeout=duration_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()

    async def _live(self, device: SimulatedDevice) -> None:
        transport = self._transport_of(device)
        due = time.monotonic() + device.chance.random() * self._interval_s
        last_ms = 0
        try:
            while not await self._pause_until(due):
                last_ms = max(last_ms + 1, time.time_ns() // 1_000_000)
                await self._deliver(device, transport, last_ms)
                # Messages that could not be sent in time are left out, not made up for.
                due = max(due + self._interval_s, time.monotonic())
        finally:
            await transport.close()

    async def _deliver(self, device: SimulatedDevice, transport: Transport, ts_ms: int) -> None:
        payload = device.next_payload(ts_ms / 1000)
        message_id = f"{device.uid}-{self.started_ms}-{device.sequence}"
        body = json.dumps({"payload": payload, "ts": ts_ms, "message_id": message_id}).encode()
        tally = self.tally
        tally.sent += 1
        tally.waiting += 1
        refusal = await self._send_until_answered(device, transport, body)
        tally.waiting -= 1
        if refusal is None:
            tally.acknowledged += 1
            tally.stored.setdefault(device.device_id, set()).add(device.sequence)
        else:
            tally.refused += 1
            tally.refusals[refusal] += 1

    async def _send_until_answered(self, device: SimulatedDevice, transport: Transport, body: bytes) -> str | None:
        """Send the same message again, under its id, for as long as nobody says what became of it."""
        pause_s = RETRY_FIRST_S
        connected = device.connected
        while True:
            try:
                if not connected:
                    await transport.connect()
                    connected = device.connected = True
                    self.tally.connected += 1
                began = time.perf_counter()
                refusal = await transport.send(body)
            except NotConnected as failure:
                self.tally.refusals[str(failure)] += 1
                if connected:
                    connected = device.connected = False
                    self.tally.connected -= 1
                    self.tally.reconnects += 1
                await asyncio.sleep(pause_s * device.chance.uniform(0.5, 1))
                pause_s = min(RETRY_LAST_S, pause_s * 2)
            else:
                self.tally.latencies_ms.append((time.perf_counter() - began) * 1000)
                return refusal

    async def _pause_until(self, due: float) -> bool:
        """Wait; True when it is time to stop."""
        left_s = due - time.monotonic()
        if left_s > 0 and not self._stop.is_set():
            try:
                async with asyncio.timeout(left_s):
                    await self._stop.wait()
            except TimeoutError:
                return False
        return self._stop.is_set()


async def count_missing(
    client: httpx2.AsyncClient, devices: Sequence[SimulatedDevice], tally: Tally, since_ms: int, *, as_user: bool
) -> int:
    """How many acknowledged messages the hub does not give back. A device's own token shows its last 500 only."""
    missing = 0
    for device in devices:
        expected = tally.stored.get(device.device_id, set())
        if not expected:
            continue
        if as_user:
            found = await _found_by_user(client, device.device_id, since_ms)
        else:
            found = await _found_by_device(client, device, since_ms)
            expected = set(sorted(expected)[-PAGE + 1 :])
        missing += len(expected - found)
    return missing


async def _found_by_user(client: httpx2.AsyncClient, device_id: int, since_ms: int) -> set[int]:
    found: set[int] = set()
    until: int | None = None
    while True:
        query: dict[str, str | int] = {"sensor_type": SEQUENCE_KEY, "from": since_ms, "limit": PAGE}
        if until is not None:
            query["to"] = until
        page = await _get(client, f"/devices/{device_id}/readings", query)
        found.update(int(reading["value"]) for reading in page)
        if len(page) < PAGE:
            return found
        until = min(parse_time(reading["timestamp"]) for reading in page)


async def _found_by_device(client: httpx2.AsyncClient, device: SimulatedDevice, since_ms: int) -> set[int]:
    headers = {"X-Device-Token": device.token}
    messages = await _get(client, "/telemetry/recent", {"limit": PAGE}, headers)
    return {
        int(message["payload"][SEQUENCE_KEY])
        for message in messages
        if SEQUENCE_KEY in message["payload"] and parse_time(message["ts"]) >= since_ms
    }


async def _known_devices(client: httpx2.AsyncClient, prefix: str) -> dict[str, int]:
    known: dict[str, int] = {}
    query: dict[str, str | int] = {"q": prefix, "limit": PAGE}
    while True:
        answer = await client.get("/devices", params=query)
        if answer.is_error:
            raise SimulationFailed(f"The devices cannot be listed: {answer.status_code} {problem_detail(answer)}")
        known |= {device["device_uid"]: device["id"] for device in answer.json()}
        cursor = answer.headers.get("X-Next-Cursor")
        if not cursor:
            return known
        query["cursor"] = cursor


async def _get(
    client: httpx2.AsyncClient,
    path: str,
    query: dict[str, str | int] | None = None,
    headers: dict[str, str] | None = None,
) -> Any:
    answer = await client.get(path, params=query, headers=headers)
    if answer.is_error:
        raise SimulationFailed(f"GET {path}: {answer.status_code} {problem_detail(answer)}")
    return answer.json()
