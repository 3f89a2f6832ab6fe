"""A span of time, as questions have it."""

from typing import NamedTuple

FOREVER_MS = 2**62


class Span(NamedTuple):
    """`since` <= observed_at < `until`, in milliseconds since 1970 UTC."""

    since: int = 0
    until: int = FOREVER_MS
