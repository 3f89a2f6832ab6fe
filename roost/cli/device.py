"""`roost device …`: looking after devices without the web app."""

import asyncio
from typing import Annotated

import typer

from roost.access.audit.keys import audit_key
from roost.access.audit.log import SYSTEM, use_key
from roost.core.clock import SystemClock
from roost.core.database import AWAY, Database, sqlite_path
from roost.core.errors import RoostError
from roost.core.settings import Settings
from roost.devices.deeds import RELEASED, record_deed
from roost.devices.registry import release
from roost.devices.repository import find_by_uid

app = typer.Typer(help="Looking after devices.", no_args_is_help=True)


@app.callback()
def device() -> None:
    """Looking after devices."""


@app.command()
def reset(uid: Annotated[str, typer.Argument(help="The device's uid.", metavar="UID")]) -> None:
    """End a device's claim: its tokens and pairing codes go, and it can be paired again, by anybody.

    Also while the hub runs: it hears of it within a second. History stays with the organization that gathered it.
    """
    settings = Settings()
    path = sqlite_path(settings.database_url)
    if path is not None and not path.exists():
        typer.echo(
            f"There is no database at {path}; start the hub once, or name its folder as ROOST_DATA_DIR.", err=True
        )
        raise typer.Exit(1)
    try:
        said = asyncio.run(_reset(settings, uid))
    except (*AWAY, RoostError) as error:
        typer.echo(f"The device could not be reset: {error}", err=True)
        raise typer.Exit(1) from None
    if said is None:
        typer.echo(f"There is no device {uid!r}.", err=True)
        raise typer.Exit(1)
    typer.echo(said)


async def _reset(settings: Settings, uid: str) -> str | None:
    database = Database(settings)
    use_key(database, audit_key(settings))
    try:
        async with database.write() as session:
            found = await find_by_uid(session, uid, lock=True)
            if found is None:
                return None
            if found.claimed_at is None:
                return f"The device {uid!r} is not claimed; there is nothing to reset."
            record_deed(session, RELEASED, SYSTEM, found)
            await release(session, found, SystemClock().now())
            return f"The device {uid!r} is released; start a pairing to claim it again."
    finally:
        await database.dispose()
