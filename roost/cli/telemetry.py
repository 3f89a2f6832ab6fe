"""`roost telemetry …`: looking after what is stored."""

import asyncio
from pathlib import Path
from typing import Annotated

import apsw
import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy.engine import make_url

from roost.core.clock import SystemClock
from roost.core.settings import Settings
from roost.telemetry.blocks.inspection import damages, sizes
from roost.telemetry.blocks.sealing import AlreadySealing, seal_folder
from roost.telemetry.log import LogUnavailable
from roost.telemetry.postgres_log import PostgresLog
from roost.telemetry.prune import prune_folder

app = typer.Typer(help="Looking after stored telemetry.", no_args_is_help=True)

DAY_MS = 24 * 3600 * 1000


@app.callback()
def telemetry() -> None:
    """Looking after stored telemetry."""


@app.command()
def prune(days: Annotated[int, typer.Option(min=0, max=100_000, help="Delete what is older than this.")] = 30) -> None:
    """Deletes telemetry older than so many days, also while the hub runs; with --days 0, all there is."""
    settings = Settings()
    clock = SystemClock()
    before = clock.now_ms() - days * DAY_MS if days else 2**62
    try:
        deleted = asyncio.run(_prune(settings, clock, before))
    except (LogUnavailable, OSError) as error:
        typer.echo(f"The telemetry could not be pruned: {error}", err=True)
        raise typer.Exit(1) from None
    what = f"older than {days} days" if days else "in all"
    typer.echo(f"{deleted:,} messages {what} deleted.")


@app.command()
def seal() -> None:
    """Turns closed slices of telemetry into compressed blocks now, also while the hub runs, which does so by itself."""
    folder = _folder()
    try:
        done = seal_folder(folder, SystemClock().now_ms(), typer.echo)
    except AlreadySealing as error:
        typer.echo(str(error))
        return
    except (apsw.Error, OSError) as error:
        typer.echo(f"The telemetry could not be sealed: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{done.messages:,} messages of {done.slices} slices sealed.")
    if done.failed:
        raise typer.Exit(1)


@app.command()
def verify() -> None:
    """Reads every block and says which are not as they were written: device, time and block. Exit status 1 if any."""
    folder = _folder()
    damaged = False
    for sentence in damages(folder):
        typer.echo(sentence)
        damaged = True
    if damaged:
        raise typer.Exit(1)
    typer.echo("Everything is as it was written.")


@app.command()
def stats() -> None:
    """Says how many messages and points are stored, and what they take up on the disk."""
    table = Table("", "messages", "points", "bytes", "bytes per point", box=None)
    messages = points = total = sealed = 0
    for size in sizes(_folder()):
        per_point = f"{size.bytes / size.points:.2f}" if size.points else ""
        shown = "" if size.points is None else f"{size.points:,}"
        table.add_row(size.name, f"{size.messages:,}", shown, f"{size.bytes:,}", per_point)
        messages += size.messages
        points += size.points or 0
        total += size.bytes
        sealed += size.bytes if size.name.startswith("blocks") else 0
    table.add_row("all", f"{messages:,}", "", f"{total:,}")
    for column in table.columns[1:]:
        column.justify = "right"
    Console(width=100).print(table)
    if points:
        typer.echo(f"{sealed / points:.2f} bytes per sealed point, everything counted.")


def _folder() -> Path:
    """The folder of the telemetry; ends the command where there is none."""
    settings = Settings()
    if make_url(settings.database_url).get_backend_name() == "postgresql":
        typer.echo("The telemetry is in PostgreSQL, in rows: there is nothing to seal, verify or count in files.")
        raise typer.Exit(0)
    folder = settings.data_dir / "telemetry"
    if not folder.is_dir():
        typer.echo(f"There is no telemetry in {folder} yet.")
        raise typer.Exit(0)
    return folder


async def _prune(settings: Settings, clock: SystemClock, before: int) -> int:
    if make_url(settings.database_url).get_backend_name() != "postgresql":
        return await asyncio.to_thread(prune_folder, settings.data_dir / "telemetry", before)
    log = PostgresLog(settings.database_url, clock)
    try:
        return await log.prune(before)
    finally:
        await log.close()
