"""Every operation of the OpenAPI document, with data that fits it and data that doesn't: no 5xx, nothing undocumented.

PostgreSQL, which is the stricter of the two, in `make test`; both and more of it in `make soak`.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import FreshServer, RegisteredDevice, UserClient, register_device, register_user
from tests.roost_server import RoostServer

_PROGRAM = Path(sys.executable).parent / "schemathesis"
_CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# What is rotated or deleted is another device than the one that speaks.
# Nothing shall wait for a minute.
_AT_ONCE = """
[parameters]
"query.wait" = 0
"""
_REAL_IDS = """
"path.device_id" = {speaking}

[[operations]]
include-method = "DELETE"
parameters = {{ "path.device_id" = {doomed} }}

[[operations]]
include-name = "POST /api/v1/devices/{{device_id}}/token"
parameters = {{ "path.device_id" = {doomed} }}
"""

_ENDING_THE_SESSION = (
    "/api/v1/auth/logout",
    "/api/v1/auth/sessions/end-all",
    "/api/v1/auth/sessions/{session_id}",
)


@pytest.mark.parametrize(
    ("kind", "phases", "examples"),
    [
        ("postgresql", "examples,fuzzing", 5),
        pytest.param("postgresql", "examples,coverage,fuzzing", 60, marks=pytest.mark.soak, id="postgresql-many"),
        pytest.param("sqlite", "examples,coverage,fuzzing", 60, marks=pytest.mark.soak, id="sqlite-many"),
    ],
)
def test_no_operation_fails_or_answers_what_is_not_documented(
    fresh_server: FreshServer, tmp_path: Path, kind: str, phases: str, examples: int
) -> None:
    """First with a device that exists, then with ids of any kind and the operation that ends the session."""
    server = fresh_server(kind, ROOST_ACCESS_TOKEN_EXPIRE_MINUTES="120")
    with register_user(server) as user:
        speaking, doomed = register_device(user), register_device(user)
        (tmp_path / "schemathesis.toml").write_text(_AT_ONCE + _REAL_IDS.format(speaking=speaking.id, doomed=doomed.id))
        ending = [part for path in _ENDING_THE_SESSION for part in ("--exclude-path", path)]
        _run(server, user, speaking, tmp_path, examples, "--phases", phases, *ending)
        (tmp_path / "schemathesis.toml").write_text(_AT_ONCE)
        with_ids = [part for path in _ENDING_THE_SESSION for part in ("--include-path", path)]
        _run(
            server, user, speaking, tmp_path, examples, "--phases", "fuzzing", "--include-path-regex", "[{]", *with_ids
        )
        _assert_reached(server)


def _run(
    server: RoostServer, user: UserClient, device: RegisteredDevice, folder: Path, examples: int, *options: str
) -> None:
    command = [
        *(str(_PROGRAM), "run", f"{server.url}/openapi.json", "--no-color", "--continue-on-failure"),
        *("--checks", _CHECKS, "--mode", "all", "--seed", "1", "--max-examples", str(examples)),
        *("--header", f"Authorization: Bearer {user.access_token}", "--header", f"X-Device-Token: {device.token}"),
        *options,
    ]
    finished = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder, timeout=3600)
    assert finished.returncode == 0, finished.stdout[-8000:] + finished.stderr[-2000:]


def _assert_reached(server: RoostServer) -> None:
    """The run got past signing in: answers of every kind are in the log."""
    text = server.log_text()
    for answer in ("GET /api/v1/devices 200", "POST /api/v1/devices 201", "POST /api/v1/devices 422"):
        assert answer in text, f"Nothing was answered with `{answer}`."
