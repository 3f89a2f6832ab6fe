"""What can be computed over readings, by name, and what each of it takes. Without numpy: it is needed at start."""

from collections.abc import Iterable

SHARES = {"p05": 0.05, "p50": 0.50, "p95": 0.95, "p99": 0.99}
SUMMARISED = ("avg", "min", "max", "sum", "count", "first", "last")
AGGREGATES = (*SUMMARISED, *SHARES, "stddev")


def from_summaries(names: Iterable[str]) -> bool:
    """Whether a block's summary is enough for all of these, so that what lies within one bucket is not decoded."""
    return all(name in SUMMARISED for name in names)
