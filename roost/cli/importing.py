"""`roost import`: history from files, those of an export and those of other systems."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn
from zoneinfo import ZoneInfo

import typer

from roost.cli.doors import Door, DoorClosed, door_to
from roost.cli.export import Token, Url
from roost.telemetry.transfer.foreign_files import Columns, read_annotated, read_csv, read_line_protocol
from roost.telemetry.transfer.own_files import read_own

LINES_AT_ONCE = 5_000
BYTES_AT_ONCE = 900_000
SHOWN = 20
OWN = ("csv", "jsonl", "parquet", "arrow")

Lines = Iterator[tuple[int, bytes]]


def import_(  # noqa: PLR0917 - called with options
    path: Annotated[Path, typer.Argument(help="The file.")],
    source: Annotated[
        str, typer.Option("--from", help="roost, csv (name its columns), home-assistant, influx-csv, influx-line.")
    ] = "roost",
    format: Annotated[str | None, typer.Option(help="Of a file from roost: csv, jsonl, parquet, arrow.")] = None,  # noqa: A002
    device: Annotated[str | None, typer.Option(help="The uid of the device whose history it is.")] = None,
    device_column: Annotated[str | None, typer.Option(help="Column (or tag) with the device's uid.")] = None,
    series: Annotated[str | None, typer.Option(help="The name of the series.")] = None,
    series_column: Annotated[str | None, typer.Option(help="Column with the name of the series.")] = None,
    time_column: Annotated[str, typer.Option(help="Column with the time.")] = "time",
    value_column: Annotated[str, typer.Option(help="Column with the value.")] = "value",
    unit_column: Annotated[str | None, typer.Option(help="Column with the unit.")] = None,
    wide: Annotated[bool, typer.Option("--wide", help="Each column that is not named is a series.")] = False,
    delimiter: Annotated[str, typer.Option(help="What separates the columns.")] = ",",
    timezone: Annotated[str | None, typer.Option(help="Zone of times without one, like Europe/Berlin.")] = None,
    from_row: Annotated[int, typer.Option(min=1, help="Begin with this row (or line).")] = 1,
    url: Url = None,
    token: Token = None,
) -> None:
    """Bring history into a running hub (--url) or into the data folder while no hub is running.

    What the hub has already is left as it is: a file that broke off can be given again, from its start or --from-row.
    """
    if len(delimiter.replace("\\t", "\t")) != 1:
        _fail("--delimiter is one character.")
    columns = Columns(
        time_column, None if wide else value_column, device, device_column, series, series_column, unit_column,
        wide, delimiter.replace("\\t", "\t"), _zone(timezone),
    )  # fmt: skip
    counts = {"stored": 0, "known": 0, "refused": 0}
    row = from_row
    try:
        lines = _lines(path, source, format, columns)
        with door_to(url, token) as door:
            for row in _send(door, lines, from_row, counts):  # noqa: B007 - how far it got is said at the end
                pass
    except (DoorClosed, OSError, ValueError) as error:
        _fail(f"Stopped at row {row}: {error} Go on with --from-row {row}.")
    typer.echo("{stored:,} new, {known:,} known before, {refused:,} refused.".format(**counts))
    if counts["refused"]:
        raise typer.Exit(1)


def _lines(path: Path, source: str, kind: str | None, columns: Columns) -> Lines:
    if source == "roost":
        kind = kind or path.suffix.removeprefix(".")
        if kind not in OWN:
            _fail("Choose --format csv, jsonl, parquet or arrow; files of other systems are named with --from.")
        return read_own(path, kind)
    if not (columns.device or columns.device_column):
        _fail("Say whose history it is: --device or --device-column.")
    if source == "csv":
        return read_csv(path, columns)
    if source == "home-assistant":
        known = Columns("last_changed", "state", columns.device, columns.device_column, columns.key, "entity_id")
        return read_csv(path, known)
    if source == "influx-csv":
        known = Columns("_time", "_value", columns.device, columns.device_column, columns.key, "_field")
        return read_annotated(path, known)
    if source != "influx-line":
        _fail("--from is roost, csv, home-assistant, influx-csv or influx-line.")
    return read_line_protocol(path, columns)


def _send(door: Door, lines: Lines, from_row: int, counts: dict[str, int]) -> Iterator[int]:
    """Brings the lines in, part by part; yields the row that comes next whenever all before it are in."""
    rows: list[int] = []
    body: list[bytes] = []
    size = 0
    for row, line in lines:
        if row < from_row:
            continue
        if len(body) >= LINES_AT_ONCE or size + len(line) >= BYTES_AT_ONCE:
            _take(door, rows, body, counts)
            yield row
            rows, body, size = [], [], 0
        rows.append(row)
        body.append(line)
        size += len(line) + 1
    if body:
        _take(door, rows, body, counts)
        yield rows[-1] + 1


def _take(door: Door, rows: list[int], body: list[bytes], counts: dict[str, int]) -> None:
    told: dict[str, Any] = door.take(b"\n".join(body))
    for refused in told["refused"]:
        counts["refused"] += 1
        if counts["refused"] <= SHOWN:
            typer.echo(f"Row {rows[refused['line'] - 1]}: {refused['detail']}", err=True)
        elif counts["refused"] == SHOWN + 1:
            typer.echo("More rows are refused than are shown here.", err=True)
    counts["stored"] += told["stored"]
    counts["known"] += told["known"]


def _zone(name: str | None) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        _fail(f"There is no time zone {name!r}.")


def _fail(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(1)
