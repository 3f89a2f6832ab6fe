"""`roost archive …`: months as Parquet files, written by hand, and proved to be whole."""

import asyncio
from typing import Annotated, NoReturn

import typer

from roost.cli.doors import DoorClosed, opened_data
from roost.core.blobs import Blobs, BlobsUnavailable, blobs_for
from roost.core.database import AWAY
from roost.core.errors import RoostError
from roost.core.settings import Settings
from roost.telemetry.log import LogUnavailable
from roost.telemetry.transfer.archive import Archive
from roost.telemetry.transfer.archive_reads import damage_of
from roost.telemetry.transfer.forgetting import forget_device
from roost.telemetry.transfer.manifests import all_manifests
from roost.telemetry.transfer.months import Month
from roost.telemetry.transfer.turns import AnotherWrites

app = typer.Typer(help="Telemetry as Parquet files for others to read.", no_args_is_help=True)


@app.command()
def run(
    first: Annotated[str | None, typer.Option("--from", help="From this month on, like 2024-01.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Compare the months that are there, too.")] = False,
) -> None:
    """Write the months that have ended, as a hub with ROOST_ARCHIVE does by itself; on SQLite while no hub is running.

    What the archive has and the hub has no longer stays in it.
    """
    try:
        month = None if first is None else Month.parse(first)
        with opened_data() as (runner, data):
            settings = data.settings
            archive = Archive(
                data.log, data.store, data.database, blobs_for(settings), data.clock, settings=settings
            )  # fmt: skip
            done = runner.run(archive.write_due(first=month, again=again))
    except (
        *AWAY,
        DoorClosed,
        AnotherWrites,
        LogUnavailable,
        BlobsUnavailable,
        RoostError,
        ValueError,
    ) as error:
        _fail(f"The archive could not be written: {error}")
    typer.echo(f"{done.written:,} months of organizations written, {done.same:,} as they were.")


@app.command()
def verify() -> None:
    """Read every file of the archive and compare it with its checksum; exit code 1 when one is not as it was written.

    Also while the hub runs.
    """
    try:
        files, damages = asyncio.run(_verify(blobs_for(Settings())))
    except (BlobsUnavailable, OSError) as error:
        _fail(f"The archive cannot be read: {error}")
    for damage in damages:
        typer.echo(damage, err=True)
    if damages:
        raise typer.Exit(1)
    typer.echo(f"{files:,} files, all as they were written.")


@app.command()
def forget(device: Annotated[int, typer.Option(min=1, help="The id of the device.")]) -> None:
    """Take a device out of the archive, for good: deleting it in the hub leaves the archive as it is.

    Also while the hub runs. Delete the device in the hub first, or the next comparison brings it back.
    """
    settings = Settings()
    try:
        rows = asyncio.run(forget_device(blobs_for(settings), device, settings.data_dir / "archive"))
    except (BlobsUnavailable, OSError) as error:
        _fail(f"The archive could not be changed: {error}")
    typer.echo(f"{rows:,} rows of device {device} are gone.")


async def _verify(blobs: Blobs) -> tuple[int, list[str]]:
    files, damages = 0, list[str]()
    for manifest in await all_manifests(blobs):
        files += sum(part is not None for part in (manifest.readings, manifest.events))
        damages += await damage_of(blobs, manifest)
    return files, damages


def _fail(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(1)
