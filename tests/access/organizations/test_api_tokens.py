"""A script's token never decides who belongs where in its user's name, whatever its scopes."""

import httpx2
import pytest

from tests.access.companies import Company, MakeCompany
from tests.colleagues import invite
from tests.conftest import UserClient


def script(user: UserClient, *scopes: str, organization_id: int | None = None) -> httpx2.Client:
    body = {"name": "script", "scopes": scopes, "organization_id": organization_id}
    answer = user.post("/auth/api-tokens", json=body)
    assert answer.status_code == 201, answer.text
    headers = {"Authorization": f"Bearer {answer.json()['token']}"}
    return httpx2.Client(base_url=user.base_url, headers=headers, timeout=30, trust_env=False, verify=False)


EVERYTHING = ("organization:read", "organization:write", "users:read", "users:write")


def test_what_needs_a_person(make_company: MakeCompany) -> None:
    company, other = make_company(), make_company()
    token = invite(other.owner, other.id, "viewer")
    with script(company.owner, *EVERYTHING) as caller:
        for method, path, body in (
            ("POST", "/organizations", {"name": "Mine"}),
            ("POST", f"{company.path}/leave", None),
            ("POST", "/invitations/accept", {"token": token}),
            ("PATCH", "/users/me", {"full_name": "X"}),
            ("DELETE", company.member_path(company.owner), None),
        ):
            refused = caller.request(method, path, json=body)
            assert (refused.status_code, refused.json()["code"]) == (403, "needs_sign_in"), path


def test_a_token_does_no_more_than_its_scopes(make_company: MakeCompany) -> None:
    company, other = make_company(), make_company()
    assert (
        company.owner.post("/invitations/accept", json={"token": invite(other.owner, other.id, "owner")}).status_code
        == 200
    )
    viewer = company.member("viewer")
    with script(company.owner, "users:read") as caller:
        assert caller.get(f"{company.path}/members").status_code == 200
        assert not any(one["manageable"] for one in caller.get("/users").json())
        assert caller.patch(company.member_path(viewer), json={"role": "editor"}).status_code == 403
        assert caller.patch(company.path, json={"name": "X"}).status_code == 403
    with script(company.owner, "users:read", "users:write") as caller:
        # It may not give what it could not do itself.
        refused = caller.patch(company.member_path(viewer), json={"role": "editor"})
        assert (refused.status_code, refused.json()["code"]) == (403, "exceeds_own_role")
    with script(company.owner, *EVERYTHING, organization_id=company.id) as caller:
        assert [one["id"] for one in caller.get("/organizations").json()] == [company.id]
        assert caller.get(other.path).status_code == 404
        assert caller.patch(company.path, json={"name": "By script"}).status_code == 200


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_nobodys_mailbox_is_filled_from_here(company: Company) -> None:
    body = {"email": company.owner.email, "role": "viewer"}
    answers = [company.owner.post(f"{company.path}/invitations", json=body) for _ in range(64)]
    assert [answer.status_code for answer in answers[:60]] == [409] * 60
    assert answers[-1].status_code == 429
    assert answers[-1].headers["Retry-After"]
