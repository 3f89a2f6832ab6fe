"""Readings of many devices as one file, piece by piece: by device id, time, arrival, and name of the series."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from roost.telemetry.frames import Frame
from roost.telemetry.log import Readable
from roost.telemetry.transfer.formats import ENCODERS
from roost.telemetry.transfer.points import Points, points_of
from roost.telemetry.transfer.wanted import Position, Readings

Devices = AsyncIterator[Sequence[tuple[int, str]]]


async def readings_file(
    log: Readable, devices: Devices, wanted: Readings, turn: asyncio.Semaphore
) -> AsyncGenerator[bytes, None]:
    """The bytes of the file. `devices` are pages of ids and uids by id; `turn` bounds what is encoded at a time.

    Nothing comes before the log has been read once: whoever streams this can still answer that it is away.

    Raises:
        LogUnavailable: the file ends here, and is not whole.
    """
    encoder = ENCODERS[wanted.format]()
    held = encoder.start()
    async with aclosing(points_of_devices(log, devices, wanted, turn)) as pieces:
        async for device_uid, points in pieces:
            async with turn:
                data = await asyncio.to_thread(encoder.add, device_uid, points)
            if data or held:
                yield held + data
                held = b""
    yield held + await asyncio.to_thread(encoder.finish)


async def points_of_devices(
    log: Readable, devices: Devices, wanted: Readings, turn: asyncio.Semaphore
) -> AsyncGenerator[tuple[str, Points], None]:
    """Uid and readings, by device id, time, arrival and name of the series. Raises LogUnavailable."""
    left = wanted.max_rows
    async for page in devices:
        for device_id, device_uid in page:
            async with aclosing(_of_device(log, device_id, wanted, turn)) as pieces:
                async for points in pieces:
                    taken = points if left is None else points.part(0, left)
                    yield device_uid, taken
                    if left is not None:
                        left -= len(taken)
                        if left == 0:
                            return


async def _of_device(
    log: Readable, device_id: int, wanted: Readings, turn: asyncio.Semaphore
) -> AsyncGenerator[Points, None]:
    since, skip = wanted.since, 0
    position = wanted.position
    if position is not None and position.device_id == device_id:
        since, skip = max(since, position.time), position.rows
    async for frame in log.pieces(device_id, since, wanted.until, keys=wanted.keys):
        if not isinstance(frame, Frame):
            continue  # buckets: of what was sent nothing is left
        lists = points_of(frame, wanted.keys)
        while True:
            async with turn:
                points = await asyncio.to_thread(next, lists, None)
            if points is None:
                break
            rest, skip = _after(points, position, skip)
            if len(rest):
                yield rest


def _after(points: Points, position: Position | None, skip: int) -> tuple[Points, int]:
    """The points without the first `skip` of the position's moment, and how many are still to be skipped."""
    if not skip or position is None or points.times[0] != position.time:
        return points, 0
    same = int(points.times.searchsorted(position.time, side="right"))
    taken = min(skip, same)
    return points.part(taken, len(points)), skip - taken
