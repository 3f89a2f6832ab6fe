"""Who was heard when, from frames and from summaries."""

from hypothesis import given, settings
from hypothesis import strategies as st

from roost.telemetry.analysis.coverage import Coverage
from roost.telemetry.spans import Span
from tests.telemetry.analysis.frames_by_hand import Sent, frame, summary

SPAN = Span(1_000, 2_000)
EDGES = list(range(1_000, 2_000, 100))


@given(moments=st.lists(st.integers(1_000, 1_999), min_size=1, max_size=40, unique=True), per_piece=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_stretches_are_those_in_which_something_came(moments: list[int], per_piece: int) -> None:
    sent: list[Sent] = [(at, {"a": 1.5, "b": 2} if at % 2 else {"a": 1.5}) for at in sorted(moments)]
    coverage = Coverage(SPAN, EDGES)
    for begin in range(0, len(sent), per_piece):
        part = frame(sent[begin : begin + per_piece])
        fits = coverage.whole(int(part.times[0]), int(part.times[-1]))
        coverage.fold(summary(part) if fits else part)
    heard = coverage.by_device[1]
    assert heard.readings == sum(len(values) for _, values in sent)
    assert heard.last_at == max(moments)
    assert coverage.completeness(1) == len({at // 100 for at in moments}) / 10
    silent = {edge for gap in coverage.gaps(1, 10) for edge in range(gap.since, gap.until, 100)}
    assert silent == set(EDGES) - {at - at % 100 for at in moments}


def test_only_the_series_that_are_asked_for_count() -> None:
    coverage = Coverage(SPAN, EDGES, ["b"])
    coverage.fold(frame([(1_050, {"a": 1}), (1_250, {"a": 1, "b": 2}), (1_350, {"a": 1})]))
    coverage.fold(frame([(1_050, {"a": 1})], device_id=2))
    assert list(coverage.by_device) == [1]
    assert (coverage.by_device[1].readings, coverage.by_device[1].keys) == (1, {"b"})
    assert coverage.by_device[1].stretches == 1 << 2


def test_gaps_are_the_longest_within_the_span_by_time() -> None:
    coverage = Coverage(Span(1_030, 1_990), EDGES)
    coverage.fold(frame([(1_150, {"a": 1}), (1_450, {"a": 1}), (1_850, {"a": 1})]))
    assert coverage.gaps(1, 10) == [(1_030, 1_100), (1_200, 1_400), (1_500, 1_800), (1_900, 1_990)]
    assert coverage.gaps(1, 2) == [(1_200, 1_400), (1_500, 1_800)]
    assert coverage.gaps(7, 1) == [(1_030, 1_990)]
    assert coverage.completeness(7) == 0
