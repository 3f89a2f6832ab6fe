"""Reading the archive: readings of a device in pieces as the log gives them, and whether all is as it was written."""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from roost.core.blobs import Blobs, BlobsUnavailable
from roost.telemetry.columns import ColumnBuilder
from roost.telemetry.frames import Column, Frame, Times
from roost.telemetry.log import ArchiveUnavailable
from roost.telemetry.messages import Value
from roost.telemetry.transfer.manifests import Manifest, Part, archived_months, read_manifest
from roost.telemetry.transfer.months import Month

FRAME_ROWS = 65_536
# Of one device so many readings are put together at a time, or those of a day.
WINDOW_ROWS = 500_000
DAYS_A_MONTH = 31
DAY_MS = 24 * 3600 * 1000
# Below this every integer is a double of its own.
_EXACT = 2**53
_COLUMNS = ["device_id", "sensor_type", "time", "value", "integer", "boolean", "unit"]


class _Open(NamedTuple):
    """A file that is being read, and what it is called and was when it was fetched."""

    part: Part
    path: Path


class ArchivedReadings:
    """What the archive has of one device, for one answer. A file is fetched once, unless it has changed since.

    Every method raises ArchiveUnavailable.
    """

    def __init__(self, blobs: Blobs, organization_id: int, device_id: int) -> None:
        self._blobs = blobs
        self._organization_id = organization_id
        self._device_id = device_id
        self._opened = AsyncExitStack()
        self._file: _Open | None = None

    async def aclose(self) -> None:
        """Gives back what was fetched."""
        self._file = None
        await self._opened.aclose()

    async def end_of_window(self, since: int, until: int) -> int:
        """How far the time from `since` on may be read at once, if not to `until`: within one file, and not all of it
        where that has more of the device than should be in memory.
        """
        for month in await self._months(since, until):
            if since < month.start_ms:
                return month.start_ms
            part = await self._part(month)
            rows = 0 if part is None else part.devices.get(str(self._device_id), 0)
            return min(until, month.end_ms, since - since % DAY_MS + window_ms(rows))
        return until

    async def frames(self, since: int, until: int, keys: Sequence[str] = ()) -> list[Frame]:
        """Readings with `since` <= time < `until` (ms), oldest first; `keys` empty: of all series.

        Frames as those of `Log.pieces`; values that one message brought need not share a row.
        """
        found: list[Frame] = []
        for month in await self._months(since, until):
            try:
                file = await self._open(month)
                if file is not None:
                    found += await asyncio.to_thread(_frames_of, file.path, self._device_id, (since, until), keys)
            except (BlobsUnavailable, OSError, pa.ArrowException) as error:
                raise ArchiveUnavailable(f"{month} cannot be read: {error}") from error
        return found

    async def _months(self, since: int, until: int) -> list[Month]:
        """Those with something of this time (ms), whoever's it is; ascending."""
        try:
            months = await archived_months(self._blobs, self._organization_id)
        except (BlobsUnavailable, OSError) as error:
            raise ArchiveUnavailable(str(error)) from error
        return [month for month in months if month.end_ms > since and month.start_ms < until]

    async def _part(self, month: Month) -> Part | None:
        try:
            manifest = await read_manifest(self._blobs, self._organization_id, month)
        except (BlobsUnavailable, OSError) as error:
            raise ArchiveUnavailable(str(error)) from error
        return None if manifest is None else manifest.readings

    async def _open(self, month: Month) -> _Open | None:
        part = await self._part(month)
        if part is None or str(self._device_id) not in part.devices:
            return None
        if self._file is None or self._file.part != part:
            await self.aclose()
            self._file = _Open(part, await self._opened.enter_async_context(self._blobs.local(part.key)))
        return self._file


def window_ms(rows: int) -> int:
    """How much of a month in which a device has so many readings is put together at a time: whole days."""
    return max(1, WINDOW_ROWS * DAYS_A_MONTH // max(rows, 1)) * DAY_MS


async def damage_of(blobs: Blobs, manifest: Manifest) -> list[str]:
    """A sentence for each file of the manifest that is not as it was written. Raises BlobsUnavailable."""
    found = []
    for part in (manifest.readings, manifest.events):
        if part is not None:
            try:
                async with blobs.local(part.key) as path:
                    said = await asyncio.to_thread(_damage, path, part)
            except FileNotFoundError:
                said = "is missing"
            if said is not None:
                found.append(f"{part.key} {said}.")
    return found


def _damage(path: Path, part: Part) -> str | None:
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != part.sha256:
            return "has another checksum than when it was written"
    rows = pq.ParquetFile(path).metadata.num_rows
    return None if rows == part.rows else f"has {rows:,} rows instead of {part.rows:,}"


def _frames_of(path: Path, device_id: int, span: tuple[int, int], keys: Sequence[str]) -> list[Frame]:
    return list(frames_in(path, device_id, span, keys))


def frames_in(path: Path, device_id: int, span: tuple[int, int], keys: Sequence[str] = ()) -> Iterator[Frame]:
    """The readings of a device in a file, from `span[0]` to before `span[1]` (ms), cut only between moments."""
    held: list[pa.Table] = []
    rows = 0
    for table in _tables(path, device_id, span, keys):
        held.append(table)
        rows += table.num_rows
        if rows >= FRAME_ROWS:
            whole = pa.concat_tables(held)
            times = whole.column("at").to_numpy()
            cut = int(np.searchsorted(times, times[-1]))
            if cut:
                yield _frame(device_id, whole.slice(0, cut))
                held = [whole.slice(cut)]
                rows = held[0].num_rows
    if rows:
        yield _frame(device_id, pa.concat_tables(held))


def _tables(path: Path, device_id: int, span: tuple[int, int], keys: Sequence[str]) -> Iterator[pa.Table]:
    """What is wanted of each row group that may have some of it, a bounded number of rows at a time."""
    file = pq.ParquetFile(path)
    since, until = span
    place = file.schema_arrow.get_field_index("device_id")
    for group in range(file.num_row_groups):
        known = file.metadata.row_group(group).column(place).statistics
        if known is not None and known.has_min_max and not known.min <= device_id <= known.max:
            continue
        for batch in file.iter_batches(FRAME_ROWS, [group], columns=_COLUMNS):
            at = batch.column("time").cast(pa.int64())
            wanted = pc.and_(pc.equal(batch.column("device_id"), device_id), pc.greater_equal(at, since))
            wanted = pc.and_(wanted, pc.less(at, until))
            if keys:
                wanted = pc.and_(wanted, pc.is_in(batch.column("sensor_type"), pa.array(list(keys))))
            rest = [batch.column(name) for name in ("sensor_type", "value", "integer", "boolean", "unit")]
            found = pa.table([at, *rest], names=["at", "key", "value", "integer", "boolean", "unit"]).filter(wanted)
            if found.num_rows:
                yield found


def _frame(device_id: int, table: pa.Table) -> Frame:
    """Readings by time as columns: one of a series a row, several of one moment one below the other."""
    at = table.column("at").to_numpy()
    keys = table.column("key").combine_chunks().dictionary_encode()
    codes = keys.indices.to_numpy()
    begins = np.flatnonzero(np.diff(at, prepend=at[:1] - 1))
    moments = np.repeat(np.arange(len(begins)), np.diff(begins, append=len(at)))
    order = np.argsort(codes, kind="stable")
    twice = (np.diff(codes[order]) == 0) & (np.diff(moments[order]) == 0)
    if twice.any():
        return _frame_of_rows(device_id, table)
    bounds = np.searchsorted(codes[order], np.arange(len(keys.dictionary) + 1))
    columns: dict[str, Column] = {}
    for code, key in enumerate(keys.dictionary.to_pylist()):
        places = order[bounds[code] : bounds[code + 1]]
        columns[key] = _column(table.take(places), moments[places], len(begins))
    return Frame(device_id, at[begins], columns)


def _column(table: pa.Table, places: npt.NDArray[np.intp], rows: int) -> Column:
    """The readings of one series, of which each stands in the row that `places` says."""
    integers, booleans = table.column("integer"), table.column("boolean")
    whole = integers.is_valid().to_numpy()
    values: npt.NDArray[Any] = table.column("value").to_numpy()
    integral: npt.NDArray[np.bool_] | None = None
    if booleans.null_count == 0:
        values = values != 0
    elif booleans.null_count < len(booleans):
        return _mixed(table, places, rows)
    elif whole.all():
        values = integers.to_numpy()
    elif whole.any():
        exact = integers.filter(pa.array(whole)).to_numpy()
        if (np.abs(values[whole]) >= _EXACT).any() or (exact != values[whole]).any():
            return _mixed(table, places, rows)
        integral = whole
    units = _units(table, places)
    if len(places) == rows:
        return Column(values, None, integral, units)
    present = np.zeros(rows, np.bool_)
    present[places] = True
    spread = np.zeros(rows, values.dtype)
    spread[places] = values
    if integral is not None:
        spread_integral = np.zeros(rows, np.bool_)
        spread_integral[places] = integral
        integral = spread_integral
    return Column(spread, present, integral, units)


def _units(table: pa.Table, places: npt.NDArray[np.intp]) -> tuple[tuple[int, str | None], ...]:
    units = table.column("unit").combine_chunks().dictionary_encode()
    codes = units.indices.fill_null(-1).to_numpy()
    words = [*units.dictionary.to_pylist(), None]
    changes = np.flatnonzero(np.diff(codes, prepend=-1))
    return tuple((int(places[change]), words[codes[change]]) for change in changes)


def _mixed(table: pa.Table, places: Times, rows: int) -> Column:
    builder = ColumnBuilder()
    names = ("value", "integer", "boolean", "unit")
    entries = zip(places.tolist(), *(table.column(name).to_pylist() for name in names), strict=True)
    for place, value, integer, boolean, unit in entries:
        builder.add(place, _exact(value, integer, boolean), unit)
    return builder.build(rows)


def _frame_of_rows(device_id: int, table: pa.Table) -> Frame:
    """The same where a series has several values at one moment: reading by reading."""
    times: list[int] = []
    builders: dict[str, ColumnBuilder] = {}
    turns: dict[str, int] = {}
    moment_at = 0
    for at, key, value, integer, boolean, unit in zip(*(column.to_pylist() for column in table.columns), strict=True):
        if not times or times[-1] != at:
            moment_at = len(times)
            turns.clear()
        turn = turns.get(key, 0)
        turns[key] = turn + 1
        place = moment_at + turn
        if place == len(times):
            times.append(at)
        builders.setdefault(key, ColumnBuilder()).add(place, _exact(value, integer, boolean), unit)
    columns = {key: builder.build(len(times)) for key, builder in builders.items()}
    return Frame(device_id, np.array(times, np.int64), columns)


def _exact(value: float, integer: int | None, boolean: bool | None) -> Value:
    return boolean if boolean is not None else integer if integer is not None else value
