"""`roost seed`: people, homes and devices to look around with."""

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Annotated, NoReturn

import typer

import roost.migrations.tables  # noqa: F401 - what is made refers to the tables of every room
from roost.access.audit.keys import audit_key
from roost.access.audit.log import use_key
from roost.access.passwords import Passwords, weakness
from roost.cli import demo
from roost.cli.demo import MadeDevice
from roost.cli.run import CannotStart, reach, read_settings
from roost.core.clock import SystemClock
from roost.core.database import AWAY, Database
from roost.core.errors import Conflict, RoostError
from roost.core.settings import Settings
from roost.migrations.runner import migrate_at_start
from roost.places.bootstrap import ensure_administrator

_ALREADY = "The demonstration is here already, nothing was changed; --force makes it anew, with a new password."
_OTHER_DATA = (
    "This hub is in use: it has other accounts or devices. Nothing was changed; --force adds the demonstration, and "
    "touches nothing else."
)


@dataclass(slots=True)
class _Outcome:
    """What was made; without devices nothing was, and `said` is why."""

    devices: list[MadeDevice] = field(default_factory=list)
    said: str = ""
    first_admin_password: str | None = None


def seed(
    force: Annotated[
        bool, typer.Option("--force", help="Clear what an earlier seed made and make it anew; also on a hub in use.")
    ] = False,
    password: Annotated[
        str | None, typer.Option(help="Password of the four people; otherwise one is made up.", show_default=False)
    ] = None,
) -> None:
    """Make a demonstration: four people, two homes with rooms, residents and devices. Also while the hub runs."""
    weak = weakness(password) if password is not None else None
    if weak is not None:
        _fail(weak)
    chosen = password or secrets.token_urlsafe(9)
    try:
        settings = read_settings({})
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        outcome = asyncio.run(reach(lambda: _seed(settings, chosen, force=force)))
    except (*AWAY, CannotStart, RoostError) as error:
        _fail(f"{error}")
    if outcome.first_admin_password is not None:
        typer.echo(
            f"The administrator is {settings.admin_email}, the password {outcome.first_admin_password}\n"
            "It is shown this once; sign in with it and keep it somewhere safe.\n"
        )
    if outcome.said:
        typer.echo(outcome.said)
    else:
        _show(outcome.devices, chosen)


async def _seed(settings: Settings, password: str, *, force: bool) -> _Outcome:
    await migrate_at_start(settings)
    clock, passwords = SystemClock(), Passwords()
    database = Database(settings)
    use_key(database, audit_key(settings))
    try:
        # As a start does, so that the demonstration's administrator is never the only one.
        outcome = _Outcome(first_admin_password=await ensure_administrator(database, settings, passwords, clock))
        password_hash = await passwords.hash(password)
        async with database.write() as session:
            people = await demo.find_people(session)
            if people and not force:
                names = ", ".join(user.email for user in people)
                outcome.said = f"{_ALREADY}\nSign in as {names}."
                return outcome
            if not force and await demo.has_other_data(session):
                raise Conflict(_OTHER_DATA)
            await demo.clear(session, people)
            outcome.devices = await demo.make(session, clock, password_hash)
        return outcome
    finally:
        passwords.close()
        await database.dispose()


def _show(devices: list[MadeDevice], password: str) -> None:
    typer.echo(f"Sign in with the password {password} as")
    for person in demo.PEOPLE:
        typer.echo(f"  {person.email:<26} {person.role}")
    typer.echo("Devices, with their tokens:")
    for device in devices:
        typer.echo(f"  {device.id:>4} {device.uid:<16} {device.token}")
    typer.echo("Passwords and tokens are shown this once.")


def _fail(sentence: str) -> NoReturn:
    typer.echo(f"roost: {sentence}", err=True)
    raise typer.Exit(1)
