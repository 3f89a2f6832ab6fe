"""`roost audit …`: proving that the audit log is complete and unchanged, and taking it elsewhere."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, NoReturn, TypeVar

import typer

from roost.access.audit import anchor as anchors
from roost.access.audit.export import Format, encode
from roost.access.audit.filters import AuditFilter, moment
from roost.access.audit.keys import KEY_FILE, audit_key
from roost.access.audit.log import SYSTEM, Deed, record, use_key
from roost.access.audit.repository import stream_entries
from roost.access.audit.verification import Report, verify
from roost.core.database import AWAY, Database, sqlite_path
from roost.core.errors import RoostError
from roost.core.settings import Settings

app = typer.Typer(help="Proving and exporting the audit log.", no_args_is_help=True)

T = TypeVar("T")


@app.command("verify")
def verify_log() -> None:
    """Check every entry of the audit log; exit code 1 when one is missing, changed or put in.

    Also while the hub runs. It needs the hub's key: ROOST_AUDIT_KEY, or the file audit_key of its data folder.
    """
    report = _on_database(_verify)
    for finding in report.findings:
        typer.echo(finding, err=True)
    if not report.intact:
        typer.echo(f"The audit log is not intact; {report.checked} entries were checked.", err=True)
        raise typer.Exit(1)
    typer.echo(f"The audit log is intact: {report.checked} entries.")


@app.command("export")
def export_log(
    format: Annotated[str, typer.Option(help="csv or jsonl.")] = "csv",  # noqa: A002 - the name of the option
    since: Annotated[str | None, typer.Option("--from", help="Start, included (RFC 3339).")] = None,
    until: Annotated[str | None, typer.Option("--to", help="End, not included (RFC 3339).")] = None,
) -> None:
    """Write the audit log to standard output, the oldest entry first. The export is itself an entry."""
    if format not in {"csv", "jsonl"}:
        _fail("There is csv and jsonl; choose one as --format.")
    kind: Format = "csv" if format == "csv" else "jsonl"
    try:
        wanted = AuditFilter(since=moment(since, "from"), until=moment(until, "to"))
    except RoostError as error:
        _fail(str(error))
    _on_database(lambda settings, database: _export(settings, database, kind, wanted))


async def _verify(settings: Settings, database: Database) -> Report:
    if settings.audit_key is None and not (settings.data_dir / KEY_FILE).exists():
        _fail(f"There is no key in {settings.data_dir}; name the hub's data folder, or its key as ROOST_AUDIT_KEY.")
    async with database.read() as session:
        return await verify(session, audit_key(settings), anchors.load(settings.data_dir))


async def _export(settings: Settings, database: Database, kind: Format, wanted: AuditFilter) -> None:
    use_key(database, audit_key(settings))
    details = {"format": kind, "filters": wanted.said()}
    async with database.write() as session:
        record(session, Deed("audit.exported", SYSTEM, object_kind="audit", details=details))
    async for piece in encode(stream_entries(database, [], wanted), kind):
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def _on_database(work: Callable[[Settings, Database], Awaitable[T]]) -> T:
    settings = Settings()
    path = sqlite_path(settings.database_url)
    if path is not None and not path.exists():
        _fail(f"There is no database at {path}; start the hub once, or name its folder as ROOST_DATA_DIR.")

    async def worked() -> T:
        database = Database(settings)
        try:
            return await work(settings, database)
        finally:
            await database.dispose()

    try:
        return asyncio.run(worked())
    except (*AWAY, RoostError) as error:
        _fail(f"The audit log cannot be read: {error}")


def _fail(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(1)
