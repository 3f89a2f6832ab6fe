"""Rows that no endpoint makes by itself, put into the database beside the running hub."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from roost.core.database import Base, Database
from roost.core.settings import Settings
from tests.roost_server import RoostServer

T = TypeVar("T")


def stored(server: RoostServer, row: Base) -> int:
    """Insert the row and return its id."""

    async def insert(session: AsyncSession) -> int:
        session.add(row)
        await session.flush()
        made: int = row.id  # type: ignore[attr-defined]
        return made

    return on_database(server, insert)


def on_database(server: RoostServer, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
    """Do this in one transaction."""

    async def run() -> T:
        database = Database(Settings(data_dir=server.data_dir, database_url=server.database_url, _env_file=None))
        try:
            async with database.write() as session:
                return await work(session)
        finally:
            await database.dispose()

    return asyncio.run(run())
