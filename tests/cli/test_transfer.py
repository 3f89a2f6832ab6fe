"""`roost export` and `roost import`: beside a running hub, and on its data while it is not running."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from roost.cli import build
from tests.conftest import FreshServer, UserClient, register_device, register_user
from tests.roost_server import RoostServer
from tests.waiting import wait_until

LONG_AGO = 1_500_000_000_000


@pytest.fixture(params=["sqlite"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """What goes over HTTP is tried on both where the endpoints are."""
    kind: str = request.param
    return kind


def run(*arguments: object, code: int = 0) -> str:
    """The command within this process: starting one for each takes longer than all the rest."""
    words = [str(argument) for argument in arguments]
    done = CliRunner().invoke(build(words[:1]), words)
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


def settings_of(server: RoostServer, patched: pytest.MonkeyPatch) -> None:
    for name, value in server.environment.items():
        if name.startswith("ROOST_") or name == "DATABASE_URL":
            patched.setenv(name, value)


def lines_for(uid: str, count: int) -> str:
    row = {"device_uid": uid, "sensor_type": "temp_c"}
    return "".join(json.dumps({**row, "time": LONG_AGO + n * 1000, "value": n / 4}) + "\n" for n in range(count))


def newest(user: UserClient, device_id: int) -> Any:
    found = user.get(f"/devices/{device_id}/readings/latest").json()
    return found[0]["value"] if found else None


def test_out_of_one_hub_and_into_another(server: RoostServer, user: UserClient, tmp_path: Path) -> None:
    device = register_device(user)
    hub = ("--url", server.url, "--token", user.access_token)
    source = tmp_path / "history.jsonl"
    source.write_text(lines_for(device.uid, 30) + "{oops\n")
    assert "30 new, 0 known before, 1 refused" in run("import", source, *hub, code=1)
    assert "Row 31: This is not JSON" in run("import", source, *hub, code=1)
    for kind in ("csv", "parquet", "arrow", "jsonl"):
        file = tmp_path / f"out.{kind}"
        run("export", file, "--device", device.id, *hub)
        assert "0 new, 30 known before, 0 refused" in run("import", file, *hub)
    with register_user(server) as other:
        twin = register_device(other)
        other_hub = ("--url", server.url, "--token", other.access_token)
        moved = tmp_path / "moved.csv"
        moved.write_text((tmp_path / "out.csv").read_text().replace(device.uid, twin.uid))
        assert "20 new" in run("import", moved, "--from-row", 11, *other_hub)
        assert "10 new, 20 known" in run("import", moved, *other_hub)


def test_an_export_that_broke_off_is_gone_on_with(server: RoostServer, user: UserClient, tmp_path: Path) -> None:
    device = register_device(user)
    hub = ("--url", server.url, "--token", user.access_token)
    (tmp_path / "a.jsonl").write_text(lines_for(device.uid, 20))
    run("import", tmp_path / "a.jsonl", *hub)
    whole = tmp_path / "whole.csv"
    run("export", whole, *hub)
    part = tmp_path / "again.csv.part"
    part.write_bytes(whole.read_bytes()[:400])
    assert "--resume" in run("export", tmp_path / "again.csv", *hub, code=1)
    run("export", tmp_path / "again.csv", "--resume", *hub)
    assert (tmp_path / "again.csv").read_bytes() == whole.read_bytes()
    assert not part.exists()


def test_files_of_another_system(server: RoostServer, user: UserClient, tmp_path: Path) -> None:
    device = register_device(user)
    source = tmp_path / "history.csv"
    source.write_text(
        "entity_id,state,last_changed\nsensor.attic,21.5,2024-02-01T12:00:00.000Z\nsensor.attic,unavailable,\n"
    )
    hub = ("--url", server.url, "--token", user.access_token)
    assert "--device" in run("import", source, "--from", "home-assistant", *hub, code=1)
    told = run("import", source, "--from", "home-assistant", "--device", device.uid, *hub)
    assert "1 new, 0 known before, 0 refused" in told
    (reading,) = user.get(f"/devices/{device.id}/readings").json()
    assert (reading["sensor_type"], reading["value"]) == ("sensor.attic", 21.5)


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_the_data_of_a_hub_on_postgresql_while_it_runs(
    server: RoostServer, user: UserClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings_of(server, monkeypatch)
    device = register_device(user)
    assert newest(user, device.id) is None
    (tmp_path / "a.jsonl").write_text(lines_for(device.uid, 5))
    assert "5 new" in run("import", tmp_path / "a.jsonl")
    # The hub hears of it within a second or so, although it had looked before.
    wait_until(lambda: newest(user, device.id) == 1.0)
    run("export", tmp_path / "out.jsonl", "--device", device.id)
    assert (tmp_path / "out.jsonl").read_text().count("\n") == 5


def test_the_data_folder_while_no_hub_is_running(
    fresh_server: FreshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fresh_server()
    settings_of(server, monkeypatch)
    with register_user(server) as user:
        device = register_device(user)
    source = tmp_path / "a.jsonl"
    source.write_text(lines_for(device.uid, 5))
    assert "--url" in run("import", source, code=1)
    server.stop()
    assert "5 new" in run("import", source)
    run("export", tmp_path / "out.csv", "--series", "temp_c", "--from", "2017-07-14T02:40:01Z")
    assert [line.split(",")[4] for line in (tmp_path / "out.csv").read_text().splitlines()[1:]] == [
        "0.25", "0.5", "0.75", "1.0",
    ]  # fmt: skip
    shutil.rmtree(server.data_dir)
    assert "no database" in run("export", tmp_path / "none.csv", code=1)
