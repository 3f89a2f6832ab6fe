"""Asking for work: what devices do with it, and those who order it."""

import itertools

from tests.access.matrix.callers import Caller
from tests.access.matrix.requests import Ask, asks
from tests.access.matrix.world import World

_numbers = itertools.count(1)
# Nobody polls in this context, so that what waits there stays as it is.
_KEPT = "kept"


def _waiting(world: World) -> int:
    """A task of A's device that waits."""
    made = world.owner.make(
        f"/devices/{world.ids['device_id']}/tasks", {"type": "blink", "execution_context_key": _KEPT}
    )
    return int(made["id"])


def _leased(world: World) -> int:
    """A task that A's device has leased."""
    context_key = f"context-{next(_numbers)}"
    world.owner.make(
        f"/devices/{world.ids['device_id']}/tasks",
        {"type": "blink", "priority": 100, "execution_context_key": context_key},
    )
    return int(world.callers["dev"].make(f"/tasks/poll?context_key={context_key}")[0]["id"])


@asks("POST /tasks/context/heartbeat")
def _beat(_world: World, _caller: Caller) -> Ask:
    return Ask({"context_key": "default", "capabilities": {}})


@asks("POST /tasks/{task_id}/complete")
def _complete(world: World, _caller: Caller) -> Ask:
    return Ask({"status": "done"}, {"task_id": _leased(world)})


@asks("POST /tasks/{task_id}/progress")
def _progress(world: World, _caller: Caller) -> Ask:
    return Ask({"percent": 50}, {"task_id": _leased(world)})


@asks("POST /tasks/{task_id}/extend")
def _extend(world: World, _caller: Caller) -> Ask:
    return Ask({"lease_seconds": 60}, {"task_id": _leased(world)})


@asks("PUT /devices/{device_id}/commands/{cmd_id}")
def _execute(world: World, _caller: Caller) -> Ask:
    return Ask({"status": "executed"}, {"cmd_id": _leased(world)})


@asks("GET /tasks")
def _tasks(world: World, _caller: Caller) -> Ask:
    return Ask(shows=("id", world.ids["task_id"]))


@asks("GET /tasks/bulk")
def _bulks(world: World, _caller: Caller) -> Ask:
    return Ask(shows=("id", world.ids["bulk_id"]))


@asks("POST /devices/{device_id}/tasks")
def _order(_world: World, _caller: Caller) -> Ask:
    return Ask({"type": "blink", "execution_context_key": _KEPT})


@asks("POST /devices/{device_id}/commands")
def _command(_world: World, _caller: Caller) -> Ask:
    return Ask({"command": "blink", "execution_context_key": _KEPT})


@asks("POST /devices/{device_id}/tasks/{task_id}/cancel")
def _cancel(world: World, _caller: Caller) -> Ask:
    return Ask(path={"task_id": _waiting(world)})


def _of_all(world: World) -> dict[str, object]:
    return {"type": "blink", "execution_context_key": _KEPT, "devices": {"device_ids": [world.ids["device_id"]]}}


@asks("POST /tasks/bulk")
def _order_bulk(world: World, _caller: Caller) -> Ask:
    return Ask(_of_all(world))


@asks("POST /tasks/bulk/{bulk_id}/cancel")
def _cancel_bulk(world: World, _caller: Caller) -> Ask:
    return Ask(path={"bulk_id": world.owner.make("/tasks/bulk", _of_all(world))["id"]})
