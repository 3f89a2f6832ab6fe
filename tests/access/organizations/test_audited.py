"""Who invited, moved, removed and transferred whom stands in the organization's audit log."""

from typing import Any

import httpx2

from tests.access.companies import Company, MakeCompany
from tests.colleagues import PASSWORD, invite
from tests.conftest import UserClient, register_device


def deeds(company: Company, **filters: str) -> list[dict[str, Any]]:
    answer = company.owner.get(f"{company.path}/audit", params={"limit": "500", **filters})
    assert answer.status_code == 200, answer.text
    return [entry for entry in reversed(answer.json()) if entry["outcome"] == "success"]


def test_a_membership_from_beginning_to_end(company: Company, client: httpx2.Client) -> None:
    token = invite(company.owner, company.id, "viewer", email=f"audited-{company.id}@example.org")
    accepted = client.post("/invitations/accept", json={"token": token, "password": PASSWORD}).json()
    member, user = f"{company.path}/members/{accepted['user_id']}", f"/users/{accepted['user_id']}"
    assert company.owner.patch(member, json={"role": "editor"}).status_code == 200
    # Nothing happens, and nothing is written.
    assert company.owner.patch(member, json={"role": "editor"}).status_code == 200
    assert company.owner.patch(user, json={"full_name": "Grace"}).status_code == 200
    assert company.owner.patch(user, json={"is_active": False}).status_code == 200
    assert company.owner.delete(member).status_code == 204
    written = [entry for entry in deeds(company) if entry["action"].split(".")[0] in {"invitation", "grant", "user"}]
    ours = [entry for entry in written if entry["object_name"] == accepted["email"]]
    assert [entry["action"] for entry in ours] == [
        "invitation.sent",
        "invitation.accepted",
        "grant.changed",
        "user.changed",
        "user.deactivated",
        "grant.taken",
    ]
    sent, joined, changed = ours[:3]
    assert (sent["actor_id"], sent["address"]) == (company.owner.profile["id"], "127.0.0.1")
    assert (joined["actor_id"], joined["details"]["account_created"]) == (accepted["user_id"], True)
    assert changed["details"]["before"]["role"] == "viewer"
    assert changed["details"]["after"]["role"] == "editor"
    assert token not in str(written)


def test_both_sides_of_a_transfer(make_company: MakeCompany) -> None:
    company, other = make_company(), make_company()
    assert (
        company.owner.post("/invitations/accept", json={"token": invite(other.owner, other.id, "owner")}).status_code
        == 200
    )
    device = register_device(company.owner, home_id=company.home_id)
    moved = company.owner.post(f"/devices/{device.id}/transfer", json={"organization_id": other.id})
    assert moved.status_code == 200
    for side in (company, other):
        (entry,) = deeds(side, action="device.transferred")
        assert entry["details"] == {"from_organization_id": company.id, "to_organization_id": other.id}


def test_what_is_left_of_a_deleted_organization(company: Company, admin: UserClient) -> None:
    register_device(company.owner, home_id=company.home_id)
    assert company.owner.delete(company.path).status_code == 204
    query: dict[str, str | int] = {"organization_id": company.id, "action": "organization.deleted"}
    (entry,) = admin.get("/ops/audit", params=query).json()
    assert entry["details"] == {"devices": 1, "members": 1}
