"""Carrying out a plan wherever the telemetry is: by hand from the command line, or in a hub's child process."""

import asyncio
from pathlib import Path

import apsw
import msgspec
from sqlalchemy.engine import make_url

from roost.core.clock import SystemClock
from roost.core.settings import Settings
from roost.telemetry.log import LogUnavailable
from roost.telemetry.retention.plan import Plan

# Rewriting the blocks of a device is many statements, each of which may take this long.
TIMEOUT_S = 60


class Order(msgspec.Struct):
    """A plan, and where the telemetry is: a folder, or (when it is in PostgreSQL) the address of the database."""

    plan: Plan
    folder: str
    database_url: str | None = None

    @classmethod
    def of(cls, plan: Plan, settings: Settings) -> "Order":
        url = settings.database_url
        in_postgres = make_url(url).get_backend_name() == "postgresql"
        return cls(plan, str(settings.data_dir / "telemetry"), url if in_postgres else None)


async def carry_out(order: Order) -> int:
    """Deletes what is too old now; the number of messages of which nothing is left. Raises LogUnavailable."""
    clock = SystemClock()
    if order.database_url is None:
        return await asyncio.to_thread(_in_folder, order, clock.now_ms())
    # A driver, numpy: what a small hub need not carry.
    from roost.telemetry.postgres.connections import Connections  # noqa: PLC0415
    from roost.telemetry.retention.tables import apply_to_tables  # noqa: PLC0415

    connections = Connections(order.database_url, clock, timeout_s=TIMEOUT_S)
    try:
        return await apply_to_tables(connections, order.plan, clock.now_ms())
    finally:
        await connections.close()


def _in_folder(order: Order, now_ms: int) -> int:
    from roost.telemetry.retention.folder import apply_to_folder  # noqa: PLC0415 - as above

    try:
        return apply_to_folder(Path(order.folder), order.plan, now_ms)
    except (apsw.Error, OSError) as error:
        raise LogUnavailable(str(error)) from error
