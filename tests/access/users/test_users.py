"""Users: who sees whom, and that nobody changes somebody who stands above them anywhere."""

from typing import Any

import httpx2
import pytest

from tests.access.companies import NOWHERE, Company, MakeCompany
from tests.colleagues import PASSWORD, invite, sign_in
from tests.conftest import UserClient, register_device, register_user
from tests.roost_server import RoostServer


def path_of(somebody: UserClient) -> str:
    return f"/users/{somebody.profile['id']}"


def seen(caller: httpx2.Client, query: str = "") -> set[int]:
    answer = caller.get(f"/users?{query}")
    assert answer.status_code == 200, answer.text
    return {one["id"] for one in answer.json()}


def new_user(caller: httpx2.Client, **fields: Any) -> dict[str, Any]:
    answer = caller.post("/users", json=fields)
    assert answer.status_code == 201, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def test_who_sees_whom(make_company: MakeCompany) -> None:
    company, other = make_company(), make_company()
    viewer, technician = company.member("viewer"), company.member("technician")
    everybody = {one.profile["id"] for one in (company.owner, viewer, technician)}
    assert seen(company.owner) == seen(viewer) == everybody
    assert seen(other.owner) == {other.owner.profile["id"]}
    assert technician.get("/users").status_code == 403
    assert viewer.get(path_of(company.owner)).json()["roles"] == ["owner"]
    for method, body in (("GET", None), ("PATCH", {"full_name": "X"}), ("DELETE", None)):
        for path in (path_of(viewer), f"/users/{NOWHERE}"):
            answer = other.owner.request(method, path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (404, "user_not_found"), method
    assert viewer.patch(path_of(technician), json={"full_name": "X"}).status_code == 403


def test_filters(company: Company) -> None:
    viewer, editor = company.member("viewer"), company.member("editor")
    assert seen(company.owner, "role=viewer") == {viewer.profile["id"]}
    assert seen(company.owner, f"q={editor.email[:8].upper()}") == {editor.profile["id"]}
    assert seen(company.owner, "q=%25") == set()
    assert company.owner.patch(path_of(viewer), json={"is_active": False}).status_code == 200
    assert seen(company.owner, "is_active=false") == {viewer.profile["id"]}
    assert seen(company.owner, f"organization_id={company.id}&is_active=true&limit=1") == {company.owner.profile["id"]}
    assert seen(company.owner, f"organization_id={NOWHERE}") == set()
    assert company.owner.get("/users?role=king").status_code == 422
    assert company.owner.get("/users?colour=red").status_code == 422


def test_nothing_is_told_of_other_organizations(make_company: MakeCompany) -> None:
    here, there = make_company(), make_company()
    both = here.member("viewer")
    accepted = both.post("/invitations/accept", json={"token": invite(there.owner, there.id, "owner")})
    assert accepted.status_code == 200
    shown = here.owner.get(path_of(both)).json()
    assert (shown["roles"], shown["grants"]) == (
        ["viewer"],
        [{"role": "viewer", "organization_id": here.id, "home_id": None}],
    )
    assert "organization:write" not in shown["scopes"]
    assert shown["last_sign_in_at"] is None
    assert not shown["manageable"]
    # Nor by asking: what is filtered by is only what may be seen.
    assert seen(here.owner, "role=owner") == {here.owner.profile["id"]}
    assert seen(here.owner, f"organization_id={there.id}") == set()
    # Owner there, viewer here: above the owner of here.
    for answer in (
        here.owner.patch(path_of(both), json={"is_active": False}),
        here.owner.patch(path_of(both), json={"email": "mine@example.org"}),
        here.owner.delete(path_of(both)),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "exceeds_own_role")
    assert both.get("/users/me").json()["email"] == both.email
    assert here.owner.delete(here.member_path(both)).status_code == 204
    assert here.owner.get(path_of(both)).status_code == 404


def test_a_new_user_signs_in(company: Company, server: RoostServer) -> None:
    email = f"made-{company.id}@example.org"
    body = {"email": email, "username": f"made-{company.id}", "full_name": "Made", "password": PASSWORD}
    made = new_user(company.owner, **body)
    assert (made["roles"], made["set_password_url"]) == (["viewer"], None)
    with sign_in(server, email) as somebody:
        assert somebody.get("/users/me").json()["organizations"][0]["id"] == company.id
        assert somebody.get(f"/users/{company.owner.profile['id']}").status_code == 200
    for taken, code in (({"email": email}, "email_taken"), ({"username": f"made-{company.id}"}, "username_taken")):
        answer = company.owner.post("/users", json=body | {"email": "other@example.org", "username": None} | taken)
        assert (answer.status_code, answer.json()["code"]) == (409, code)


def test_a_new_user_chooses_the_password(company: Company, client: httpx2.Client, server: RoostServer) -> None:
    email, headers = f"later-{company.id}@example.org", {"Idempotency-Key": "once"}
    answers = [company.owner.post("/users", json={"email": email}, headers=headers).json() for _ in range(2)]
    assert answers[0]["has_password"] is False
    assert answers[1]["set_password_url"] is None
    url = answers[0]["set_password_url"]
    assert url.startswith(f"{server.url}/app/reset-password#")
    assert client.post("/auth/login", json={"email": email, "password": PASSWORD}).status_code == 401
    body = {"token": url.partition("#")[2], "password": PASSWORD}
    assert client.post("/auth/password/reset", json=body).status_code == 204
    sign_in(server, email).close()
    assert client.post("/auth/password/reset", json=body).status_code == 410


def test_who_may_make_whom(company: Company, make_company: MakeCompany) -> None:
    editor, viewer, other = company.member("editor"), company.member("viewer"), make_company()
    assert viewer.post("/users", json={"email": "a@example.org"}).status_code == 403
    refused = editor.post("/users", json={"email": "a@example.org", "role": "owner"})
    assert (refused.status_code, refused.json()["code"]) == (403, "exceeds_own_role")
    for role in ("admin", "staff", "king"):
        assert company.owner.post("/users", json={"email": "a@example.org", "role": role}).status_code == 422
    foreign = company.owner.post("/users", json={"email": "a@example.org", "organization_id": other.id})
    assert (foreign.status_code, foreign.json()["code"]) == (404, "organization_not_found")
    second = company.owner.post("/organizations", json={"name": "Second"}).json()["id"]
    unclear = company.owner.post("/users", json={"email": "a@example.org"})
    assert (unclear.status_code, unclear.json()["errors"][0]["pointer"]) == (422, "/organization_id")
    made = new_user(company.owner, email=f"a-{second}@example.org", organization_id=second, role="technician")
    assert made["grants"] == [{"role": "technician", "organization_id": second, "home_id": None}]
    weak = company.owner.post("/users", json={"email": "b@example.org", "password": "password"})
    assert (weak.status_code, weak.json()["code"]) == (422, "weak_password")


def test_deactivated_is_out_at_once_and_for_good(company: Company, client: httpx2.Client) -> None:
    viewer, editor = company.member("viewer"), company.member("editor")
    shown = editor.patch(path_of(viewer), json={"is_active": False})
    assert (shown.status_code, shown.json()["is_active"]) == (200, False)
    for answer in (
        viewer.get("/devices"),
        client.post("/auth/refresh", json={"refresh_token": viewer.refresh_token}),
        client.post("/auth/login", json={"email": viewer.email, "password": PASSWORD}),
    ):
        assert answer.status_code == 401, answer.text
    assert editor.patch(path_of(viewer), json={"is_active": True}).json()["is_active"]
    # The old session does not come back.
    assert viewer.get("/devices").status_code == 401
    assert client.post("/auth/refresh", json={"refresh_token": viewer.refresh_token}).status_code == 401
    assert client.post("/auth/login", json={"email": viewer.email, "password": PASSWORD}).status_code == 200
    assert editor.patch(path_of(company.owner), json={"is_active": False}).status_code == 403
    own = editor.patch(path_of(editor), json={"is_active": False})
    assert (own.status_code, own.json()["code"]) == (409, "own_account")
    assert editor.get("/devices").status_code == 200


def test_a_deleted_user_is_gone(company: Company, client: httpx2.Client) -> None:
    editor, viewer = company.member("editor"), company.member("viewer")
    assert editor.delete(path_of(viewer)).status_code == 204
    assert viewer.get("/devices").status_code == 401
    assert client.post("/auth/login", json={"email": viewer.email, "password": PASSWORD}).status_code == 401
    assert company.owner.get(path_of(viewer)).status_code == 404
    assert editor.delete(path_of(company.owner)).status_code == 403
    # The address is free again.
    assert new_user(editor, email=viewer.email)["id"] != viewer.profile["id"]


def test_an_owner_does_not_go_while_others_need_one(company: Company) -> None:
    company.member("viewer")
    refused = company.owner.delete(path_of(company.owner))
    assert (refused.status_code, refused.json()["code"]) == (409, "last_owner")
    second = company.member("owner")
    assert second.delete(path_of(company.owner)).status_code == 204
    assert second.delete(path_of(second)).status_code == 409


def test_what_belongs_to_one_alone_goes_with_them(server: RoostServer, admin: UserClient) -> None:
    with register_user(server) as loner, register_user(server) as keeper:
        place = loner.get("/organizations").json()[0]["id"]
        assert admin.delete(path_of(loner)).status_code == 204
        assert admin.get(f"/organizations/{place}").status_code == 404
        device = register_device(keeper)
        refused = admin.delete(path_of(keeper))
        assert (refused.status_code, refused.json()["code"]) == (409, "last_owner")
        assert "has devices" in refused.json()["detail"]
        # Deactivating takes nothing from anybody else.
        assert admin.patch(path_of(keeper), json={"is_active": False}).status_code == 200
        assert admin.get(f"/devices/{device.id}").status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"role": "admin"},
        {"roles": ["admin"]},
        {"is_active": True},
        {"scopes": ["admin"]},
        {"grants": []},
        {"id": 1},
        {"password_hash": "x"},
        {"organization_id": 1},
        {"username": None},
        {"email": None},
        {"email": "no address"},
        {"full_name": ""},
    ],
)
def test_what_nobody_sets_of_themselves(user: UserClient, change: dict[str, object]) -> None:
    before = user.get("/users/me").json()
    assert user.patch("/users/me", json={"full_name": "Me", **change}).status_code == 422
    assert user.get("/users/me").json() == before
    if "is_active" not in change:
        assert user.patch(path_of(user), json={"full_name": "Me", **change}).status_code == 422


def test_my_profile(user: UserClient, client: httpx2.Client, server: RoostServer) -> None:
    named = user.patch("/users/me", json={"full_name": "Ada Lovelace", "username": f"ada.{user.profile['id']}"})
    assert named.status_code == 200, named.text
    assert named.json() == user.get("/users/me").json()
    assert named.json()["full_name"] == "Ada Lovelace"
    assert user.patch("/users/me", json={"full_name": None}).json()["full_name"] is None
    new = f"ada-{user.profile['id']}@example.org"
    assert user.patch("/users/me", json={"email": new}).json()["code"] == "password_missing"
    wrong = user.patch("/users/me", json={"email": new, "current_password": "Wrong1234!"})
    assert (wrong.status_code, wrong.json()["code"]) == (403, "wrong_password")
    assert user.get("/users/me").json()["email"] == user.email
    moved = user.patch("/users/me", json={"email": new, "current_password": user.password})
    assert (moved.status_code, moved.json()["email"]) == (200, new)
    sign_in(server, new).close()
    assert client.post("/auth/login", json={"email": user.email, "password": PASSWORD}).status_code == 401
    with register_user(server) as other:
        for change, code in (
            ({"username": f"ADA.{user.profile['id']}"}, "username_taken"),
            ({"email": new}, "email_taken"),
        ):
            answer = other.patch("/users/me", json=change | {"current_password": other.password})
            assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert client.patch("/users/me", json={"full_name": "X"}).status_code == 401


def test_no_way_around_the_password(user: UserClient, admin: UserClient) -> None:
    for caller, path in ((user, path_of(user)), (admin, path_of(admin)), (admin, f"/admin{path_of(admin)}")):
        for change in ({"email": "other@example.org"}, {"username": "other"}, {"full_name": "Other"}):
            refused = caller.patch(path, json=change)
            assert (refused.status_code, refused.json()["code"]) == (409, "own_account")
    every = user.get("/users/me").json()["scopes"]
    token = user.post("/auth/api-tokens", json={"name": "script", "scopes": every}).json()["token"]
    gone = user.delete(path_of(user), headers={"Authorization": f"Bearer {token}"})
    assert (gone.status_code, gone.json()["code"]) == (403, "needs_sign_in")


def test_guessing_the_password_here_counts_as_there(user: UserClient) -> None:
    body = {"email": "away@example.org", "current_password": "Wrong1234!"}
    answers = [user.patch("/users/me", json=body) for _ in range(8)]
    assert {answer.status_code for answer in answers} == {403, 429}
    assert answers[-1].headers["Retry-After"]
