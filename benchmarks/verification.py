"""Whether every acknowledged message is there, once: read from the files, and for a sample through the API."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing

import httpx2

from benchmarks.server import Credential, Owner
from tests.roost_server import RoostServer

_SAMPLE = 20
_FIRST_SEQUENCE = 1_000_001


def count_stored(server: RoostServer) -> dict[int, int]:
    """Messages of each device in the telemetry files; AssertionError when a sequence has a hole or a double."""
    counts: dict[int, int] = {}
    sums: dict[int, int] = {}
    for path in sorted((server.data_dir / "telemetry").glob("head_*.db")):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            rows = connection.execute(
                "SELECT device_id, count(*), sum(json_extract(CAST(payload AS TEXT), '$.sequence')) FROM head"
                " WHERE json_extract(CAST(payload AS TEXT), '$.sequence') >= ? GROUP BY device_id",
                (_FIRST_SEQUENCE,),
            )
            for device_id, count, total in rows:
                counts[device_id] = counts.get(device_id, 0) + count
                sums[device_id] = sums.get(device_id, 0) + total
    for device_id, count in counts.items():
        # The generator counts up from the first sequence, so the sum tells a hole or a double.
        expected = count * _FIRST_SEQUENCE + count * (count - 1) // 2
        assert sums[device_id] == expected, f"Device {device_id}: {count} messages, but not each sequence once."
    return counts


def check_sample(server: RoostServer, owner: Owner, credentials: Sequence[Credential], stored: dict[int, int]) -> int:
    """Ask the API for the count of some devices; AssertionError when it differs. Returns how many were asked for."""
    sample = credentials[:: max(1, len(credentials) // _SAMPLE)]
    headers = {"Authorization": f"Bearer {owner.access_token}"}
    with httpx2.Client(base_url=f"{server.url}/api/v1", headers=headers, timeout=60, trust_env=False) as client:
        for each in sample:
            answer = client.get(f"/devices/{each.device_id}/readings/stats", params={"sensor_type": "sequence"})
            counted = answer.raise_for_status().json()[0]["count"]
            expected = stored[each.device_id]
            assert counted == expected, f"The API knows {counted} of {expected} messages of device {each.device_id}."
    return len(sample)
