"""Asking for homes, rooms, residents and assignments."""

import uuid

from tests.access.matrix.callers import Caller
from tests.access.matrix.requests import Ask, asks
from tests.access.matrix.world import World


@asks("GET /homes", "GET /admin/homes", "GET /ops/houses")
def _homes(world: World, _caller: Caller) -> Ask:
    return Ask(shows=("id", world.home_id))


@asks("POST /homes", "POST /admin/homes")
def _make_home(world: World, _caller: Caller) -> Ask:
    return Ask({"name": "Lodge", "organization_id": world.organization_id})


@asks("PATCH /homes/{home_id}", "PATCH /admin/homes/{home_id}")
def _change_home(_world: World, _caller: Caller) -> Ask:
    return Ask({"address": "Elsewhere 1"})


@asks("DELETE /homes/{home_id}", "DELETE /admin/homes/{home_id}")
def _remove_home(world: World, _caller: Caller) -> Ask:
    return Ask(path={"home_id": world.spares.take("home")["id"]})


@asks("POST /homes/{home_id}/transfer")
def _give_home(world: World, _caller: Caller) -> Ask:
    return Ask({"organization_id": world.annex_id}, {"home_id": world.spares.take("home")["id"]})


@asks("GET /homes/{home_id}/rooms")
def _rooms(world: World, _caller: Caller) -> Ask:
    return Ask(shows=("id", world.ids["room_id"]))


@asks("POST /homes/{home_id}/rooms")
def _make_room(_world: World, _caller: Caller) -> Ask:
    return Ask({"name": uuid.uuid4().hex})


@asks("PATCH /homes/{home_id}/rooms/{room_id}")
def _change_room(_world: World, _caller: Caller) -> Ask:
    return Ask({"name": "Pantry"})


@asks("DELETE /homes/{home_id}/rooms/{room_id}")
def _remove_room(world: World, _caller: Caller) -> Ask:
    return Ask(path={"room_id": world.spares.take("room")["id"]})


@asks("GET /residents", "GET /homes/{home_id}/residents")
def _residents(world: World, _caller: Caller) -> Ask:
    return Ask(shows=("id", world.ids["resident_id"]))


@asks("POST /residents")
def _make_resident(world: World, _caller: Caller) -> Ask:
    return Ask({"full_name": "Grace", "home_id": world.home_id})


@asks("POST /homes/{home_id}/residents")
def _make_resident_here(_world: World, _caller: Caller) -> Ask:
    return Ask({"full_name": "Grace"})


@asks("PATCH /residents/{resident_id}")
def _change_resident(_world: World, _caller: Caller) -> Ask:
    return Ask({"notes": "Likes tea."})


@asks("DELETE /residents/{resident_id}")
def _remove_resident(world: World, _caller: Caller) -> Ask:
    return Ask(path={"resident_id": world.spares.take("resident")["id"]})


@asks("GET /residents/{resident_id}/events")
def _timeline(world: World, _caller: Caller) -> Ask:
    return Ask(shows=("resident_id", world.ids["resident_id"]))


@asks("POST /residents/{resident_id}/events")
def _write_note(_world: World, _caller: Caller) -> Ask:
    return Ask({"text": "All is well."})


@asks("GET /assignments")
def _own_assignments(world: World, _caller: Caller) -> Ask:
    return Ask(shows=("id", world.ids["assignment_id"]))


@asks("GET /assignments (of the home)")
def _assignments(world: World, _caller: Caller) -> Ask:
    return Ask(query={"home_id": world.home_id}, shows=("id", world.ids["assignment_id"]))


@asks("POST /assignments")
def _assign(world: World, _caller: Caller) -> Ask:
    return Ask({"user_id": world.spares.take("technician")["id"], "home_id": world.home_id})


@asks("DELETE /assignments/{assignment_id}")
def _dismiss(world: World, _caller: Caller) -> Ask:
    return Ask(path={"assignment_id": world.spares.take("assignment")["id"]})
