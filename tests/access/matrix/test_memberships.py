"""Two memberships of one person never add up: what somebody is elsewhere counts for nothing here. Nor do API tokens.

What is expected follows from the table: wherever the role in A alone is refused, another one in B changes nothing.
"""

import pytest

from tests.access.matrix import (
    requests_accounts,
    requests_bridges,
    requests_devices,
    requests_people,
    requests_places,
    requests_tasks,
)
from tests.access.matrix.callers import Caller
from tests.access.matrix.requests import send
from tests.access.matrix.table import HTTP, rows
from tests.access.matrix.world import World

_ASKINGS_OF = (requests_accounts, requests_bridges, requests_devices, requests_people, requests_places, requests_tasks)
# The machine belongs to no organization, and one's own account to oneself.
ROWS = {label: cells for label, cells in rows(HTTP).items() if "/system/" not in label and not label.startswith("WS ")}
OF_ORGANIZATIONS = {label: cells for label, cells in ROWS.items() if "/auth/" not in label and "/me" not in label}
REFUSED = {"none", "403", "404"}
# What these name is another organization of A's owner, in which nobody else is.
OF_OTHERS = {
    "DELETE /organizations/{organization_id}", "POST /devices/{device_id}/transfer", "POST /homes/{home_id}/transfer",
}  # fmt: skip
# Owners alone have these scopes: whoever is one elsewhere sees that here there is nothing for them.
OF_OWNERS = {
    "GET /retention-policies": "none", "GET /retention-policies/{policy_id}": "404",
    "PATCH /retention-policies/{policy_id}": "404", "DELETE /retention-policies/{policy_id}": "404",
    "GET /bridges": "none", "GET /bridges/{bridge_id}": "404", "PATCH /bridges/{bridge_id}": "404",
    "DELETE /bridges/{bridge_id}": "404", "POST /bridges/try": "ok",
}  # fmt: skip
# Viewers have no scope of tasks at all: whoever has one elsewhere sees that here there is nothing for them.
OF_TASKS = {
    label: "none" if label in {"GET /tasks", "GET /tasks/bulk"} else "404"
    for label, cells in ROWS.items()
    if cells["view"] == "403" and ("/tasks" in label or "/task-contexts" in label or "/commands" in label)
}
# Each line is judged by its device (tests/telemetry/transfer); to send one, the scope anywhere is enough.
JUDGED_BY_THE_LINE = "POST /analytics/import"
# About no organization at all: whoever may make bridges anywhere may try.
ABOUT_NOTHING = "POST /bridges/try"


@pytest.mark.parametrize("elsewhere", ["owner", "technician"])
def test_a_viewer_here(world: World, elsewhere: str) -> None:
    somebody = _member_of_both(world, "viewer", elsewhere)
    expected = {label: cells["view"] for label, cells in ROWS.items() if cells["view"] in REFUSED}
    if elsewhere == "owner":
        expected |= dict.fromkeys(OF_OTHERS, "404") | OF_OWNERS
    expected |= OF_TASKS
    del expected[JUDGED_BY_THE_LINE]
    assert len([label for label in expected if not label.startswith("GET ")]) > 40
    assert {label: send(world, somebody, label)[0] for label in expected} == expected


@pytest.mark.parametrize("here", ["tech", "idle"])
def test_a_technician_here_and_an_owner_there(world: World, here: str) -> None:
    """The scope is there somewhere, so that what a technician does not see is a 404, or missing in the list."""
    somebody = _member_of_both(world, here, "owner")
    allowed = {"none": {"none"}, "404": {"404"}, "403": REFUSED}
    for label, cells in ROWS.items():
        if cells[here] in REFUSED and label != ABOUT_NOTHING:
            got, answer = send(world, somebody, label)
            assert got in allowed[cells[here]], (label, got, answer.text)


def test_nothing_is_carried_from_here_to_there(world: World) -> None:
    """Whoever may change things here, and owns another organization, cannot take them there."""
    somebody = _member_of_both(world, "edit", "owner")
    there = somebody.get("/organizations?limit=500")
    own = next(one["id"] for one in there if one["id"] != world.organization_id)
    home = next(one["id"] for one in somebody.get("/homes?limit=500") if one["organization_id"] == own)
    device, house = world.spares.take("device"), world.spares.take("home")
    takings = [
        ("POST", f"/devices/{device['id']}/transfer", {"organization_id": own, "home_id": home}, 403),
        ("POST", f"/homes/{house['id']}/transfer", {"organization_id": own}, 403),
        ("PATCH", f"/devices/{device['id']}", {"home_id": home}, 422),
        ("PATCH", f"/residents/{world.ids['resident_id']}", {"home_id": home}, 422),
    ]
    for method, path, body, status in takings:
        answer = somebody.ask(method, path, json=body)
        assert answer.status_code == status, (path, answer.text)
    assert world.owner.get(f"/devices/{device['id']}")["home_id"] == world.home_id
    assert world.owner.get(f"/homes/{house['id']}")["organization_id"] == world.organization_id
    assert world.owner.get(f"/residents/{world.ids['resident_id']}")["home_id"] == world.home_id


def test_a_token_for_another_organization(world: World) -> None:
    """The owner's API token that is good in the annex only is a stranger in A."""
    token = _token(world, scopes=world.owner.scopes, organization_id=world.annex_id)
    expected = {label: cells["fown"] for label, cells in OF_ORGANIZATIONS.items() if cells["fown"] in REFUSED}
    # Links for others' passwords are made by people.
    expected |= dict.fromkeys((label for label in expected if "password-reset" in label), "403")
    expected["POST /organizations/{organization_id}/leave"] = "403"
    # The annex has an owner, too.
    expected["GET /users"] = "ok"
    assert {label: send(world, token, label)[0] for label in expected} == expected


def test_a_token_that_reads(world: World) -> None:
    """The owner's API token with reading scopes only changes nothing; and no token does what decides over accounts."""
    token = _token(world, scopes=[scope for scope in world.owner.scopes if scope.endswith(":read")])
    writing = [label for label, cells in OF_ORGANIZATIONS.items() if cells["own"] == "ok" and cells["staff"] == "403"]
    assert len(writing) > 30
    assert {label: send(world, token, label)[0] for label in writing} == dict.fromkeys(writing, "403")
    for method, path in (("GET", "/auth/sessions"), ("POST", "/auth/sessions/end-all"), ("GET", "/auth/api-tokens")):
        assert token.ask(method, path).json()["code"] == "needs_sign_in"


def _member_of_both(world: World, here: str, there: str) -> Caller:
    """A member of A as the column says, and of B; made once."""
    name = f"{here}-{there}"
    if name not in world.mixed:
        role = {"view": "viewer", "viewer": "viewer", "edit": "editor"}.get(here, "technician")
        somebody = world.mixed[name] = world.colleague(name, role)
        if role == "technician":
            home_id = world.home_id if here == "tech" else world.ids["other_home_id"]
            world.owner.make("/assignments", {"user_id": somebody.user_id, "home_id": home_id})
        other = world.callers["fown"]
        profile = other.get("/users/me")
        wanted: dict[str, object] = {"email": f"{name}-too@example.org", "role": there}
        if there == "technician":
            wanted["home_ids"] = [profile["homes"][0]["id"]]
        made = other.make(f"/organizations/{profile['organizations'][0]['id']}/invitations", wanted)
        somebody.make("/invitations/accept", {"token": made["accept_url"].partition("#")[2]})
    return world.mixed[name]


def _token(world: World, **wanted: object) -> Caller:
    owner = world.owner
    made = owner.make("/auth/api-tokens", {"name": "Script", **wanted})
    return Caller("token", owner.http, owner.server, made["token"], user_id=owner.user_id)
