"""`roost export`: telemetry into a file, going on where it broke off."""

import time
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from roost.cli.doors import BrokenOff, Door, DoorClosed, door_to
from roost.core.clock import parse_time
from roost.telemetry.transfer.tails import cut_to_whole_lines, resume_events, resume_readings
from roost.telemetry.transfer.wanted import Format

TRIES = 6
# Formats whose files can be gone on with.
TEXT = frozenset({"csv", "jsonl"})

Url = Annotated[str | None, typer.Option(help="A running hub, like http://127.0.0.1:8000; otherwise the data folder.")]
Token = Annotated[str | None, typer.Option(envvar="ROOST_TOKEN", help="An API token for that hub (rpat_…).")]


def export(  # noqa: PLR0917 - called with options
    path: Annotated[Path, typer.Argument(help="The file: .csv, .jsonl, .parquet or .arrow.")],
    format: Annotated[str | None, typer.Option(help="csv, jsonl, parquet, arrow; by the name if not given.")] = None,  # noqa: A002
    events: Annotated[bool, typer.Option("--events", help="Events as they were sent, not readings.")] = False,
    device: Annotated[list[int] | None, typer.Option(help="Only the device with this id; may be repeated.")] = None,
    home: Annotated[int | None, typer.Option(help="Only devices of the home with this id.")] = None,
    series: Annotated[list[str] | None, typer.Option(help="Only this series; may be repeated.")] = None,
    event_type: Annotated[str | None, typer.Option(help="Only this type of event.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="Start, included (RFC 3339).")] = None,
    until: Annotated[str | None, typer.Option("--to", help="End, not included (RFC 3339).")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what an earlier export left behind.")] = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Write telemetry into a file, of a running hub (--url) or of the data folder while no hub is running.

    What has come so far stands in PATH.part; the file gets its name once it is whole.
    """
    kind = format or path.suffix.removeprefix(".")
    if kind not in get_args(Format):
        _fail("Choose --format csv, jsonl, parquet or arrow.")
    asked = _asked(kind, events, device, home, series, event_type, since, until)
    part = path.with_name(path.name + ".part")
    if part.exists() and not resume:
        _fail(f"{part} is there from an export that broke off: go on with --resume, or delete it.")
    try:
        with door_to(url, token) as door:
            _write(door, part, asked)
    except (DoorClosed, BrokenOff, OSError, ValueError) as error:
        _fail(f"{path} could not be written: {error}")
    part.replace(path)
    typer.echo(f"{path}: {path.stat().st_size:,} bytes.")


def _asked(  # noqa: PLR0917 - the options as they came
    kind: str, events: bool, device: list[int] | None, home: int | None, series: list[str] | None,
    event_type: str | None, since: str | None, until: str | None,
) -> dict[str, Any]:  # fmt: skip
    asked: dict[str, Any] = {
        "format": kind, "what": "events" if events else "readings", "device_id": device or [],
        "sensor_type": series or [], "home_id": home, "event_type": event_type,
    }  # fmt: skip
    try:
        asked["from"] = None if since is None else parse_time(since)
        asked["to"] = None if until is None else parse_time(until)
    except ValueError as error:
        _fail(str(error))
    if event_type is not None and not events:
        _fail("--event-type goes with --events.")
    if series and events:
        _fail("--series goes with readings; events are whole documents.")
    return {name: value for name, value in asked.items() if value is not None}


def _write(door: Door, part: Path, asked: dict[str, Any]) -> None:
    """Tries again while something comes; a file that cannot be gone on with begins anew."""
    tries = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _append(door, part, asked)
        except BrokenOff as error:
            grown = asked["format"] in TEXT and part.exists() and part.stat().st_size > before
            tries = 1 if grown else tries + 1
            if tries == TRIES:
                raise
            typer.echo(f"It broke off ({error}); going on.", err=True)
            time.sleep(2.0**tries / 2)
        else:
            return


def _append(door: Door, part: Path, asked: dict[str, Any]) -> None:
    resume = _resume(part, asked)
    skip_header = resume is not None and asked["format"] == "csv"
    pieces = door.export({**asked, "resume": resume} if resume else asked)
    with part.open("ab" if resume else "wb") as file:
        for piece in pieces:
            if skip_header:
                # Header and first rows come together, or the header comes alone.
                file.write(piece.partition(b"\n")[2])
                skip_header = b"\n" not in piece
            else:
                file.write(piece)


def _resume(part: Path, asked: dict[str, Any]) -> str | None:
    kind = asked["format"]
    if kind not in TEXT or not part.exists():
        return None
    cut_to_whole_lines(part)
    return resume_events(part, kind) if asked["what"] == "events" else resume_readings(part, kind)


def _fail(sentence: str) -> Any:
    typer.echo(sentence, err=True)
    raise typer.Exit(1)
