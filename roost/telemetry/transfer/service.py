"""Files of telemetry, asked for by those who may have them. What makes them is loaded with the first one."""

import asyncio
import importlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from roost.access.audit.log import Actor, Deed, record
from roost.access.principals import Grant, UserPrincipal
from roost.core import outbox
from roost.core.clock import Clock, rfc3339_from_ms
from roost.core.database import Database
from roost.core.errors import CutShort
from roost.devices.repository import list_by_uids, list_uids
from roost.telemetry.log import Log, LogUnavailable
from roost.telemetry.queries import TelemetryStore
from roost.telemetry.retention.history import History
from roost.telemetry.transfer.wanted import Events, Readings

READ, WRITE = "telemetry:read", "devices:write"
DEVICES_AT_ONCE = 5_000
UIDS_AT_ONCE = 500
# Turning readings into bytes takes a core: beside this many, the others wait for their turn.
ENCODED_AT_ONCE = 2


# Whoever runs the command line reaches everything.
OPERATOR = UserPrincipal(0, "", "", None, (Grant("admin", None),))
IMPORTED = "telemetry.imported"
LAST_MS = 253_402_300_800_000  # where the times end that can be written: the year 10000


class Taken(NamedTuple):
    """What became of lines: how many are new on disk, how many were there before; (number, why) of those refused."""

    stored: int
    known: int
    refused: list[tuple[int, str]]
    device_ids: list[int]


class Transfers:
    def __init__(self, log: Log, store: TelemetryStore, database: Database, clock: Clock, *, history: History) -> None:
        """Readings are exported, and known, as `history` has them."""
        self._log = log
        self._history = history
        self._store = store
        self._database = database
        self._clock = clock
        self._turn = asyncio.Semaphore(ENCODED_AT_ONCE)
        # One at a time: of two that bring the same, the second has to find what the first has stored.
        self._taking = asyncio.Lock()

    async def export(
        self, principal: UserPrincipal, deed: Deed, wanted: Readings | Events, device_ids: Sequence[int] = (),
        home_id: int | None = None,
    ) -> AsyncGenerator[bytes, None]:  # fmt: skip
        """The bytes of a file of what the principal may read, of these devices or (none named) of all.

        The deed goes into the audit log, with what was asked for.

        Raises:
            LogUnavailable: nothing can be read now.
            CutShort: while the file is read; what came is not all.
        """
        pieces = await self._file(principal, wanted, device_ids, home_id)
        try:
            first = await anext(pieces)
            details = {**_said(wanted), "device_ids": list(device_ids), "home_id": home_id}
            async with self._database.write() as session:
                record(session, replace(deed, action="telemetry.exported", object_kind="telemetry", details=details))
        except BaseException:
            await pieces.aclose()
            raise
        return cut_short_when_away(first, pieces)

    async def take(self, principal: UserPrincipal, actor: Actor, body: bytes) -> Taken:
        """Stores what is new in these lines of a file, for devices that the principal may write to.

        Raises LogUnavailable; what is stored by then is known when the lines come again.
        """
        taken = await self._take(principal, body)
        if taken.stored:
            details = {"stored": taken.stored, "known": taken.known, "device_ids": taken.device_ids}
            async with self._database.write() as session:
                record(session, Deed("telemetry.imported", actor, object_kind="telemetry", details=details))
                outbox.add(session, IMPORTED, {"device_ids": taken.device_ids})
        return taken

    def on_imported(self, subject: str, message: dict[str, Any]) -> None:  # noqa: ARG002 - the bus's signature
        """Another process has stored history: what is known here of these devices' newest values may be old."""
        for device_id in message["device_ids"]:
            self._store.forget(device_id)

    async def _take(self, principal: UserPrincipal, body: bytes) -> Taken:
        lines = await _load("roost.telemetry.transfer.lines")
        intake = await _load("roost.telemetry.transfer.intake")
        now = self._clock.now_ms()
        found, refused = await asyncio.to_thread(lines.parse_lines, body, now)
        by_device: dict[int, list[Any]] = {}
        names = await self._named(principal, sorted({line.device_uid for line in found}))
        for line in found:
            candidates = names.get(line.device_uid, ())
            if candidates:
                device_id = line.device_id if line.device_id in candidates else candidates[-1]
                by_device.setdefault(device_id, []).append(line)
            else:
                detail = f"There is no device {line.device_uid[:80]!r} that you may write to; register it first."
                refused.append(lines.Refused(line.number, detail))
        async with self._taking:
            try:
                (stored, known), too_large = await intake.take(self._log, self._history, by_device, now)
            finally:
                self.on_imported(IMPORTED, {"device_ids": by_device})
        return Taken(stored, known, sorted([*refused, *too_large]), sorted(by_device))

    async def _named(self, principal: UserPrincipal, uids: Sequence[str]) -> dict[str, list[int]]:
        """Who goes by these names, or went by them; who does now comes last."""
        names: dict[str, list[int]] = {}
        for start in range(0, len(uids), UIDS_AT_ONCE):
            async with self._database.read() as session:
                found = await list_by_uids(session, principal, WRITE, uids[start : start + UIDS_AT_ONCE])
            for device_id, device_uid in found:
                names.setdefault(device_uid, []).append(device_id)
        return names

    async def _file(
        self, principal: UserPrincipal, wanted: Readings | Events, device_ids: Sequence[int], home_id: int | None
    ) -> Any:
        if isinstance(wanted, Readings):
            from_id = wanted.position.device_id if wanted.position else 0
            pages = self._devices(principal, device_ids, home_id, from_id)
            module = await _load("roost.telemetry.transfer.readings_file")
            return module.readings_file(self._history, pages, wanted, self._turn)
        uids = {key: uid async for page in self._devices(principal, device_ids, home_id, 0) for key, uid in page}
        module = await _load("roost.telemetry.transfer.events_file")
        return module.events_file(self._store, uids, wanted, self._turn)

    async def _devices(
        self, principal: UserPrincipal, device_ids: Sequence[int], home_id: int | None, from_id: int
    ) -> AsyncIterator[Sequence[tuple[int, str]]]:
        while True:
            # A session for each page: whoever reads slowly must not hold a transaction open.
            async with self._database.read() as session:
                page = await list_uids(
                    session, principal, READ, device_ids=device_ids, home_id=home_id, from_id=from_id,
                    limit=DEVICES_AT_ONCE,
                )  # fmt: skip
            yield page
            if len(page) < DEVICES_AT_ONCE:
                return
            from_id = page[-1][0] + 1


def _said(wanted: Readings | Events) -> dict[str, Any]:
    return {
        "what": "readings" if isinstance(wanted, Readings) else "events",
        "format": wanted.format,
        "from": rfc3339_from_ms(wanted.since) if wanted.since else None,
        "to": rfc3339_from_ms(wanted.until) if wanted.until < LAST_MS else None,
    }


async def cut_short_when_away(first: bytes, rest: Any) -> AsyncGenerator[bytes, None]:
    """The pieces of a file; raises CutShort when the log goes away in the middle."""
    try:
        yield first
        async for piece in rest:
            yield piece
    except LogUnavailable as error:
        raise CutShort(f"An export ends early, the telemetry cannot be read: {error}") from error
    finally:
        await rest.aclose()


async def _load(module: str) -> Any:
    """A module that brings numpy and pyarrow along, which a hub that exports nothing does not pay for."""
    return await asyncio.to_thread(importlib.import_module, module)
