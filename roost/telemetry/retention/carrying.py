"""Carrying out a plan wherever the telemetry is: by hand from the command line, or in a hub's child process."""

import asyncio
from pathlib import Path

import apsw
import msgspec
from sqlalchemy.engine import make_url

from roost.core.clock import Clock, SystemClock
from roost.core.database import Database
from roost.core.settings import Settings
from roost.telemetry.log import LogUnavailable
from roost.telemetry.retention.horizons import TOLD_S, tell_horizons
from roost.telemetry.retention.plan import Plan, make_plan
from roost.telemetry.retention.rules import Guard
from roost.telemetry.transfer.archive import newest_due
from roost.telemetry.transfer.turns import archived_through

# Rewriting the blocks of a device is many statements, each of which may take this long.
TIMEOUT_S = 60


class Order(msgspec.Struct):
    """A plan for a moment, and where the telemetry is: a folder, or (in PostgreSQL) the address of the database."""

    plan: Plan
    now_ms: int
    folder: str
    database_url: str | None = None
    guard: Guard | None = None


async def make_order(database: Database, settings: Settings, clock: Clock) -> Order | None:
    """What is to be deleted now, and told to those who ask (see `horizons`); None without policies.

    Returns when nobody is at work any more who had asked before.
    """
    plan = await make_plan(database)
    if plan.is_empty:
        return None
    now_ms = clock.now_ms()
    await tell_horizons(database, plan, now_ms)
    if plan.folds or settings.archive:
        await asyncio.sleep(TOLD_S)
    guard = None
    if settings.archive:
        through_id, complete_ms = await archived_through(database)
        guard = Guard(through_id, complete_ms, newest_due(clock, settings).end_ms)
    url = settings.database_url
    in_postgres = make_url(url).get_backend_name() == "postgresql"
    return Order(plan, now_ms, str(settings.data_dir / "telemetry"), url if in_postgres else None, guard)


async def carry_out(order: Order) -> int:
    """Deletes what is too old; the number of messages of which nothing is left. Raises LogUnavailable."""
    if order.database_url is None:
        return await asyncio.to_thread(_in_folder, order)
    # A driver, numpy: what a small hub need not carry.
    from roost.telemetry.postgres.connections import Connections  # noqa: PLC0415
    from roost.telemetry.retention.tables import apply_to_tables  # noqa: PLC0415

    connections = Connections(order.database_url, SystemClock(), timeout_s=TIMEOUT_S)
    try:
        return await apply_to_tables(connections, order.plan, order.now_ms, order.guard)
    finally:
        await connections.close()


def _in_folder(order: Order) -> int:
    from roost.telemetry.retention.folder import apply_to_folder  # noqa: PLC0415 - as above

    try:
        return apply_to_folder(Path(order.folder), order.plan, order.now_ms, order.guard)
    except (apsw.Error, OSError) as error:
        raise LogUnavailable(str(error)) from error
