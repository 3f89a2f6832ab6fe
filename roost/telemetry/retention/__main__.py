"""`python -m roost.telemetry.retention`: the child process of a hub that deletes what is too old.

The order comes on standard input: in arguments everybody on the machine could read the password of a database. The
number of messages that went is the answer.
"""

import asyncio
import sys

import msgspec

from roost.telemetry.log import LogUnavailable
from roost.telemetry.retention.carrying import Order, carry_out


def main(order: bytes) -> int:
    """The exit status; what went wrong is said on standard error."""
    try:
        print(asyncio.run(carry_out(msgspec.json.decode(order, type=Order))))  # noqa: T201
    except LogUnavailable as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.stdin.buffer.read()))
