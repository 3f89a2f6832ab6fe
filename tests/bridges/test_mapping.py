"""Messages as makers send them, and the telemetry in them."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.bridges.mapping import Source, Unmappable, map_message
from roost.bridges.topics import TopicPattern
from roost.telemetry.decode import decode
from roost.telemetry.messages import Message
from roost.telemetry.refusals import Refusal

NOW = 1_790_000_000_000


def taken(payload: str, topic: str = "t/boiler/state", **source: Any) -> Message:
    """The message that the hub would store."""
    pattern = TopicPattern(source.pop("topic", "t/{device}/{key}"))
    mapped = map_message((Source(pattern, **source),), topic, payload.encode())
    assert mapped.device_uid == "boiler"
    return decode("telemetry", mapped.body, NOW)[0]


@pytest.mark.parametrize(
    ("payload", "value"),
    [("21.5", 21.5), ("-3", -3), (" 7 ", 7), ('"8.5"', 8.5), ("ON", True), ("off", False), ("true", True)],
)
def test_a_bare_value(payload: str, value: float | bool) -> None:
    assert taken(payload, key="{key}").readings == {"state": value}
    assert type(taken(payload, key="{key}").readings["state"]) is type(value)


def test_a_document_becomes_series_with_or_without_a_name_before_them() -> None:
    document = '{"temperature": 20.5, "on": true, "nested": {"x": 1}, "text": "hello"}'
    assert taken(document).readings == {"temperature": 20.5, "on": True, "nested.x": 1}
    assert taken('{"temperature": 20.5}', key="room").readings == {"room.temperature": 20.5}


@pytest.mark.parametrize(
    ("time", "observed_at"),
    [
        ('"2026-09-21T13:46:40Z"', 1_789_998_400_000),
        ('"2026-09-21T13:46:40"', 1_789_998_400_000),
        ('"2026-09-21T15:46:40+02:00"', 1_789_998_400_000),
        ("1789998400", 1_789_998_400_000),
        ("1789998400.25", 1_789_998_400_250),
        ("1789998400000", 1_789_998_400_000),
    ],
)
def test_the_device_s_own_time(time: str, observed_at: int) -> None:
    message = taken(f'{{"when": {time}, "n": 1}}', time_field="when")
    assert (message.observed_at, message.readings) == (observed_at, {"n": 1})


def test_an_envelope_of_roost_s_own_goes_on_as_it_is() -> None:
    message = taken('{"payload": {"n": 1}, "ts": 1789998400000, "message_id": "a", "event_type": "boot"}')
    assert (message.event_type, message.message_id, message.observed_at) == ("boot", "a", 1_789_998_400_000)
    assert taken('{"n": 1, "text": "kept"}', event_type="heard").payload == b'{"n":1,"text":"kept"}'


@pytest.mark.parametrize(
    "payload", ["", "hello", "[1]", "null", "1e999", "NaN", "{" * 5_000, '{"a":' * 5_000 + "1" + "}" * 5_000]
)
def test_what_is_no_value_is_refused_with_a_reason(payload: str) -> None:
    with pytest.raises((Unmappable, Refusal)) as refused:
        taken(payload, key="{key}")
    assert str(refused.value).endswith((".", "-"))


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=200) | DOCUMENTS.map(lambda document: json.dumps(document).encode()),
    st.sampled_from([None, "{key}"]),
    st.sampled_from([None, "time", ""]),
)
def test_whatever_comes_is_taken_or_refused(payload: bytes, key: str | None, time_field: str | None) -> None:
    source = Source(TopicPattern("t/{device}/{key}"), key=key, time_field=time_field)
    with contextlib.suppress(Unmappable, Refusal):
        decode("telemetry", map_message((source,), "t/boiler/state", payload).body, NOW)


def test_the_first_source_that_fits_decides() -> None:
    sources = (Source(TopicPattern("t/{device}/a"), key="first"), Source(TopicPattern("t/{device}/+"), key="second"))
    assert map_message(sources, "t/boiler/a", b"1").body == b'{"payload":{"first":1}}'
    assert map_message(sources, "t/boiler/b", b"1").body == b'{"payload":{"second":1}}'
    with pytest.raises(Unmappable, match="pattern"):
        map_message(sources, "u/boiler/b", b"1")
