"""Documents as values: what is merged, what differs, what is left to do."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.core.errors import Invalid, TooLarge
from roost.devices.shadow.documents import Document, check, delta, difference, merge, same

KEYS = st.sampled_from(["a", "b", "c", ""])
LEAVES = st.one_of(st.booleans(), st.integers(0, 2), st.sampled_from([0.0, 1.0, 1.5]), st.sampled_from(["", "1"]))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner | st.none(), max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=4)


@pytest.mark.parametrize(
    ("target", "patch", "merged"),
    [
        # The objects among the examples of RFC 7396, appendix A.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merging_as_the_standard_says(target: Document, patch: Document, merged: Document) -> None:
    before = repr(target)
    assert merge(target, patch) == merged
    assert repr(target) == before


@given(DOCUMENTS, DOCUMENTS)
def test_the_difference_leads_from_one_to_the_other(before: Document, after: Document) -> None:
    patch = difference(before, after)
    assert same(merge(before, patch), after)
    assert not difference(after, after)
    assert bool(patch) == (not same(before, after))


@given(DOCUMENTS, DOCUMENTS)
def test_who_does_what_the_delta_says_has_nothing_left_to_do(desired: Document, reported: Document) -> None:
    left = delta(desired, reported)
    assert delta(desired, merge(reported, left)) == {}
    assert delta(desired, desired) == {}
    assert set(left) <= set(desired)


@pytest.mark.parametrize(
    ("desired", "reported", "left"),
    [
        ({"led": True}, {"led": 1}, {"led": True}),
        ({"level": 1}, {"level": 1.0}, {}),
        ({"led": True}, {"led": True, "uptime_s": 5}, {}),
        ({"net": {"ssid": "a", "dhcp": True}}, {"net": {"ssid": "b", "dhcp": True}}, {"net": {"ssid": "a"}}),
        ({"list": [1, 2]}, {"list": [2, 1]}, {"list": [1, 2]}),
        ({"empty": {}}, {}, {"empty": {}}),
    ],
)
def test_what_is_left_to_do(desired: Document, reported: Document, left: Document) -> None:
    assert delta(desired, reported) == left


def _nested(levels: int) -> Any:
    return {"a": _nested(levels - 1)} if levels else 1


def test_what_may_stand_in_a_document() -> None:
    check({"text": "x" * (16 * 1024 - 11)}, "desired")
    check(_nested(16), "desired")
    with pytest.raises(TooLarge, match="16384 bytes"):
        check({"text": "x" * (16 * 1024 - 10)}, "desired")
    for wrong in (_nested(17), {"a": float("nan")}, {"a": [float("inf")]}, {"a": "\ud800"}):
        with pytest.raises(Invalid):
            check(wrong, "desired")
