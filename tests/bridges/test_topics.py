"""Patterns of topics: what they subscribe to, what fits them and what a device is called then."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from roost.bridges.topics import device_uid_of, fill, names_in, parse_pattern


@pytest.mark.parametrize(
    ("pattern", "topic_filter", "topic", "names"),
    [
        ("zigbee2mqtt/{device}", "zigbee2mqtt/+", "zigbee2mqtt/kitchen", {"device": "kitchen"}),
        ("zigbee2mqtt/{device}", "zigbee2mqtt/+", "zigbee2mqtt/kitchen/set", None),
        ("shellies/shelly-{id}/relay/{n}", "shellies/+/relay/+", "shellies/shelly-a1/relay/0", {"id": "a1", "n": "0"}),
        ("shellies/shelly-{id}/relay/{n}", "shellies/+/relay/+", "shellies/plug-a1/relay/0", None),
        ("a/+/{device}/#", "a/+/+/#", "a/b/c", {"device": "c"}),
        ("a/+/{device}/#", "a/+/+/#", "a/b/c/d/e", {"device": "c"}),
        ("{site}.{device}/up", "+/up", "north.pump/up", {"site": "north", "device": "pump"}),
        ("#", "#", "anything/at/all", {}),
        ("#", "#", "$SYS/broker", None),
    ],
)
def test_a_pattern_says_what_it_hears(
    pattern: str, topic_filter: str, topic: str, names: dict[str, str] | None
) -> None:
    parsed = parse_pattern(pattern)
    assert parsed.filter == topic_filter
    assert parsed.match(topic) == names


LEVELS = st.lists(st.sampled_from(["a", "b", "", "c.d"]), min_size=1, max_size=5).map("/".join)
FILTERS = st.lists(st.sampled_from(["a", "b", "+", "c.d", "{x}"]), min_size=1, max_size=4).map("/".join)


@given(LEVELS, FILTERS.filter(lambda text: text.count("{x}") < 2), st.booleans())
def test_what_fits_a_pattern_is_what_the_broker_sends_for_its_filter(topic: str, text: str, rest: bool) -> None:
    pattern = parse_pattern(f"{text}/#" if rest else text)
    found = pattern.match(topic)
    if found is None:
        # A name has to stand for something, where + may stand for nothing.
        assert not topic_matches_sub(pattern.filter, topic) or "" in topic.split("/")
    else:
        assert topic_matches_sub(pattern.filter, topic)


@pytest.mark.parametrize(
    "text", ["", "a/#/b", "a/b#", "a/b+", "{Device}", "{a", "a}", "{a}/{a}", "{a}{b}", "$share/g/a"]
)
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_pattern(text)


def test_a_uid_has_only_what_uids_have() -> None:
    assert device_uid_of("z2m-{device}", {"device": "küche oben/1"}) == "z2m-k-che-oben-1"
    assert device_uid_of("{device}", {"device": "12"}) is None
    assert device_uid_of("{device}", {"device": "12345"}) is None
    assert device_uid_of("{device}", {"device": "x" * 65}) is None
    assert fill("{a}.{b}", {"a": "1", "b": "2"}) == "1.2"
    assert names_in("{a}.{b}") == {"a", "b"}
