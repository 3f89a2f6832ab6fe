"""What can be asked about history."""

from typing import NamedTuple

from roost.telemetry.buckets import Buckets


class BucketQuestion(NamedTuple):
    """`aggregates` (of `AGGREGATES`) in each of `buckets`, gaps filled by one of `FILLS`."""

    buckets: Buckets
    aggregates: tuple[str, ...]
    fill: str = "none"
