"""A chart's points: few enough, and every peak among them."""

from hypothesis import given, settings
from hypothesis import strategies as st

from roost.telemetry.analysis.thinning import ThinnedSeries
from roost.telemetry.messages import Reading, Value
from tests.telemetry.analysis.frames_by_hand import Sent, frame

T0 = 1_735_689_600_000


def thinned(sent: list[Sent], points: int, per_frame: int) -> list[Reading]:
    series = ThinnedSeries("a", points)
    for begin in range(0, len(sent), per_frame):
        made = frame(sent[begin : begin + per_frame])
        if "a" in made.columns:
            series.fold(made.times, made.columns["a"])
    return series.readings()


@given(
    values=st.lists(st.one_of(st.integers(-50, 50), st.floats(-9, 9), st.booleans()), max_size=400),
    step=st.sampled_from([1, 7, 10_000]),
    points=st.integers(10, 60),
    per_frame=st.integers(1, 90),
)
@settings(max_examples=150, deadline=None)
def test_peaks_edges_and_exact_values_stay(values: list[Value], step: int, points: int, per_frame: int) -> None:
    sent: list[Sent] = [(T0 + place * step, {"a": value}) for place, value in enumerate(values)]
    found = [(reading.timestamp, reading.value, type(reading.value)) for reading in thinned(sent, points, per_frame)]
    every = [(at, readings["a"], type(readings["a"])) for at, readings in sent]
    assert len(found) <= points
    assert [entry for entry in every if entry in found] == found, "not readings, or not in their order"
    if len(every) <= points:
        assert found == every
    else:
        assert (found[0], found[-1]) == (every[0], every[-1])
        assert min(value for _, value, _ in found) == min(values)
        assert max(value for _, value, _ in found) == max(values)


def test_every_stretch_of_a_long_series_keeps_its_peaks() -> None:
    sent: list[Sent] = [(T0 + place * 1_000, {"a": place % 7}) for place in range(40_000)]
    spikes = {T0 + place * 1_000: 100 + place for place in range(500, 40_000, 2_000)}
    sent = [(at, {"a": spikes.get(at, readings["a"])}) for at, readings in sent]
    found = thinned(sent, 200, 1_024)
    assert 100 <= len(found) <= 200
    assert spikes.items() <= {(reading.timestamp, reading.value) for reading in found}


def test_the_first_and_the_last_stay_though_they_are_no_peaks() -> None:
    sent: list[Sent] = [(T0 + place * 10_000, {"a": 9 if place % 2 else -9}) for place in range(101)]
    sent[0], sent[-1] = (T0, {"a": 1}), (T0 + 1_000_000, {"a": 2})
    found = thinned(sent, 20, 30)
    assert (found[0].value, found[-1].value) == (1, 2)
    assert len(found) <= 20


def test_rows_without_the_series_are_passed_over_and_units_stay() -> None:
    series = ThinnedSeries("a", 10)
    made = frame([(T0, {"b": 1}), (T0 + 1, {"a": 2}), (T0 + 2, {"b": 3})], units={"a": "V"})
    series.fold(made.times, made.columns["a"])
    assert series.readings() == [Reading("a", 2, "V", T0 + 1)]
