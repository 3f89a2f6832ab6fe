"""The description of the ingest routes, which FastAPI does not see."""

from typing import Any

from roost.core.problems import problem_response

_REFUSALS = (400, 401, 408, 413, 422, 429, 503)
_STORED = {
    "description": "On disk, and visible to the next GET.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["status", "count", "resent", "ids"],
                "properties": {
                    "status": {"const": "stored"},
                    "count": {"type": "integer", "description": "Messages stored by this request."},
                    "resent": {"type": "integer", "description": "Messages the hub already had, by their message_id."},
                    "ids": {"type": "array", "items": {"type": "integer"}},
                },
            }
        }
    },
}
_QUEUED = {
    "description": "Safe in the queue in front of the store (a hub of several processes), not yet visible.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["status", "count"],
                "properties": {
                    "status": {"const": "queued"},
                    "count": {"type": "integer", "description": "Messages queued by this request."},
                },
            }
        }
    },
}
_TIME = {
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "integer"}],
    "description": "RFC 3339 or integer milliseconds since 1970; not before 2000 nor more than a day ahead.",
}
_MESSAGE: dict[str, Any] = {
    "type": "object",
    "description": "An envelope with `payload`, or the bare payload: an object with at least one number or boolean.",
    "examples": [{"event_type": "boot", "payload": {"temp_c": 21, "ok": True}}, {"temp_c": 21.5}],
    "properties": {
        "event_type": {"type": "string", "maxLength": 64},
        "payload": {"type": "object"},
        "ts": _TIME,
        "message_id": {"type": "string", "maxLength": 128},
    },
}
_READING: dict[str, Any] = {
    "type": "object",
    "required": ["sensor_type", "value"],
    "additionalProperties": False,
    "properties": {
        "sensor_type": {"type": "string", "minLength": 1, "maxLength": 64},
        "value": {"anyOf": [{"type": "number"}, {"type": "boolean"}]},
        "unit": {"type": "string", "minLength": 1, "maxLength": 32},
        "timestamp": _TIME,
    },
    "examples": [{"sensor_type": "temp_c", "value": 21.5, "unit": "°C"}],
}
_READINGS = {
    "anyOf": [
        {
            "type": "object",
            "required": ["readings"],
            "additionalProperties": False,
            "properties": {
                "readings": {"type": "array", "minItems": 1, "maxItems": 500, "items": _READING},
                "message_id": {"type": "string", "minLength": 1, "maxLength": 128},
            },
        },
        {"type": "array", "minItems": 1, "maxItems": 500, "items": _READING},
        _READING,
    ]
}
_MESSAGES = {"anyOf": [_MESSAGE, {"type": "array", "minItems": 1, "maxItems": 500, "items": _MESSAGE}]}


def ingest_paths(prefix: str) -> dict[str, Any]:
    """Path items for the OpenAPI document."""
    return {
        f"{prefix}/telemetry": {"post": _operation("send_telemetry", "Send messages", _MESSAGES)},
        f"{prefix}/events": {"post": _operation("send_events", "Send events: messages with an event_type", _MESSAGES)},
        f"{prefix}/devices/{{device_id}}/readings": {
            "post": _operation("send_readings", "Send readings of this device", _READINGS, 404)
            | {
                "parameters": [
                    {
                        "name": "device_id",
                        "in": "path",
                        "required": True,
                        "schema": {"type": "string"},
                        "description": "The device's own id or uid, or `me`.",
                    }
                ]
            }
        },
    }


def _operation(operation_id: str, summary: str, schema: dict[str, Any], *statuses: int) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "summary": summary,
        "description": "A 201 or 202 means that all of it is on disk. Single messages up to 16 KiB, batches up to 500"
        " messages and 1 MiB, all or nothing.",
        "tags": ["telemetry"],
        "security": [{"Device": []}, {"DeviceBearer": []}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {"201": _STORED, "202": _QUEUED}
        | {str(status): problem_response(status) for status in sorted((*_REFUSALS, *statuses))},
    }
