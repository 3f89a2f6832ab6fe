"""Files of exports and of other systems, read as lines of an import; and where a broken file ends. Without a server."""

import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from roost.telemetry.frames import Column, Frame
from roost.telemetry.transfer.foreign_files import Columns, read_annotated, read_csv, read_line_protocol
from roost.telemetry.transfer.formats import ENCODERS
from roost.telemetry.transfer.own_files import read_own
from roost.telemetry.transfer.points import points_of
from roost.telemetry.transfer.tails import cut_to_whole_lines, resume_events, resume_readings
from roost.telemetry.transfer.wanted import Format

START = 1_790_000_000_000
AT = "2026-09-21T14:13:20.000Z"


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def read(lines: Any) -> list[tuple[int, dict[str, Any]]]:
    return [(number, json.loads(line)) for number, line in lines]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "arrow"])
def test_a_file_of_ours_is_read_as_it_was_written(kind: Format, tmp_path: Path) -> None:
    mixed = np.array([1, True, 2.0, -(2**63)], object)
    frame = Frame(7, START + np.arange(4, dtype=np.int64), {"=a": Column(mixed, units=((1, "°C"), (2, "m")))})
    encoder = ENCODERS[kind]()
    (points,) = points_of(frame)
    path = tmp_path / f"readings.{kind}"
    path.write_bytes(encoder.start() + encoder.add("dev-1", points) + encoder.finish())
    got = read(read_own(path, kind))
    assert [number for number, _ in got] == [1, 2, 3, 4]
    assert [repr(line["value"]) for _, line in got] == ["1", "True", "2.0", str(-(2**63))]
    assert [line.get("unit") for _, line in got] == [None, "°C", "m", "m"]
    assert {(line["device_id"], line["device_uid"], line["sensor_type"]) for _, line in got} == {(7, "dev-1", "=a")}
    assert got[0][1]["time"] == AT


def test_a_csv_that_is_none_of_ours_says_how_to_read_it(tmp_path: Path) -> None:
    path = written(tmp_path / "other.csv", "when,what\n1,2\n")
    with pytest.raises(ValueError, match="--from csv"):
        list(read_own(path, "csv"))


def test_a_parquet_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"."):
        list(read_own(written(tmp_path / "a.parquet", "no"), "parquet"))


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("21.5", 21.5), ("21", 21), ("+7", 7), (".5", 0.5), ("1e3", 1000.0), ("on", True), ("Off", False),
        ("warm", "warm"), ("1e999", "1e999"), (" 3 ", 3),
    ],
)  # fmt: skip
def test_values_of_others(cell: str, value: Any, tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", f"time,value\n{AT},{cell}\n")
    ((_, line),) = read(read_csv(path, Columns("time", "value", device="dev-1", key="temp_c")))
    assert line == {"device_uid": "dev-1", "sensor_type": "temp_c", "time": AT, "value": value}
    assert type(line["value"]) is type(value)


@pytest.mark.parametrize("cell", ["", "unknown", "unavailable", "NaN", "null"])
def test_where_nothing_was_measured_there_is_no_line(cell: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", f"time,value\n{AT},{cell}\n")
    assert read(read_csv(path, Columns("time", "value", device="dev-1"))) == []


@pytest.mark.parametrize(
    ("cell", "time"),
    [
        (AT, AT), ("2026-09-21 16:13:20+02:00", AT), ("1790000000", AT), ("1790000000000", AT),
        ("1790000000000000", AT), ("1790000000000000000", AT),
        ("1790000000.25", "2026-09-21T14:13:20.250Z"), ("2026-09-21 16:13:20", AT),
        ("2026-09-21T14:13:20.123456789Z", "2026-09-21T14:13:20.123Z"),
        ("yesterday", "yesterday"), ("9" * 40, "9" * 40),
    ],
)  # fmt: skip
def test_times_of_others(cell: str, time: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", f"time,value\n{cell},1\n")
    columns = Columns("time", "value", device="dev-1", zone=ZoneInfo("Europe/Berlin"))
    ((_, line),) = read(read_csv(path, columns))
    assert line["time"] == time


def test_a_wide_table_with_a_column_for_each_series(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.csv", "\ufeffTimestamp;temp;hum\n2026-09-21 16:13:20;21.5;40\n2026-09-21 16:13:30;;41\n"
    )
    columns = Columns("Timestamp", device="dev-1", wide=True, delimiter=";", zone=ZoneInfo("Europe/Berlin"))
    assert [(number, line["sensor_type"], line["value"]) for number, line in read(read_csv(path, columns))] == [
        (2, "temp", 21.5), (2, "hum", 40), (3, "hum", 41),
    ]  # fmt: skip


def test_columns_with_device_series_and_unit(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", f"who,what,when,much,in\ndev-2,temp,{AT},3,K\n")
    columns = Columns("when", "much", device_column="who", key_column="what", unit_column="in")
    assert read(read_csv(path, columns)) == [
        (2, {"device_uid": "dev-2", "sensor_type": "temp", "time": AT, "value": 3, "unit": "K"})
    ]


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "time,v\n1,2\n")
    with pytest.raises(ValueError, match="no column 'value'; there are: time, v"):
        list(read_csv(path, Columns("time", "value", device="dev-1")))


def test_annotated_csv_of_influxdb(tmp_path: Path) -> None:
    table = (
        "#group,false,false,true,false\n#datatype,string,long,dateTime:RFC3339,double\n#default,mean,,,\n"
        ",result,table,_time,_value,_field,room\n,,0,{at},{value},temp,{room}\n\n"
    )
    text = table.format(at=AT, value="21.5", room="attic") + table.format(at=AT, value="22.5", room="cellar")
    path = written(tmp_path / "a.csv", text)
    columns = Columns("_time", "_value", device_column="room", key_column="_field")
    got = read(read_annotated(path, columns))
    assert [(line["device_uid"], line["sensor_type"], line["value"]) for _, line in got] == [
        ("attic", "temp", 21.5), ("cellar", "temp", 22.5),
    ]  # fmt: skip


def test_line_protocol(tmp_path: Path) -> None:
    text = (
        "# a comment\n"
        f'climate,room=attic\\ 2,v=a\\=b temp=21,hum=40i,ok=t,bytes=7u,said="so, so = x" {START}000000\n'
        "\n"
        f"climate temp\\ c=-2.5e1 {START}\n"
    )
    path = written(tmp_path / "a.txt", text)
    columns = Columns("time", device="dev-1", device_column="room")
    got = read(read_line_protocol(path, columns))
    assert [(number, line["device_uid"], line["sensor_type"], line["value"]) for number, line in got] == [
        (2, "attic 2", "temp", 21.0), (2, "attic 2", "hum", 40), (2, "attic 2", "ok", True), (2, "attic 2", "bytes", 7),
        (2, "attic 2", "said", '"so, so = x"'), (4, "dev-1", "temp c", -25.0),
    ]  # fmt: skip
    assert {line["time"] for _, line in got} == {AT}


HEADER = "device_id,device_uid,sensor_type,time,value,unit\n"


@pytest.mark.parametrize(
    ("text", "resume"),
    [
        ("", None),
        (HEADER, None),
        (HEADER[:9], None),
        (f"{HEADER}7,d,a,{AT},1,\n", f"7,{AT},1"),
        (f"{HEADER}7,d,a,{AT},1,\n7,d,b,{AT},1,\n7,d,c,2026", f"7,{AT},2"),
        (f'{HEADER}6,d,a,{AT},1,\n7,d,"a,b",{AT},1,\n', f"7,{AT},1"),
    ],
)
def test_where_a_broken_csv_goes_on(text: str, resume: str | None, tmp_path: Path) -> None:
    path = written(tmp_path / "a.part", text)
    cut_to_whole_lines(path)
    assert resume_readings(path, "csv") == resume
    assert path.read_text(encoding="utf-8") == text[: text.rfind("\n") + 1]


def test_where_broken_json_lines_go_on(tmp_path: Path) -> None:
    line = json.dumps({"device_id": 7, "sensor_type": "a", "time": AT})
    path = written(tmp_path / "a.part", f"{line}\n{line}\n{line[:9]}")
    cut_to_whole_lines(path)
    assert resume_readings(path, "jsonl") == f"7,{AT},2"


def test_where_broken_events_go_on(tmp_path: Path) -> None:
    assert resume_events(written(tmp_path / "a.part", '{"id": 9}\n{"id": 7}\n'), "jsonl") == "7"
    assert resume_events(written(tmp_path / "b.part", "id,device_id\n9,1\n7,1\n"), "csv") == "7"
    assert resume_events(written(tmp_path / "c.part", "id,device_id\n"), "csv") is None
