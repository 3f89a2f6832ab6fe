"""Policies over HTTP: who keeps what for how long."""

from typing import Any

from tests.conftest import UserClient, register_device


def home_of(user: UserClient) -> int:
    organization_id: int = user.get("/organizations").json()[0]["id"]
    return organization_id


def make(user: UserClient, **wanted: Any) -> dict[str, Any]:
    answer = user.post("/retention-policies", json=wanted)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def effective(user: UserClient, device_id: int) -> dict[str, Any]:
    answer = user.get("/retention-policies/effective", params={"device_id": device_id})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_an_owner_makes_changes_and_removes_policies(user: UserClient) -> None:
    own = home_of(user)
    made = make(user, organization_id=own, device_type="meter", keep_days=30)
    path = f"/retention-policies/{made['id']}"
    assert user.get("/retention-policies").json() == [made] == [user.get(path).json()]
    changed = user.patch(path, json={"keep_days": None}).json()
    assert (changed["keep_days"], changed["device_type"]) == (None, "meter")
    assert user.delete(path).status_code == 204
    assert user.get(path).status_code == 404
    actions = [entry["action"] for entry in user.get(f"/organizations/{own}/audit").json()]
    assert [action for action in actions if action.startswith("retention_policy.")] == [
        "retention_policy.deleted", "retention_policy.changed", "retention_policy.created",
    ]  # fmt: skip


def test_what_stays_of_readings_when_they_go(user: UserClient) -> None:
    own = home_of(user)
    made = make(user, organization_id=own, keep_days=30, then_keep={"bucket": "5m", "for_days": 700})
    path = f"/retention-policies/{made['id']}"
    assert user.get(path).json()["then_keep"] == {"bucket": "5m", "for_days": 700}
    # Left out it stays; what is kept for ever leaves nothing to take together.
    assert user.patch(path, json={"keep_days": 40}).json()["then_keep"] == {"bucket": "5m", "for_days": 700}
    assert user.patch(path, json={"keep_days": 40, "then_keep": {"bucket": "1h", "for_days": None}}).json()[
        "then_keep"
    ] == {"bucket": "1h", "for_days": None}
    device = register_device(user)
    assert effective(user, device.id)["rules"][0]["then_keep"] == {"bucket": "1h", "for_days": None}
    assert user.patch(path, json={"keep_days": 40, "then_keep": None}).json()["then_keep"] is None
    for refused in (
        {"keep_days": None, "then_keep": {"bucket": "1h", "for_days": 1}},
        {"keep_days": 3, "then_keep": {"bucket": "7m", "for_days": 1}},
        {"keep_days": 3, "then_keep": {"bucket": "1h"}},
        {"keep_days": 3, "then_keep": {"bucket": "1h", "for_days": 0}},
    ):
        assert user.patch(path, json=refused).status_code == 422, refused
    entry = next(one for one in user.get(f"/organizations/{own}/audit").json() if one["action"].endswith(".changed"))
    assert entry["details"]["before"] == {"keep_days": 40, "then_keep": {"bucket_s": 3600, "for_days": None}}


def test_what_counts_for_a_device(user: UserClient) -> None:
    own, device, other = home_of(user), register_device(user, type="meter"), register_device(user, type="lamp")
    assert effective(user, device.id) == {"device_id": device.id, "rules": [], "events_keep_days": None}
    every = make(user, organization_id=own, keep_days=365)
    meters = make(user, organization_id=own, device_type="meter", keep_days=700)
    debug = make(user, organization_id=own, key_pattern="debug.*", keep_days=7)
    found = effective(user, device.id)
    assert [(rule["policy_id"], rule["keep_days"], rule["by"]) for rule in found["rules"]] == [
        (debug["id"], 7, "organization"), (meters["id"], 700, "organization"),
    ]  # fmt: skip
    assert found["events_keep_days"] == 700
    assert [rule["policy_id"] for rule in effective(user, other.id)["rules"]] == [debug["id"], every["id"]]


def test_two_about_the_same_and_days_that_cannot_be(user: UserClient) -> None:
    own = home_of(user)
    make(user, organization_id=own, keep_days=30)
    again = user.post("/retention-policies", json={"organization_id": own, "keep_days": None})
    assert (again.status_code, again.json()["code"]) == (409, "retention_policy_exists")
    for days in (0, -1, 36_501, "week"):
        assert user.post("/retention-policies", json={"organization_id": own, "keep_days": days}).status_code == 422
    # Whoever forgets to say for how long has not said for ever.
    assert user.post("/retention-policies", json={"organization_id": own, "key_pattern": "x"}).status_code == 422


def test_the_hubs_policies_are_the_administrators(admin: UserClient, user: UserClient) -> None:
    refused = user.post("/retention-policies", json={"keep_days": 30})
    assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
    made = make(admin, device_type="rented-thing", keep_days=900)
    try:
        assert made in admin.get("/retention-policies", params={"limit": 500}).json()
        assert user.get(f"/retention-policies/{made['id']}").status_code == 404
        assert user.patch(f"/retention-policies/{made['id']}", json={"keep_days": 1}).status_code == 404
        # What counts for their devices they learn all the same.
        device = register_device(user, type="rented-thing")
        assert effective(user, device.id)["rules"] == [
            {"policy_id": made["id"], "by": "hub", "key_pattern": None, "keep_days": 900, "then_keep": None}
        ]
    finally:
        assert admin.delete(f"/retention-policies/{made['id']}").status_code == 204
