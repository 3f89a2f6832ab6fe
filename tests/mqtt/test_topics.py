"""Who may publish and read where."""

import pytest

from roost.mqtt.reasons import Reason, TopicError
from roost.mqtt.topics import (
    LIVE,
    LiveFilter,
    check_device_filter,
    check_filter,
    device_topic,
    parse_live_filter,
    published_kind,
)


@pytest.mark.parametrize("name", ["7", "me", "greenhouse-1"])
@pytest.mark.parametrize("leaf", ["telemetry", "readings", "events", "status", "logs"])
def test_a_device_publishes_under_its_own_names(name: str, leaf: str) -> None:
    assert published_kind(device_topic(name, leaf), 7, "greenhouse-1") == leaf


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("devices/8/telemetry", Reason.NOT_AUTHORIZED),
        ("devices/cellar-1/events", Reason.NOT_AUTHORIZED),
        ("devices/07/telemetry", Reason.NOT_AUTHORIZED),
        ("devices//telemetry", Reason.NOT_AUTHORIZED),
        ("devices/7/tasks", Reason.TOPIC_NAME_INVALID),
        ("devices/7/telemetry/more", Reason.TOPIC_NAME_INVALID),
        ("devices/7", Reason.TOPIC_NAME_INVALID),
        ("devices/7/", Reason.TOPIC_NAME_INVALID),
        ("/devices/7/telemetry", Reason.TOPIC_NAME_INVALID),
        ("home/7/telemetry", Reason.TOPIC_NAME_INVALID),
        ("$SYS/broker", Reason.TOPIC_NAME_INVALID),
    ],
)
def test_other_topics_are_refused(topic: str, reason: Reason) -> None:
    with pytest.raises(TopicError) as refused:
        published_kind(topic, 7, "greenhouse-1")
    assert refused.value.reason == reason
    assert refused.value.detail.endswith(".")


@pytest.mark.parametrize("text", ["", "a#", "#/a", "a+/b", "a/b#", "devices/+x/telemetry"])
def test_malformed_filters(text: str) -> None:
    with pytest.raises(TopicError) as refused:
        check_filter(text)
    assert refused.value.reason == Reason.TOPIC_FILTER_INVALID


def test_shared_subscriptions_are_not_offered() -> None:
    with pytest.raises(TopicError) as refused:
        check_filter("$share/group/devices/+/telemetry")
    assert refused.value.reason == Reason.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED


@pytest.mark.parametrize("text", ["devices/7/tasks", "devices/me/shadow/delta", "devices/greenhouse-1/tasks"])
def test_a_device_reads_its_own_work(text: str) -> None:
    check_device_filter(text, 7, "greenhouse-1")


@pytest.mark.parametrize("text", ["devices/8/tasks", "devices/7/telemetry", "devices/+/tasks", "devices/7/#", "#"])
def test_a_device_reads_nothing_else(text: str) -> None:
    with pytest.raises(TopicError) as refused:
        check_device_filter(text, 7, "greenhouse-1")
    assert refused.value.reason == Reason.NOT_AUTHORIZED


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("devices/7/telemetry", LiveFilter("7", ("telemetry",))),
        ("devices/greenhouse-1/status", LiveFilter("greenhouse-1", ("status",))),
        ("devices/+/readings", LiveFilter(None, ("readings",))),
        ("devices/7/+", LiveFilter("7", LIVE)),
        ("devices/7/#", LiveFilter("7", LIVE)),
        ("devices/#", LiveFilter(None, LIVE)),
        ("#", LiveFilter(None, LIVE)),
    ],
)
def test_a_user_reads_live_topics(text: str, wanted: LiveFilter) -> None:
    assert parse_live_filter(text) == wanted


@pytest.mark.parametrize("text", ["devices/7/tasks", "devices/7", "devices//telemetry", "$SYS/#", "other/7/telemetry"])
def test_a_user_reads_nothing_else(text: str) -> None:
    with pytest.raises(TopicError) as refused:
        parse_live_filter(text)
    assert refused.value.reason == Reason.NOT_AUTHORIZED
