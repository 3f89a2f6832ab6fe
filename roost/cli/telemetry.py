"""`roost telemetry …`: looking after what is stored."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import apsw
import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy.engine import make_url

from roost.core.clock import SystemClock
from roost.core.database import AWAY, Database
from roost.core.settings import Settings
from roost.migrations.runner import migrate_at_start
from roost.telemetry.blocks.inspection import Size, damages, sizes
from roost.telemetry.blocks.sealing import AlreadySealing, Sealed, seal_folder
from roost.telemetry.log import LogUnavailable
from roost.telemetry.postgres.upkeep import list_sizes, seal_database, tell_damages
from roost.telemetry.postgres_log import PostgresLog
from roost.telemetry.prune import prune_folder
from roost.telemetry.retention.carrying import carry_out, make_order
from roost.telemetry.retention.horizons import TOLD_S, tell_pruned

app = typer.Typer(help="Looking after stored telemetry.", no_args_is_help=True)

DAY_MS = 24 * 3600 * 1000


@app.callback()
def telemetry() -> None:
    """Looking after stored telemetry."""


@app.command()
def prune(
    days: Annotated[
        int | None,
        typer.Option(min=0, max=100_000, help="Delete what is older than this, of all devices, whatever the policies."),
    ] = None,
) -> None:
    """Deletes what the retention policies keep no longer, or (--days) all that is older; also while the hub runs.

    With --days 0 all telemetry there is goes.
    """
    settings = Settings()
    try:
        if days is None:
            typer.echo(asyncio.run(_prune_by_policies(settings)))
            return
        clock = SystemClock()
        before = clock.now_ms() - days * DAY_MS if days else 2**62
        deleted = asyncio.run(_prune(settings, clock, before))
    except (*AWAY, LogUnavailable) as error:
        typer.echo(f"The telemetry could not be pruned: {error}", err=True)
        raise typer.Exit(1) from None
    what = f"older than {days} days" if days else "in all"
    typer.echo(f"{deleted:,} messages {what} deleted.")


@app.command()
def seal() -> None:
    """Turns closed slices of telemetry into compressed blocks now, also while the hub runs, which does so by itself."""
    try:
        done = _seal(Settings())
    except AlreadySealing as error:
        typer.echo(str(error))
        return
    except (LogUnavailable, apsw.Error, OSError) as error:
        typer.echo(f"The telemetry could not be sealed: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{done.messages:,} messages of {done.slices} slices sealed.")
    if done.failed:
        raise typer.Exit(1)


@app.command()
def verify() -> None:
    """Reads every block and says which are not as they were written: device, time and block. Exit status 1 if any."""
    settings = Settings()
    damaged = False
    try:
        if _is_in_postgres(settings):
            damaged = asyncio.run(tell_damages(settings.database_url, typer.echo))
        else:
            for sentence in damages(_folder(settings)):
                typer.echo(sentence)
                damaged = True
    except LogUnavailable as error:
        typer.echo(f"The telemetry could not be verified: {error}", err=True)
        raise typer.Exit(1) from None
    if damaged:
        raise typer.Exit(1)
    typer.echo("Everything is as it was written.")


@app.command()
def stats() -> None:
    """Says how many messages and points are stored, and what they take up on the disk."""
    table = Table("", "messages", "points", "bytes", "bytes per point", box=None)
    messages = points = total = sealed = 0
    for size in _sizes(Settings()):
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


def _is_in_postgres(settings: Settings) -> bool:
    return make_url(settings.database_url).get_backend_name() == "postgresql"


def _seal(settings: Settings) -> Sealed:
    if _is_in_postgres(settings):
        return asyncio.run(seal_database(settings.database_url, typer.echo))
    return seal_folder(_folder(settings), SystemClock().now_ms(), typer.echo)


def _sizes(settings: Settings) -> Iterable[Size]:
    if not _is_in_postgres(settings):
        return sizes(_folder(settings))
    try:
        return asyncio.run(list_sizes(settings.database_url))
    except LogUnavailable as error:
        typer.echo(f"The telemetry could not be counted: {error}", err=True)
        raise typer.Exit(1) from None


def _folder(settings: Settings) -> Path:
    """The folder of the telemetry; ends the command where there is none."""
    folder = settings.data_dir / "telemetry"
    if not folder.is_dir():
        typer.echo(f"There is no telemetry in {folder} yet.")
        raise typer.Exit(0)
    return folder


async def _prune(settings: Settings, clock: SystemClock, before: int) -> int:
    if settings.archive:
        await _tell_pruned(settings, min(before, clock.now_ms()))
    if not _is_in_postgres(settings):
        return await asyncio.to_thread(prune_folder, settings.data_dir / "telemetry", before)
    log = PostgresLog(settings.database_url, clock)
    try:
        return await log.prune(before)
    finally:
        await log.close()


async def _tell_pruned(settings: Settings, before: int) -> None:
    """A hub that runs looks into the archive for what goes; questions that are being answered are waited for."""
    await migrate_at_start(settings)
    database = Database(settings)
    try:
        await tell_pruned(database, before)
    finally:
        await database.dispose()
    await asyncio.sleep(TOLD_S)


async def _prune_by_policies(settings: Settings) -> str:
    await migrate_at_start(settings)
    database = Database(settings)
    try:
        order = await make_order(database, settings, SystemClock())
    finally:
        await database.dispose()
    if order is None:
        return "There are no retention policies: everything is kept. Make some, or say --days."
    return f"{await carry_out(order):,} messages that the policies keep no longer deleted."
