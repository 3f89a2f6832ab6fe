"""Series that nobody here made come back to the last bit."""

import struct
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec
import pytest
from river import datasets

from roost.telemetry.blocks.codec import decode, encode
from roost.telemetry.blocks.planning import cut
from roost.telemetry.blocks.stretch import Stretch
from roost.telemetry.log import Row
from roost.telemetry.messages import Value
from tests.telemetry.blocks.readings import exactly

START = 1_600_000_000_000
MINUTE_MS = 60_000
ROWS = 5_000


def rows(dataset: Any) -> Iterator[Row]:
    """Every number of a data set, under its name; a minute apart where it has no times."""
    for number, (features, target) in enumerate(islice(dataset, ROWS)):
        at = START + number * MINUTE_MS
        document: dict[str, Value] = {}
        for name, value in {"target": target, **features}.items():
            if isinstance(value, (bool, int, float)):
                document[name] = value
            elif hasattr(value, "timestamp"):
                at = int(value.timestamp() * 1000)
        yield Row(number + 1, 1, at, at, None, msgspec.json.encode(document), None, None)


@pytest.mark.parametrize(
    "name",
    [
        "WaterFlow",
        "SP500Stocks",
        "Shuttle",
        "TrumpApproval",
        "AirlinePassengers",
        "Phishing",
        "ChickWeights",
        "ImageSegments",
        "Bananas",
    ],
)
def test_a_measured_series_comes_back_bit_by_bit(name: str) -> None:
    sent = sorted(rows(getattr(datasets, name)()), key=lambda row: (row.observed_at, row.id))
    assert len(sent) > 100
    blocks = [encode(part) for part in cut(Stretch.of(1, sent))]
    returned = [row for block in blocks for row in decode(1, block).messages()]
    assert [row.observed_at for row in returned] == [row.observed_at for row in sent]
    for row, original in zip(returned, sent, strict=True):
        values, expected = row.readings(), original.readings()
        assert {key: exactly(value) for key, value in values.items()} == {
            key: exactly(value) for key, value in expected.items()
        }
        assert all(struct.pack("d", values[key]) == struct.pack("d", expected[key]) for key in expected)
