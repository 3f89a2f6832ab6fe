"""Tasks on a device: each with one outcome, whatever is cut off and when."""

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from roost_device import Device, NotNow, Refused, Task, TaskFailed
from roost_device.backoff import Backoff
from roost_device.hub import Hub
from roost_device.journal import Entry, Journal
from roost_device.storage import Storage
from roost_device.tasks import Skill
from roost_device.work import Worker
from tests.clients.conftest import ended, order, pair, unique_uid
from tests.conftest import UserClient
from tests.roost_server import RoostServer
from tests.waiting import wait_until


class Queue(Hub):
    """A hub with one task; `complete` says what becomes of a completion."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9")
        self.completions: list[dict[str, Any]] = []
        self.complete: list[Exception] = []

    def call(self, method: str, path: str, body: Any = None, *, timeout_s: float | None = None) -> tuple[int, Any]:
        if path.endswith("/complete"):
            if self.complete:
                raise self.complete.pop(0)
            self.completions.append(body)
        return 200, {"lease_seconds": 60}


class Given:
    """A source of these documents, after which the worker is stopped."""

    def __init__(self, documents: list[dict[str, Any]], stopped: threading.Event) -> None:
        self._documents = documents
        self._stopped = stopped

    def take(self) -> list[dict[str, Any]]:
        if self._documents:
            return [self._documents.pop(0)]
        self._stopped.set()
        return []


def _leased(task_id: int = 1, lease: str = "first", task_type: str = "count") -> dict[str, Any]:
    return {"id": task_id, "type": task_type, "payload": {}, "attempt": 1, "lease_token": lease, "lease_seconds": 60}


class Site:
    """A device whose program may end at any time; `run` is one life of it."""

    def __init__(self, folder: Path) -> None:
        self.hub = Queue()
        self.ran: list[dict[str, Any]] = []
        self.journal = Journal(Storage(folder))
        self.skills = {"count": Skill(self._count, None)}

    def _count(self, task: Task) -> int:
        self.ran.append(dict(task.memory))
        return len(self.ran)

    def run(self, *documents: dict[str, Any]) -> None:
        stopped = threading.Event()
        Worker(self.hub, self.journal, Given(list(documents), stopped), self.skills, stopped).run()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture(autouse=True)
def quick_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long the pauses are has tests of its own."""
    monkeypatch.setattr(Backoff, "pause_s", lambda _self, _asked_s=None: 0.01)


def test_an_outcome_is_delivered_until_the_hub_has_it(site: Site) -> None:
    site.hub.complete = [NotNow("away"), NotNow("away")]
    site.run(_leased())
    assert site.hub.completions == [{"status": "done", "result": 1, "lease_token": "first"}]
    assert len(site.ran) == 1
    assert site.journal.open() == []


def test_a_task_that_comes_back_after_a_lost_lease_is_not_done_again(site: Site) -> None:
    site.hub.complete = [Refused(409, "lease_lost", "The lease has ended.")]
    site.run(_leased(), _leased(lease="second"))
    assert len(site.ran) == 1
    assert site.hub.completions == [{"status": "done", "result": 1, "lease_token": "second"}]


def test_a_task_that_is_sent_twice_under_one_lease_is_done_once(site: Site) -> None:
    site.journal.begin(_leased())
    site.journal.finish(1, {"status": "done", "result": 7})
    site.run(_leased(), _leased(2), _leased(), _leased(2))
    assert [completion["result"] for completion in site.hub.completions] == [7, 1]
    assert len(site.ran) == 1


@pytest.mark.parametrize("code", ["task_cancelled", "task_ended"])
def test_an_outcome_that_nobody_wants_is_forgotten(site: Site, code: str) -> None:
    site.hub.complete = [Refused(409, code, "Too late.")]
    site.run(_leased())
    assert site.journal.open() == []


def test_an_outcome_that_was_not_delivered_is_delivered_by_the_next_life(site: Site) -> None:
    site.journal.begin(_leased())
    site.journal.finish(1, {"status": "done", "result": 7})
    site.run()
    assert site.hub.completions == [{"status": "done", "result": 7, "lease_token": "first"}]
    assert site.ran == []


def test_a_task_that_was_cut_off_fails_unless_it_may_be_repeated(site: Site) -> None:
    site.journal.begin(_leased())
    site.run()
    assert site.ran == []
    assert site.hub.completions[0]["status"] == "failed"
    assert "restarted" in site.hub.completions[0]["result"]["error"]


def test_one_that_may_be_repeated_is_run_again_and_finds_what_it_remembered(site: Site) -> None:
    site.skills["count"] = Skill(site._count, site._count)
    site.journal.begin(_leased())
    site.journal.remember(1, {"half": True})
    site.run()
    assert site.ran == [{"half": True}]
    assert site.hub.completions[0]["status"] == "done"


def test_no_task_is_begun_while_the_disk_takes_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begin, full = site.journal.begin, [True]

    def begin_or_fail(document: dict[str, Any]) -> Entry | None:
        if full:
            full.pop()
            raise sqlite3.OperationalError("database or disk is full")
        return begin(document)

    monkeypatch.setattr(site.journal, "begin", begin_or_fail)
    site.run(_leased(1), _leased(1, "second"))
    assert "no task is done" in caplog.text
    assert site.hub.completions == [{"status": "done", "result": 1, "lease_token": "second"}]


def test_whatever_a_handler_does_wrong_is_a_failure_with_its_reason(site: Site) -> None:
    def no_water(_task: Task) -> None:
        raise TaskFailed("There is no water.")

    def broken(_task: Task) -> None:
        raise KeyError("pin")

    site.skills = {
        "no_water": Skill(no_water, None),
        "broken": Skill(broken, None),
        "large": Skill(lambda _task: "x" * 20_000, None),
        "no_json": Skill(lambda _task: {1, 2}, None),
    }
    types = [*site.skills, "unknown"]
    site.run(*(_leased(number, task_type=name) for number, name in enumerate(types)))
    reasons = [completion["result"]["error"] for completion in site.hub.completions]
    assert [completion["status"] for completion in site.hub.completions] == ["failed"] * 5
    assert reasons[0] == "There is no water."
    assert "KeyError" in reasons[1]
    assert "20002 bytes" in reasons[2]
    assert "TypeError" in reasons[3]
    assert "no tasks of the type 'unknown'" in reasons[4]


def test_the_owner_cancels_what_runs(hub: RoostServer, owner: UserClient, tmp_path: Path) -> None:
    device = Device(hub.url, tmp_path, unique_uid(tmp_path))
    device_id = pair(device, owner)
    began, saw = threading.Event(), threading.Event()

    @device.task("long")
    def long(task: Task) -> None:
        task.progress(10, "begun")
        began.set()
        while not task.cancelled.is_set():
            task.progress(20)
        saw.set()

    device.task("short")(lambda _task: None)
    with device:
        task_id = order(owner, device_id, "long")
        assert began.wait(10)
        wait_until(lambda: (owner.get(f"/tasks/{task_id}").json()["progress"] or {}).get("percent"), what="Progress")
        assert owner.post(f"/devices/{device_id}/tasks/{task_id}/cancel").status_code == 200
        assert saw.wait(10)
        assert ended(owner, task_id)["status"] == "cancelled"
        # And the device goes on to the next one.
        assert ended(owner, order(owner, device_id, "short"))["status"] == "done"
