"""Asking for devices, their telemetry, and the live sockets."""

import uuid

from tests.access.matrix.callers import Caller
from tests.access.matrix.requests import Ask, asks
from tests.access.matrix.world import World


@asks("POST /devices/hello")
def _hello(world: World, caller: Caller) -> Ask:
    return Ask({"device_uid": world.callers["dev"].device_uid if caller.token else f"new-{uuid.uuid4().hex}"})


@asks("POST /pairing/start")
def _start(world: World, _caller: Caller) -> Ask:
    return Ask({**world.spares.take("unclaimed"), "home_id": world.home_id})


@asks("POST /pairing/confirm")
def _confirm(world: World, _caller: Caller) -> Ask:
    made = world.spares.take("code")
    return Ask({"device_uid": made["device_uid"], "pairing_code": made["pairing_code"]})


@asks("GET /devices")
def _devices(world: World, _caller: Caller) -> Ask:
    return Ask(shows=("id", world.ids["device_id"]))


@asks("POST /devices")
def _register(world: World, _caller: Caller) -> Ask:
    return Ask({"name": "New", "home_id": world.home_id})


@asks("PUT /devices/{device_id}", "PATCH /devices/{device_id}")
def _change(world: World, _caller: Caller) -> Ask:
    return Ask({"name": "Changed", "home_id": world.home_id})


@asks("DELETE /devices/{device_id}", "POST /devices/{device_id}/token", "DELETE /devices/{device_id}/token")
def _remove(world: World, _caller: Caller) -> Ask:
    return Ask(path={"device_id": world.spares.take("device")["id"]})


@asks("POST /devices/{device_id}/transfer")
def _give(world: World, _caller: Caller) -> Ask:
    return Ask({"organization_id": world.annex_id}, {"device_id": world.spares.take("device")["id"]})


@asks("POST /devices/{device_id}/status")
def _report(_world: World, _caller: Caller) -> Ask:
    return Ask({"status": "online"})


@asks("POST /devices/{device_id}/logs")
def _write_line(_world: World, _caller: Caller) -> Ask:
    return Ask({"message": "Warm here."})


@asks("GET /devices/{device_id}/logs")
def _lines(_world: World, _caller: Caller) -> Ask:
    return Ask(shows=("message", "Hello"))


@asks("PUT /devices/{device_id}/shadow", "PATCH /devices/{device_id}/shadow")
def _shadow(_world: World, caller: Caller) -> Ask:
    return Ask({"reported" if caller.device_id else "desired": {"led": True}})


@asks("GET /devices/{device_id}/shadow/changes")
def _shadow_changes(_world: World, _caller: Caller) -> Ask:
    return Ask(shows=("version", 1))


# -- telemetry


@asks("POST /telemetry", "POST /events")
def _send(_world: World, _caller: Caller) -> Ask:
    return Ask({"event_type": "count", "payload": {"n": 1}})


@asks("POST /devices/{device_id}/readings")
def _send_readings(_world: World, _caller: Caller) -> Ask:
    return Ask({"readings": [{"sensor_type": "n", "value": 1}]})


@asks("GET /telemetry/recent", "GET /devices/{device_id}/telemetry/recent", "GET /telemetry", "GET /events")
def _messages(world: World, _caller: Caller) -> Ask:
    return Ask(shows=("id", world.ids["event_id"]))


@asks("GET /telemetry (of the device)", "GET /events (of the device)")
def _messages_of_device(world: World, _caller: Caller) -> Ask:
    return Ask(query={"device_id": world.ids["device_id"]}, shows=("id", world.ids["event_id"]))


@asks("GET /devices/{device_id}/readings")
def _readings(_world: World, _caller: Caller) -> Ask:
    return Ask(shows=("sensor_type", "temp_c"))


@asks(
    "GET /analytics/export (of the device)",
    "GET /analytics/trends (of the device)",
    "GET /analytics/summary (of the device)",
)
def _file_of_device(world: World, _caller: Caller) -> Ask:
    return Ask(query={"device_id": world.ids["device_id"]})


# -- for how long it is kept


@asks("GET /retention-policies")
def _policies(world: World, _caller: Caller) -> Ask:
    return Ask(shows=("id", world.ids["policy_id"]))


@asks("POST /retention-policies")
def _keep(world: World, _caller: Caller) -> Ask:
    pattern = f"{uuid.uuid4().hex}.*"
    return Ask({"organization_id": world.organization_id, "key_pattern": pattern, "keep_days": None})


@asks("POST /retention-policies (of the hub)")
def _keep_everywhere(_world: World, _caller: Caller) -> Ask:
    return Ask({"key_pattern": f"{uuid.uuid4().hex}.*", "keep_days": 3650})


@asks("GET /retention-policies/effective")
def _kept(world: World, _caller: Caller) -> Ask:
    return Ask(query={"device_id": world.ids["device_id"]})


@asks("PATCH /retention-policies/{policy_id}")
def _keep_longer(_world: World, _caller: Caller) -> Ask:
    return Ask({"keep_days": 400})


@asks("DELETE /retention-policies/{policy_id}")
def _keep_all(world: World, _caller: Caller) -> Ask:
    return Ask(path={"policy_id": world.spares.take("policy")["id"]})
