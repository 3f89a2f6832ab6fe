"""A log line is one JSON object, and no token gets into it."""

import json
import logging

from roost.core import logging as logs
from roost.core.ids import new_token, redact


def formatted(message: str, **extra: object) -> dict[str, object]:
    record = logging.makeLogRecord({"name": "roost.test", "levelname": "INFO", "msg": message, **extra})
    line = logs.JsonFormatter().format(record)
    assert "\n" not in line
    parsed: dict[str, object] = json.loads(line)
    return parsed


def test_a_line_has_what_is_needed_to_find_it() -> None:
    token = logs.request_id.set("abc")
    try:
        line = formatted("two\nlines", status=201)
    finally:
        logs.request_id.reset(token)
    assert line["message"] == "two\nlines"
    assert line["level"] == "info"
    assert line["logger"] == "roost.test"
    assert line["request_id"] == "abc"
    assert line["status"] == 201
    assert str(line["time"]).endswith("Z")


def test_tokens_are_taken_out() -> None:
    jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
    for token in (new_token("rdt_"), new_token("rrt_"), "rpat_abcdef", jwt):
        assert token not in redact(f"GET /ws?token={token} from a device")
        assert token not in str(formatted(f"with {token}", path=f"/x?token={token}"))
