"""Tasks in ThingsBoard's words: a remote procedure call with a method and parameters, and the device's answer."""

from typing import Any

import msgspec
from pydantic import ValidationError

from roost.core.errors import Invalid
from roost.tasks.schemas import TaskCompletion

_decode = msgspec.json.Decoder().decode


def rpc_of(task_type: str, payload: dict[str, Any]) -> dict[str, Any]:
    """`{"method", "params"}`. A payload of nothing but `params` stands for parameters that are no object."""
    return {"method": task_type, "params": payload["params"] if payload.keys() == {"params"} else payload}


def completion(body: bytes) -> TaskCompletion:
    """What the device's answer makes of the task: it failed when the answer says `error`. Raises Invalid.

    An answer that is no JSON is kept as text: small firmware answers with a word.
    """
    try:
        result: Any = _decode(body) if body else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        result = body.decode(errors="replace").replace("\0", "")
    except RecursionError:
        raise Invalid("The answer is nested too deeply.") from None
    failed = isinstance(result, dict) and bool(result.get("error"))
    try:
        return TaskCompletion(status="failed" if failed else "done", result=result)
    except ValidationError:
        raise Invalid("The answer holds what JSON cannot.") from None
