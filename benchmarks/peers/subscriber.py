"""The middle of the home-made stack: what people write in an afternoon, written well.

Takes every message from the broker and copies them to a table, a row for each reading, as many at once as came in
while the rows before them were written.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime

import aiomqtt
import asyncpg  # type: ignore[import-untyped]

COLUMNS = ("device_id", "key", "ts", "value")
_ROWS_AT_ONCE = 10_000

Row = tuple[int, str, datetime, float]


async def main(mqtt_port: int, database_url: str) -> None:
    """Until it is ended."""
    waiting: list[Row] = []
    came = asyncio.Event()
    connection = await asyncpg.connect(database_url)
    writing = asyncio.create_task(_write(connection, waiting, came))
    async with aiomqtt.Client(
        "127.0.0.1", mqtt_port, identifier="subscriber", clean_session=False, max_queued_incoming_messages=0
    ) as client:
        await client.subscribe("devices/+/telemetry", qos=1)
        print("subscribed", flush=True)
        async for message in client.messages:
            if writing.done():
                writing.result()
            waiting += _rows(str(message.topic), message.payload)
            came.set()


def _rows(topic: str, payload: object) -> list[Row]:
    assert isinstance(payload, bytes)
    device_id = int(topic.split("/")[1])
    document = json.loads(payload)
    moment = datetime.fromtimestamp(document["ts"] / 1000, UTC)
    return [(device_id, key, moment, value) for key, value in document["payload"].items()]


async def _write(connection: "asyncpg.Connection[asyncpg.Record]", waiting: list[Row], came: asyncio.Event) -> None:
    while True:
        await came.wait()
        rows = waiting[:_ROWS_AT_ONCE]
        del waiting[:_ROWS_AT_ONCE]
        if not waiting:
            came.clear()
        await connection.copy_records_to_table("reading", records=rows, columns=COLUMNS)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
