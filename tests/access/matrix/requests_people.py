"""Asking for organizations, their members and invitations, and users."""

import uuid

import httpx2

from tests.access.matrix.callers import PASSWORD, Caller
from tests.access.matrix.requests import Ask, asks
from tests.access.matrix.world import World


def _address() -> str:
    return f"{uuid.uuid4().hex}@example.org"


def _dissolved(owner: Caller, organization_id: int) -> None:
    gone = owner.ask("DELETE", f"/organizations/{organization_id}")
    assert gone.status_code == 204, gone.text


# -- organizations


@asks("GET /organizations")
def _organizations(world: World, _caller: Caller) -> Ask:
    return Ask(shows=("id", world.organization_id))


@asks("POST /organizations")
def _found(_world: World, caller: Caller) -> Ask:
    """It goes again: as an owner of it, the caller would have every scope somewhere."""
    return Ask({"name": "Another"}, afterwards=lambda answer: _dissolved(caller, answer.json()["id"]))


@asks("PATCH /organizations/{organization_id}")
def _rename(_world: World, _caller: Caller) -> Ask:
    return Ask({"name": "Renamed"})


@asks("DELETE /organizations/{organization_id}")
def _dissolve(world: World, _caller: Caller) -> Ask:
    return Ask(path={"organization_id": world.spares.take("organization")["id"]})


@asks("POST /organizations/{organization_id}/leave")
def _leave(world: World, caller: Caller) -> Ask:
    """Members leave another organization of the owner's, so that they stay in A; the others cannot leave A either.

    The owner tries it there as well: in A other rows make more owners, and of several one may go.
    """
    if caller is world.owner:
        return Ask(path={"organization_id": world.annex_id})
    if caller.name not in {"view", "edit", "tech", "idle"}:
        return Ask()
    role = {"view": "viewer", "edit": "editor"}.get(caller.name, "technician")
    wanted = {"email": _address(), "role": role}
    token = world.owner.make(f"/organizations/{world.annex_id}/invitations", wanted)["accept_url"].partition("#")[2]
    caller.make("/invitations/accept", {"token": token})
    return Ask(path={"organization_id": world.annex_id})


@asks("GET /organizations/{organization_id}/members")
def _members(world: World, _caller: Caller) -> Ask:
    return Ask(shows=("user_id", world.owner.user_id))


@asks("PATCH /organizations/{organization_id}/members/{user_id}")
def _change_member(world: World, _caller: Caller) -> Ask:
    return Ask({"role": "editor"}, {"user_id": world.spares.take("user")["id"]})


@asks("PATCH /organizations/{organization_id}/members/{user_id} (to owner)")
def _raise_member(world: World, _caller: Caller) -> Ask:
    return Ask({"role": "owner"}, {"user_id": world.spares.take("user")["id"]})


@asks("PATCH /organizations/{organization_id}/members/{user_id} (an owner)")
def _lower_member(world: World, _caller: Caller) -> Ask:
    return Ask({"role": "viewer"}, {"user_id": world.spares.take("owner")["id"]})


@asks("DELETE /organizations/{organization_id}/members/{user_id}")
def _remove_member(world: World, _caller: Caller) -> Ask:
    return Ask(path={"user_id": world.spares.take("user")["id"]})


# -- invitations


@asks("GET /organizations/{organization_id}/invitations")
def _invitations(world: World, _caller: Caller) -> Ask:
    return Ask(shows=("id", world.ids["invitation_id"]))


@asks("POST /organizations/{organization_id}/invitations")
def _invite(_world: World, _caller: Caller) -> Ask:
    return Ask({"email": _address(), "role": "viewer"})


@asks("POST /organizations/{organization_id}/invitations (as owner)")
def _invite_owner(_world: World, _caller: Caller) -> Ask:
    return Ask({"email": _address(), "role": "owner"})


@asks("DELETE /organizations/{organization_id}/invitations/{invitation_id}")
def _revoke_invitation(world: World, _caller: Caller) -> Ask:
    return Ask(path={"invitation_id": world.spares.take("invitation")["id"]})


@asks("POST /invitations/preview")
def _preview(world: World, _caller: Caller) -> Ask:
    return Ask({"token": world.spares.take("invitation")["token"]}, spares=True)


@asks("POST /invitations/accept")
def _accept(world: World, caller: Caller) -> Ask:
    """Into an organization of somebody else's, who sends them away again: nobody's rights in A change by it."""
    inviter = world.bystander
    organization = f"/organizations/{inviter.get('/users/me')['organizations'][0]['id']}"
    made = inviter.make(f"{organization}/invitations", {"email": _address(), "role": "viewer"})
    token = {"token": made["accept_url"].partition("#")[2]}

    def sent_away(answer: httpx2.Response) -> None:
        assert inviter.ask("DELETE", f"{organization}/members/{answer.json()['user_id']}").status_code == 204

    return Ask(token if caller.token else token | {"password": PASSWORD}, afterwards=sent_away)


# -- users


@asks("GET /users", "GET /admin/users")
def _users(world: World, _caller: Caller) -> Ask:
    return Ask(shows=("id", world.owner.user_id))


@asks("POST /users", "POST /admin/users")
def _make_user(world: World, _caller: Caller) -> Ask:
    return Ask({"email": _address(), "role": "viewer", "organization_id": world.organization_id})


@asks("POST /users (as owner)")
def _make_owner(world: World, _caller: Caller) -> Ask:
    return Ask({"email": _address(), "role": "owner", "organization_id": world.organization_id})


@asks("PATCH /users/{user_id}", "PATCH /admin/users/{user_id}")
def _change_user(world: World, _caller: Caller) -> Ask:
    return Ask({"is_active": False}, {"user_id": world.spares.take("user")["id"]})


@asks("PATCH /users/{user_id} (an owner)")
def _change_owner(world: World, _caller: Caller) -> Ask:
    return Ask({"is_active": False}, {"user_id": world.spares.take("owner")["id"]})


@asks("DELETE /users/{user_id}", "DELETE /admin/users/{user_id}")
def _remove_user(world: World, _caller: Caller) -> Ask:
    return Ask(path={"user_id": world.spares.take("user")["id"]})


@asks("DELETE /users/{user_id} (an owner)")
def _remove_owner(world: World, _caller: Caller) -> Ask:
    return Ask(path={"user_id": world.spares.take("owner")["id"]})


@asks("POST /users/{user_id}/password-reset")
def _reset_user(world: World, _caller: Caller) -> Ask:
    return Ask(path={"user_id": world.spares.take("user")["id"]}, spares=True)


@asks("POST /users/{user_id}/password-reset (an owner)")
def _reset_owner(world: World, _caller: Caller) -> Ask:
    return Ask(path={"user_id": world.spares.take("owner")["id"]}, spares=True)
