"""`python -m roost.telemetry.postgres`: the child process of a hub that seals the closed slices in DATABASE_URL."""

import asyncio
import gc
import os
import sys

from roost.telemetry.log import LogUnavailable
from roost.telemetry.postgres.upkeep import seal_database


def main(database_url: str) -> int:
    """The exit status; what went wrong is said on standard error."""
    gc.disable()  # looking for cycles among millions of values takes half of the time
    try:
        done = asyncio.run(seal_database(database_url, lambda line: print(line, file=sys.stderr)))  # noqa: T201
    except LogUnavailable as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 1 if done.failed else 0


if __name__ == "__main__":
    sys.exit(main(os.environ["DATABASE_URL"]))
