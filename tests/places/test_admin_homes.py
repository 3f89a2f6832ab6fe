"""The administrator's view of homes: those of every organization."""

from collections.abc import Callable

from tests.conftest import UserClient
from tests.core.test_http import assert_problem
from tests.places.conftest import Company, ids


def test_every_home_of_the_hub(administrator: UserClient, make_company: Callable[[], Company]) -> None:
    one, other = make_company(), make_company()
    for company in (one, other):
        assert ids(administrator, f"/admin/homes?organization_id={company.organization_id}") == [company.home_id]
    made = administrator.post("/admin/homes", json={"name": "Depot", "organization_id": other.organization_id})
    assert made.status_code == 201, made.text
    depot = made.json()["id"]
    assert ids(other.owner, "/homes") == [other.home_id, depot]
    changed = administrator.patch(f"/admin/homes/{depot}", json={"name": "Store"})
    assert (changed.status_code, other.owner.get(f"/homes/{depot}").json()["name"]) == (200, "Store")
    assert administrator.delete(f"/admin/homes/{depot}").status_code == 204
    assert ids(other.owner, "/homes") == [other.home_id]
    assert_problem(administrator.delete(f"/admin/homes/{depot}"), 404, "home_not_found")


def test_it_is_for_administrators_alone(company: Company) -> None:
    for somebody in (company.owner, company.member("staff")):
        assert_problem(somebody.get("/admin/homes"), 403, "missing_scope")
        assert_problem(somebody.post("/admin/homes", json={"name": "Depot"}), 403, "missing_scope")
        assert_problem(somebody.patch(f"/admin/homes/{company.home_id}", json={"name": "x"}), 403, "missing_scope")
        assert_problem(somebody.delete(f"/admin/homes/{company.home_id}"), 403, "missing_scope")
    assert company.owner.get(f"/homes/{company.home_id}").json()["name"] == "Home"
