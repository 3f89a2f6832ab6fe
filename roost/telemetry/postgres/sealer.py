"""The child process that seals closed slices of PostgreSQL, as `roost.telemetry.blocks` does for files."""

import os
import sys

from roost.telemetry.postgres_log import PostgresLog
from roost.telemetry.sealer import Sealer

COMMAND = (sys.executable, "-m", "roost.telemetry.postgres")


def sealer_of(log: PostgresLog, database_url: str) -> Sealer:
    """Of several hubs on one database each may have one: the children take turns."""
    # The address is no argument: those can be read by everybody on the machine, and there may be a password in it.
    return Sealer(log, command=COMMAND, environment={**os.environ, "DATABASE_URL": database_url})
