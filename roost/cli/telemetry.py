"""`roost telemetry …`: looking after what is stored."""

import asyncio
from typing import Annotated

import typer
from sqlalchemy.engine import make_url

from roost.core.clock import SystemClock
from roost.core.settings import Settings
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


async def _prune(settings: Settings, clock: SystemClock, before: int) -> int:
    if make_url(settings.database_url).get_backend_name() != "postgresql":
        return await asyncio.to_thread(prune_folder, settings.data_dir / "telemetry", before)
    log = PostgresLog(settings.database_url, clock)
    try:
        return await log.prune(before)
    finally:
        await log.close()
