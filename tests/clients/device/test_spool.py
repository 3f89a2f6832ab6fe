"""What waits on a device's disk: in order, once, and never lost without a word."""

import json
import sqlite3
from pathlib import Path

import pytest

from roost_device import spool as spool_module
from roost_device.spool import Spool
from roost_device.storage import FILE, Storage


def _payloads(spool: Spool) -> list[object]:
    return [json.loads(message.body)["payload"]["n"] for message in spool.oldest()]


def test_messages_leave_in_the_order_in_which_they_came_and_survive_a_restart(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    spool = Spool(storage)
    for number in range(5):
        spool.append({"n": number}, ts_ms=number)
    spool.remove(spool.oldest(2))
    storage.close()
    again = Spool(Storage(tmp_path))
    assert len(again) == 3
    assert _payloads(again) == [2, 3, 4]


def test_no_message_id_is_given_twice_although_everything_was_sent_before_the_restart(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    spool = Spool(storage)
    given = {spool.append({"n": 1}), spool.append({"n": 2})}
    spool.remove(spool.oldest())
    storage.close()
    again = Spool(Storage(tmp_path))
    assert again.append({"n": 3}) not in given


def test_a_full_spool_drops_the_oldest_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = Spool(Storage(tmp_path), capacity=3)
    for number in range(5):
        spool.append({"n": number})
    assert _payloads(spool) == [2, 3, 4]
    assert (len(spool), spool.dropped) == (3, 2)
    assert [record.message for record in caplog.records] == [
        "The spool is full (3 messages): the oldest ones are dropped for new ones."
    ]


def test_messages_that_were_dropped_while_on_their_way_are_not_counted_twice(tmp_path: Path) -> None:
    spool = Spool(Storage(tmp_path), capacity=2)
    spool.append({"n": 0})
    on_their_way = spool.oldest()
    spool.append({"n": 1})
    spool.append({"n": 2})
    spool.remove(on_their_way)
    assert len(spool) == 2
    assert _payloads(spool) == [1, 2]


def test_a_batch_stays_below_what_the_hub_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "BATCH_BYTES", 300)
    spool = Spool(Storage(tmp_path))
    for number in range(9):
        spool.append({"n": number})
    batch = spool.oldest()
    assert 1 < len(batch) < 9
    assert len(b"[" + b",".join(message.body for message in batch) + b"]") <= 300


@pytest.mark.parametrize("payload", [{"text": "x" * 17_000}, {"n": float("nan")}])
def test_what_no_hub_would_take_is_refused_at_once(tmp_path: Path, payload: dict[str, object]) -> None:
    spool = Spool(Storage(tmp_path))
    with pytest.raises(ValueError, match=r"bytes|Out of range"):
        spool.append(payload)
    assert len(spool) == 0


def test_a_damaged_file_is_put_aside_and_the_device_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FILE).write_bytes(b"not a database at all" * 500)
    spool = Spool(Storage(tmp_path))
    spool.append({"n": 1})
    assert _payloads(spool) == [1]
    assert "damaged" in caplog.text
    assert len(list(tmp_path.glob("*.damaged-*"))) == 1


def test_a_disk_that_takes_nothing_is_an_error_and_not_a_loss_without_a_word(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    spool = Spool(storage)
    spool.append({"n": 1})
    with storage.transaction() as connection:
        connection.execute("CREATE TRIGGER full BEFORE INSERT ON message BEGIN SELECT RAISE(FAIL, 'disk full'); END")
    with pytest.raises(sqlite3.Error, match="disk full"):
        spool.append({"n": 2})
    assert _payloads(spool) == [1]
    assert len(spool) == 1
