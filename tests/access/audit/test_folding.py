"""A flood of refusals becomes a few entries, whatever the attacker varies."""

from dataclasses import replace

from roost.access.audit.folding import KINDS, KINDS_OF_A_CALLER, Folding
from roost.access.audit.log import ANONYMOUS, Actor, Deed
from tests.stopped_clock import StoppedClock

GUESS = Deed(
    "request.refused", ANONYMOUS, "refused", object_kind="device", object_id="7", address="10.0.0.1",
    details={"code": "device_not_found"},
)  # fmt: skip


def test_a_repetition_is_counted_and_told_when_the_minute_is_over() -> None:
    clock = StoppedClock()
    folding = Folding(clock)
    written = [folding.take(GUESS) for _ in range(1000)]
    assert written == [GUESS] + [None] * 999
    clock.advance(59)
    assert folding.due() == []
    clock.advance(1)
    [told] = folding.due()
    assert told.details == {"code": "device_not_found", "count": 999, "within_s": 60}
    assert told.at == clock.now()


def test_the_same_again_later_is_new() -> None:
    clock = StoppedClock()
    folding = Folding(clock)
    assert folding.take(GUESS)
    clock.advance(60)
    assert folding.due() == []
    assert folding.next_due_s() is None
    assert folding.take(GUESS) == GUESS


def test_who_never_stops_writes_less_and_less() -> None:
    clock = StoppedClock()
    folding = Folding(clock)
    written = 0
    for _ in range(24 * 60):
        written += folding.take(GUESS) is not None
        folding.take(GUESS)
        clock.advance(60)
        written += len(folding.due())
    assert written < 40


def test_what_differs_is_told_apart() -> None:
    folding = Folding(StoppedClock())
    other_code = replace(GUESS, details={"code": "missing_scope"})
    for deed in (
        GUESS,
        replace(GUESS, action="mqtt.publish_refused"),
        replace(GUESS, actor=Actor("user", 1, "a@b.c")),
        replace(GUESS, address="10.0.0.2"),
        replace(GUESS, object_id="8"),
        other_code,
    ):
        assert folding.take(deed) == deed


def test_a_caller_who_goes_through_all_ids_is_folded_as_a_caller() -> None:
    clock = StoppedClock()
    folding = Folding(clock)
    written = [deed for number in range(5000) if (deed := folding.take(replace(GUESS, object_id=str(number))))]
    assert len(written) == KINDS_OF_A_CALLER + 1
    assert written[-1].object_id is None
    assert written[-1].address == GUESS.address
    clock.advance(60)
    assert [deed.details["count"] for deed in folding.due()] == [5000 - KINDS_OF_A_CALLER - 1]


def test_a_crowd_of_callers_is_folded_as_one() -> None:
    folding = Folding(StoppedClock())
    written = [deed for number in range(5000) if (deed := folding.take(replace(GUESS, address=f"10.0.{number}.1")))]
    assert len(written) == KINDS + 1
    assert (written[-1].address, written[-1].actor) == (None, ANONYMOUS)


def test_at_the_end_every_count_is_told() -> None:
    folding = Folding(StoppedClock())
    folding.take(GUESS)
    assert folding.due(every=True) == []
    folding.take(GUESS)
    folding.take(GUESS)
    [told] = folding.due(every=True)
    assert told.details["count"] == 1
