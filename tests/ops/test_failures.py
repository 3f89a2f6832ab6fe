"""What went wrong lately: counted by kind, bounded, without secrets."""

import logging
from collections.abc import Iterator

import pytest

from roost.ops.failures import MOST_KINDS, Failures
from tests.stopped_clock import StoppedClock

log = logging.getLogger("roost.telemetry.somewhere")


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def failures(clock: StoppedClock) -> Iterator[Failures]:
    """Listening to the log of this process."""
    listening = Failures(clock)
    listening.start()
    yield listening
    listening.stop()


def test_the_same_problem_is_one_line_with_a_count(failures: Failures, clock: StoppedClock) -> None:
    for device_id in (1, 2):
        log.warning("The log did not take a message of device %s", device_id)
        clock.advance(60)
    logging.getLogger("roost.mqtt.server").error("Something else")
    newest, older = failures.recent()
    assert (newest.room, newest.level, newest.message) == ("mqtt", "error", "Something else")
    assert (older.room, older.count) == ("telemetry", 2)
    assert older.message.endswith("of device 2")
    assert (older.last_at - older.first_at).total_seconds() == 60
    assert failures.totals == {("telemetry", "warning"): 2, ("mqtt", "error"): 1}


def test_what_is_no_problem_of_the_hub_is_left_out(failures: Failures) -> None:
    log.info("All is well")
    logging.getLogger("somebody.else").error("Not ours")
    assert failures.recent() == []


def test_after_a_day_it_is_history(failures: Failures, clock: StoppedClock) -> None:
    log.warning("Yesterday")
    clock.advance(24 * 3600 + 1)
    log.warning("Today")
    assert [one.message for one in failures.recent()] == ["Today"]


def test_neither_statements_nor_tokens_are_shown(failures: Failures) -> None:
    try:
        dict[str, str]()["secret"]
    except KeyError:
        log.exception("It failed for rdt_abcdefghijkl\n[SQL: SELECT 1]\n[parameters: ('me@example.org',)]")
    [one] = failures.recent()
    assert one.message == "It failed for rdt_*** (KeyError)"


def test_many_kinds_do_not_fill_the_memory(failures: Failures) -> None:
    for number in range(MOST_KINDS + 10):
        log.warning(f"Kind {number}")  # noqa: G004 - each is a kind of its own
    kept = failures.recent()
    assert len(kept) == MOST_KINDS
    assert kept[0].message == f"Kind {MOST_KINDS + 9}"
