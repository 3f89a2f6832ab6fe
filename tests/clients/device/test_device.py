"""A device of the Python package and its hub: joining, and telemetry through all that can go wrong."""

import time
from pathlib import Path
from typing import Literal

import pytest

from roost_device import Device, NotNow, NotPaired, Refused
from roost_device import spool as spool_module
from roost_device.backoff import Backoff
from roost_device.identity import FILE
from tests.clients.conftest import counted, pair, unique_uid
from tests.conftest import FreshServer, UserClient, register_user
from tests.roost_server import RoostServer
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def quick_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long the pauses are has tests of its own."""
    monkeypatch.setattr(Backoff, "pause_s", lambda _self, _asked_s=None: 0.05)


def _device(hub: RoostServer, folder: Path, transport: Literal["http", "mqtt"] = "http") -> Device:
    return Device(hub.url, folder, unique_uid(folder), transport=transport, mqtt_port=hub.mqtt_port)


def test_a_device_is_paired_with_a_code_and_stays_so(hub: RoostServer, owner: UserClient, tmp_path: Path) -> None:
    device = _device(hub, tmp_path)
    with pytest.raises(NotPaired):
        device.start()
    assert device.say_hello()["claimed"] is False
    with pytest.raises(Refused) as refused:
        device.pair("0000-0000")
    assert refused.value.status == 404
    device_id = pair(device, owner)
    device.close()
    again = Device(hub.url, tmp_path)
    assert again.paired
    assert again.identity.device_id == device_id
    assert again.hub.call("GET", "/devices/whoami")[1]["device_id"] == device_id
    again.close()


def test_only_its_owner_reads_the_token(hub: RoostServer, owner: UserClient, tmp_path: Path) -> None:
    device = _device(hub, tmp_path)
    pair(device, owner)
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0
    assert device.identity.token
    assert device.identity.token.startswith("rdt_")
    device.close()


def test_who_knows_only_the_uid_and_the_code_gets_no_token(hub: RoostServer, owner: UserClient, tmp_path: Path) -> None:
    device = _device(hub, tmp_path / "device")
    thief = Device(hub.url, tmp_path / "thief", device.identity.device_uid)
    device.say_hello()
    code = owner.post("/pairing/start", json={"device_uid": device.identity.device_uid}).json()["pairing_code"]
    with pytest.raises(Refused) as refused:
        thief.pair(code)
    assert refused.value.status == 403
    device.pair(code)
    device.close()
    thief.close()


@pytest.mark.parametrize("transport", ["http", "mqtt"])
def test_what_was_measured_before_the_device_could_send_arrives_in_order_and_once(
    hub: RoostServer,
    owner: UserClient,
    tmp_path: Path,
    transport: Literal["http", "mqtt"],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = _device(hub, tmp_path, transport)
    device_id = pair(device, owner)
    begin_ms = int(time.time() * 1000) - 700
    monkeypatch.setattr(spool_module, "BATCH_BYTES", 1000)
    for number in range(40):
        device.send({"n": number}, ts_ms=begin_ms + number)
    with device:
        assert device.wait_until_sent(20)
    assert counted(owner, device_id) == list(range(40))


def test_nothing_is_lost_or_doubled_when_the_hub_is_killed_again_and_again(
    fresh_server: FreshServer, tmp_path: Path
) -> None:
    hub = fresh_server()
    with register_user(hub) as owner:
        devices = [_device(hub, tmp_path / "http", "http"), _device(hub, tmp_path / "mqtt", "mqtt")]
        ids = [pair(device, owner) for device in devices]
        begin_ms, sent = int(time.time() * 1000) - 60_000, 0

        def send(count: int) -> None:
            nonlocal sent
            for number in range(sent, sent + count):
                for device in devices:
                    device.send({"n": number}, ts_ms=begin_ms + number)
            sent += count

        with devices[0], devices[1]:
            for _ in range(2):
                send(15)
                wait_until(lambda: all(len(device.spool) < 15 for device in devices), what="The first messages")
                hub.kill()
                send(15)
                hub.start()
            assert all(device.wait_until_sent(60) for device in devices)
        for device_id in ids:
            assert counted(owner, device_id) == list(range(sent))


def test_a_revoked_token_keeps_everything_for_the_next_pairing(
    hub: RoostServer, owner: UserClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    device = _device(hub, tmp_path)
    device_id = pair(device, owner)
    assert owner.delete(f"/devices/{device_id}/token").status_code in {200, 204}
    device.send({"n": 1})
    device.start()
    wait_until(lambda: "Messages wait on disk" in caplog.text, what="The complaint")
    device.stop()
    token = owner.post(f"/devices/{device_id}/token").json()["device_token"]
    device.use_token(device_id, token)
    with device:
        assert device.wait_until_sent(20)
    assert counted(owner, device_id) == [1]


def test_a_hub_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    device = Device("http://127.0.0.1:9", tmp_path, "nowhere-1")
    with pytest.raises(NotNow, match="does not answer"):
        device.say_hello()
    device.close()


def test_a_folder_belongs_to_one_device(tmp_path: Path) -> None:
    Device("http://127.0.0.1:9", tmp_path, "first-1").close()
    with pytest.raises(ValueError, match="belongs to the device 'first-1'"):
        Device("http://127.0.0.1:9", tmp_path, "second-1")
    (tmp_path / FILE).write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="damaged"):
        Device("http://127.0.0.1:9", tmp_path, "first-1")


def test_two_programs_cannot_be_the_same_device(hub: RoostServer, owner: UserClient, tmp_path: Path) -> None:
    device = _device(hub, tmp_path)
    pair(device, owner)
    second = _device(hub, tmp_path)
    with device, pytest.raises(OSError, match="Another program uses"):
        second.start()
    with second:
        pass


@pytest.mark.parametrize("url", ["hub.example", "ftp://hub.example", "http://"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ValueError, match="not the address of a hub"):
        Device(url, tmp_path, "device-1")


def test_stopping_leaves_no_thread_and_no_open_file(hub: RoostServer, owner: UserClient, tmp_path: Path) -> None:
    device = _device(hub, tmp_path)
    pair(device, owner)
    before = _open_files()
    device.task("ping")(lambda _task: None)
    device.start()
    device.send({"n": 1})
    assert device.wait_until_sent(20)
    device.stop()
    assert not [thread for thread in device._threads if thread.is_alive()]
    wait_until(lambda: _open_files() <= before, what="The sockets")
    device.close()


def _open_files() -> int:
    descriptors = Path("/proc/self/fd")
    return len(list(descriptors.iterdir())) if descriptors.exists() else 0
