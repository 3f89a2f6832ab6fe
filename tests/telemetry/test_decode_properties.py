"""Whatever bytes a device sends become messages or a refusal; and the fast way says what the general one says."""

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from roost.telemetry import decode as decoding
from roost.telemetry.decode import AHEAD_MS, EARLIEST_MS, INT64_MAX, INT64_MIN, KEY_LENGTH, decode, flatten
from roost.telemetry.messages import Message, Value
from roost.telemetry.refusals import Refusal

NOW = 1_800_000_000_000
KINDS = ("telemetry", "readings", "events")
STATUSES = {400, 413, 422}
# The same examples every time, however busy the machine is.
_SETTINGS = settings(deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])

_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80)
_documents = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=70), inner, max_size=4)
)
_times = st.integers(EARLIEST_MS - 10, NOW + AHEAD_MS + 10) | st.datetimes().map(str) | _scalars
_envelopes = st.fixed_dictionaries(
    {"payload": st.dictionaries(st.text(max_size=70), _documents, max_size=4) | _documents},
    optional={"event_type": _scalars, "ts": _times, "message_id": _scalars, "extra": _scalars},
)
_readings = st.fixed_dictionaries(
    {"sensor_type": st.text(max_size=70) | _scalars, "value": _scalars},
    optional={"unit": _scalars, "timestamp": _times, "extra": _scalars},
)
_sent = (
    _documents
    | _envelopes
    | st.lists(_envelopes, max_size=4)
    | _readings
    | st.lists(_readings, max_size=6)
    | st.fixed_dictionaries({"readings": st.lists(_readings, max_size=6)}, optional={"message_id": _scalars})
)
_words = st.sampled_from(
    [b"{", b"}", b"[", b"]", b":", b",", b'"a"', b'"payload"', b"1", b"-", b"1e999", b"NaN", b"true"]
)
_soups = st.lists(_words | st.binary(max_size=3), max_size=40).map(b"".join)


def _outcome(kind: str, body: bytes) -> list[Message] | Refusal:
    try:
        return decode(kind, body, NOW)
    except Refusal as refusal:
        return refusal


def _assert_sound(kind: str, outcome: list[Message] | Refusal) -> None:
    if isinstance(outcome, Refusal):
        assert outcome.status in STATUSES
        assert outcome.permanent
        assert outcome.detail.endswith((".", "?"))
        outcome.detail.encode()
        return
    assert outcome
    for message in outcome:
        assert EARLIEST_MS <= message.observed_at <= NOW + AHEAD_MS
        assert message.received_at == NOW
        assert message.event_type is not None or message.readings
        assert all(_is_value(value) for value in message.readings.values())
        assert all(0 < len(key) <= KEY_LENGTH for key in message.readings)
        assert kind != "events" or message.event_type is not None
        kept = msgspec.json.decode(message.payload)
        assert (kept if message.event_type is None else flatten(kept)) == message.readings


def _is_value(value: Value) -> bool:
    if type(value) is int:
        return INT64_MIN <= value <= INT64_MAX
    return type(value) is bool or (type(value) is float and math.isfinite(value))


@given(st.sampled_from(KINDS), st.binary(max_size=200) | _soups)
@_SETTINGS
def test_any_bytes(kind: str, body: bytes) -> None:
    _assert_sound(kind, _outcome(kind, body))


@given(st.sampled_from(KINDS), _sent, st.booleans())
@_SETTINGS
def test_any_json(kind: str, sent: Any, ascii_only: bool) -> None:
    """Also what Python calls JSON and is none: NaN, infinity, half characters."""
    body = json.dumps(sent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    _assert_sound(kind, _outcome(kind, body))


@given(_sent)
@_SETTINGS
def test_a_batch_of_one_is_that_one(sent: Any) -> None:
    body = json.dumps(sent).encode()
    assume(not isinstance(sent, list))
    single, batch = _outcome("telemetry", body), _outcome("telemetry", b"[" + body + b"]")
    if isinstance(single, Refusal):
        assert isinstance(batch, Refusal)
    else:
        assert single == batch


@given(
    st.dictionaries(
        st.sampled_from(["a", "b.c", "temp_c", "x" * KEY_LENGTH]),
        st.booleans()
        | st.integers()
        | st.floats()
        | st.sampled_from([2**63, -(2**63), 1e308, -0.0])
        | st.text(max_size=2),
        max_size=4,
    ),
    st.none() | st.sampled_from(["ts", "time"]) | st.integers() | st.integers(EARLIEST_MS - 2, NOW + AHEAD_MS + 2),
    st.none() | st.text(max_size=130) | st.integers(),
)
@_SETTINGS
def test_the_fast_way_says_what_the_general_way_says(payload: dict[str, Any], ts: Any, message_id: Any) -> None:
    decode("telemetry", b'{"a":1,"b.c":1,"temp_c":1,"%s":1}' % (b"x" * KEY_LENGTH), NOW)  # now these keys are known
    sent = {"payload": payload} | ({"ts": ts} if ts else {}) | ({"message_id": message_id} if message_id else {})
    body = json.dumps(sent).encode()
    fast: Message | Refusal | None
    try:
        fast = decoding._plain_message(body, NOW)
    except Refusal as refusal:
        fast = refusal
    if fast is None:
        return
    general = _general(body)
    if isinstance(fast, Refusal):
        assert isinstance(general, Refusal)
        assert (fast.status, fast.code) == (general.status, general.code)
    else:
        assert isinstance(general, Message)
        assert fast == general
        assert {key: type(value) for key, value in fast.readings.items()} == {
            key: type(value) for key, value in general.readings.items()
        }


def _general(body: bytes) -> Message | Refusal:
    try:
        return decoding.message_from(decoding._parse(body), NOW)
    except Refusal as refusal:
        return refusal


_leaves = st.booleans() | st.integers(INT64_MIN, INT64_MAX) | st.floats(allow_nan=False, allow_infinity=False)
_names = st.text("abc_", min_size=1, max_size=3)
_trees = st.dictionaries(
    _names,
    st.recursive(_leaves | st.text(max_size=3) | st.none(), lambda inner: st.dictionaries(_names, inner, max_size=3)),
)


@given(_trees)
@_SETTINGS
def test_flattening_keeps_every_leaf_and_nothing_else(tree: dict[str, Any]) -> None:
    """Names here have no dots, so that the way to a leaf can be walked back."""
    flat = flatten(tree)
    for key, value in flat.items():
        node: Any = tree
        for name in key.split("."):
            node = node[name]
        assert node is value
    assert len(flat) == _count(tree)
    assert flatten(dict(flat)) == flat


def _count(node: Any) -> int:
    if isinstance(node, dict):
        return sum(_count(inner) for inner in node.values())
    return isinstance(node, int | float)


@given(st.lists(_names, min_size=2, max_size=4), _leaves, _leaves, st.booleans())
@_SETTINGS
def test_a_dotted_key_beside_a_nested_one_is_refused(
    names: list[str], one: Value, two: Value, dotted_first: bool
) -> None:
    nested: Any = one
    for name in reversed(names[1:]):
        nested = {name: nested}
    pairs = [(names[0], nested), (".".join(names), two)]
    with pytest.raises(Refusal, match="twice"):
        flatten(dict(pairs[::-1] if dotted_first else pairs))
