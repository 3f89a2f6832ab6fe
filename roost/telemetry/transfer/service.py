"""Files of telemetry, asked for by those who may have them. What makes them is loaded with the first one."""

import asyncio
import importlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

from roost.access.principals import UserPrincipal
from roost.core.database import Database
from roost.core.errors import CutShort
from roost.devices.repository import list_uids
from roost.telemetry.log import Log, LogUnavailable
from roost.telemetry.queries import TelemetryStore
from roost.telemetry.transfer.wanted import Events, Readings

READ = "telemetry:read"
DEVICES_AT_ONCE = 5_000
# Turning readings into bytes takes a core: beside this many, the others wait for their turn.
ENCODED_AT_ONCE = 2


class Transfers:
    def __init__(self, log: Log, store: TelemetryStore, database: Database) -> None:
        self._log = log
        self._store = store
        self._database = database
        self._turn = asyncio.Semaphore(ENCODED_AT_ONCE)

    async def export(
        self, principal: UserPrincipal, wanted: Readings | Events, device_ids: Sequence[int], home_id: int | None
    ) -> AsyncGenerator[bytes, None]:
        """The bytes of a file of what the principal may read, of these devices or (none named) of all.

        Raises:
            LogUnavailable: nothing can be read now.
            CutShort: while the file is read; what came is not all.
        """
        pieces = await self._file(principal, wanted, device_ids, home_id)
        first = await anext(pieces)
        return _whole_or_cut_short(first, pieces)

    async def _file(
        self, principal: UserPrincipal, wanted: Readings | Events, device_ids: Sequence[int], home_id: int | None
    ) -> Any:
        if isinstance(wanted, Readings):
            from_id = wanted.position.device_id if wanted.position else 0
            pages = self._devices(principal, device_ids, home_id, from_id)
            module = await _load("roost.telemetry.transfer.readings_file")
            return module.readings_file(self._log, pages, wanted, self._turn)
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


async def _whole_or_cut_short(first: bytes, rest: Any) -> AsyncGenerator[bytes, None]:
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
