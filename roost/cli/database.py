"""`roost db`: migrations by hand, with the same settings and the same lock as at start."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from roost.cli.run import CannotStart, reach, read_settings
from roost.core.settings import Settings
from roost.migrations import runner

app = typer.Typer(help="Migrating the database.", no_args_is_help=True)

T = TypeVar("T")


@app.command()
def upgrade(revision: Annotated[str, typer.Argument(help="Up to this revision.")] = "head") -> None:
    """Migrate up."""
    _on_database(lambda settings: runner.upgrade(settings, revision))
    status()


@app.command()
def downgrade(revision: Annotated[str, typer.Argument(help="Down to this revision; -1 for one step.")]) -> None:
    """Migrate down."""
    _on_database(lambda settings: runner.downgrade(settings, revision))
    status()


@app.command()
def status() -> None:
    """Show where the database stands."""
    found = _on_database(runner.read_status)
    state = "up to date" if found.is_current else f"to be migrated to {found.newest}"
    typer.echo(f"The database is at {found.current or 'no revision'}, {state}.")


@app.command()
def revision(message: Annotated[str, typer.Option("--message", "-m", help="What changed.")]) -> None:
    """Write a migration from what changed in the models (in a checkout)."""
    _on_database(lambda settings: runner.write_revision(settings, message))


def _on_database(work: Callable[[Settings], Awaitable[T]]) -> T:
    async def reached() -> T:
        settings = read_settings({})
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        return await reach(lambda: work(settings))

    try:
        return asyncio.run(reached())
    except CannotStart as reason:
        typer.echo(f"roost: {reason}", err=True)
        raise typer.Exit(2) from None
