"""What is asked of the endpoints of bridges."""

from tests.access.matrix.callers import Caller
from tests.access.matrix.requests import Ask, asks
from tests.access.matrix.world import World, bridge_to_nowhere


@asks("GET /bridges")
def _bridges(world: World, _caller: Caller) -> Ask:
    return Ask(shows=("id", world.ids["bridge_id"]))


@asks("POST /bridges")
def _new(world: World, _caller: Caller) -> Ask:
    return Ask(bridge_to_nowhere(world.organization_id))


@asks("POST /bridges/try")
def _try(_world: World, _caller: Caller) -> Ask:
    return Ask({"sources": [{"topic": "{device}"}], "topic": "boiler", "payload": '{"n": 1}'})


@asks("PATCH /bridges/{bridge_id}")
def _rename(_world: World, _caller: Caller) -> Ask:
    return Ask({"name": "House"})


@asks("DELETE /bridges/{bridge_id}")
def _end(world: World, _caller: Caller) -> Ask:
    return Ask(path={"bridge_id": world.spares.take("bridge")["id"]})
