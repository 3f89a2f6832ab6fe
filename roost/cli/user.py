"""`roost user …`: helping people who cannot sign in any more, without being able to sign in oneself."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, NoReturn

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.accounts import find_user_by_identifier
from roost.access.audit.keys import audit_key
from roost.access.audit.log import SYSTEM, Deed, record, use_key
from roost.access.credentials.app_codes import AppCodes
from roost.access.credentials.keys import signing_secret
from roost.access.credentials.password_resets import LIFETIME, PAGE, PasswordResets
from roost.access.models import User
from roost.access.passwords import Passwords
from roost.core.clock import SystemClock
from roost.core.database import AWAY, Database, sqlite_path
from roost.core.errors import RoostError
from roost.core.settings import Settings

app = typer.Typer(help="Helping people to sign in again.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The user's e-mail address or username.", metavar="EMAIL")]
Work = Callable[[Settings, Database, AsyncSession, User], Awaitable[str]]


@app.callback()
def user() -> None:
    """Helping people to sign in again."""


@app.command()
def reset_password(email: Name) -> None:
    """Print a link with which the user chooses a new password: good once, for 30 minutes. It ends all sessions.

    Also while the hub runs. It needs the hub's settings: ROOST_SECRET_KEY, or the file secret_key of its data folder.
    """
    typer.echo(_on_user(email, _make_link))


@app.command()
def remove_second_factor(email: Name) -> None:
    """Let somebody who lost the phone and the recovery codes sign in with the password alone."""
    typer.echo(_on_user(email, _remove_second_factor))


async def _make_link(settings: Settings, database: Database, session: AsyncSession, found: User) -> str:
    if not found.is_active:
        return f"The account {found.email} is deactivated; activate it first."
    passwords = Passwords()
    resets = PasswordResets(database, passwords, signing_secret(settings), SystemClock())
    link = await resets.issue(session, found, mailed=False)
    passwords.close()
    _record(session, "user.password_reset_offered", found)
    minutes = LIFETIME.seconds // 60
    return f"Within {minutes} minutes, once:\n{_base(settings)}/app/{PAGE}#{link.token}"


async def _remove_second_factor(settings: Settings, _database: Database, session: AsyncSession, found: User) -> str:
    if not await AppCodes(signing_secret(settings), SystemClock()).remove(session, found.id):
        return f"{found.email} has no second factor."
    _record(session, "user.second_factor_removed", found)
    return f"{found.email} signs in with the password alone again."


def _on_user(name: str, work: Work) -> str:
    settings = Settings()
    path = sqlite_path(settings.database_url)
    if path is not None and not path.exists():
        _fail(f"There is no database at {path}; start the hub once, or name its folder as ROOST_DATA_DIR.")
    try:
        said = asyncio.run(_worked(settings, name, work))
    except (*AWAY, RoostError) as error:
        _fail(f"The hub's data cannot be changed: {error}")
    if said is None:
        _fail(f"There is no user {name!r}.")
    return said


async def _worked(settings: Settings, name: str, work: Work) -> str | None:
    database = Database(settings)
    use_key(database, audit_key(settings))
    try:
        async with database.write() as session:
            found = await find_user_by_identifier(session, name)
            return None if found is None else await work(settings, database, session, found)
    finally:
        await database.dispose()


def _record(session: AsyncSession, action: str, found: User) -> None:
    record(session, Deed(action, SYSTEM, object_kind="user", object_id=found.id, object_name=found.email))


def _base(settings: Settings) -> str:
    if settings.public_url is not None:
        return settings.public_url
    host = "localhost" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104 - compared, not bound
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.tls else 'http'}://{shown}:{settings.port}"


def _fail(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(1)
