"""PostgreSQL through a pooler in transaction mode, such as pgbouncer: every transaction may be on another server."""

from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

# Statements without a name live as long as their transaction, and SQLAlchemy is always in one.
CONNECT_ARGS: dict[str, Any] = {
    "statement_cache_size": 0,
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": lambda: "",
}

_FIRST = "roost_first_transaction"


def begin_with_a_transaction(engine: AsyncEngine) -> None:
    """What the dialect asks of a new connection, which is the one thing outside of any transaction, is put into one."""

    @event.listens_for(engine.sync_engine, "connect", insert=True)
    def begin(connection: Any, record: Any) -> None:
        record.info[_FIRST] = connection.driver_connection.transaction()
        connection.run_async(lambda _: record.info[_FIRST].start())

    @event.listens_for(engine.sync_engine, "connect")
    def end(connection: Any, record: Any) -> None:
        connection.run_async(lambda _: record.info.pop(_FIRST).commit())
