"""`roost audit verify` and `roost audit export`, beside a hub that runs."""

import json
import sqlite3
from contextlib import closing

from tests.conftest import FreshServer, register_user
from tests.warm_roost import warm_roost


def test_verify_and_export_and_what_tampering_looks_like(fresh_server: FreshServer) -> None:
    server = fresh_server()
    with register_user(server):
        intact = server.run_command("audit", "verify")
    assert (intact.returncode, intact.stderr) == (0, "")
    assert "intact" in intact.stdout
    exported = server.run_command("audit", "export", "--format", "jsonl", "--from", "2020-01-01T00:00:00Z")
    lines = [json.loads(line) for line in exported.stdout.splitlines()]
    assert [line["id"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[0]["action"] == "hub.started"
    assert lines[-1]["action"] == "audit.exported"
    server.stop()

    other_key = {**server.environment, "ROOST_AUDIT_KEY": "another key of at least 32 characters"}
    wrong_key = warm_roost.run(["audit", "verify"], cwd=server.folder, environment=other_key, timeout_s=60)
    assert wrong_key.returncode == 1
    assert "not the key of the hub" in wrong_key.stderr

    with closing(sqlite3.connect(server.data_dir / "roost.db", isolation_level=None)) as database:
        database.execute("DROP TRIGGER audit_entries_last")
        database.execute("DELETE FROM audit_entries WHERE id = 2")
    tampered = server.run_command("audit", "verify")
    assert tampered.returncode == 1
    assert "Entry 2 is missing." in tampered.stderr

    nowhere = server.run_command("audit", "export", "--from", "yesterday")
    assert nowhere.returncode == 1
    assert "`from` must be" in nowhere.stderr
