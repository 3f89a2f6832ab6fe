"""For how long telemetry is kept, as an owner says it at the page of the organization and an administrator of all."""

import re

import pytest
from playwright.sync_api import expect

from tests.conftest import UserClient, register_user
from tests.roost_server import RoostServer
from tests.telemetry.retention.test_policies import home_of
from tests.web.conftest import OpenBrowser

pytestmark = pytest.mark.pages


def test_a_policy_is_made_and_deleted(server: RoostServer, open_browser: OpenBrowser) -> None:
    with register_user(server, organization_name="Harbour Care") as owner:
        visitor = open_browser(server)
        visitor.sign_in(owner.email, owner.password)
        page = visitor.page
        visitor.go(f"/organizations/{owner.get('/organizations').json()[0]['id']}")
        expect(page.get_by_text("There is no policy.")).to_be_visible()
        page.get_by_role("button", name="New policy").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Days").fill("0")
        expect(dialog.get_by_text("A whole number from 1 to 36500.")).to_be_visible()
        dialog.get_by_label("Days").fill("7")
        dialog.get_by_label("What stays").select_option(label="Buckets of 5 minutes")
        dialog.get_by_label("For so many days more").fill("700")
        dialog.get_by_label("Series").fill("debug.*")
        dialog.get_by_role("button", name="Keep it so long").click()
        row = page.get_by_test_id("policy")
        expect(row).to_have_text(re.compile(r"debug\.\*.*buckets of 5 minutes, 700 days more.*7 days"))
        (made,) = owner.get("/retention-policies").json()
        assert (made["keep_days"], made["then_keep"]) == (7, {"bucket": "5m", "for_days": 700})
        row.get_by_role("button").click()
        page.get_by_role("button", name="Delete the policy", exact=True).click()
        expect(page.get_by_text("There is no policy.")).to_be_visible()
        assert owner.get("/retention-policies").json() == []


def test_an_administrator_says_what_counts_for_all(
    server: RoostServer, admin: UserClient, open_browser: OpenBrowser
) -> None:
    with register_user(server) as owner:
        theirs = owner.post("/retention-policies", json={"organization_id": home_of(owner), "keep_days": 77})
        assert theirs.status_code == 201
        visitor = open_browser(server)
        visitor.sign_in(admin.email, admin.password)
        page = visitor.page
        visitor.go("/ops/retention")
        page.get_by_role("button", name="New policy").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Days").fill("900")
        dialog.get_by_label("Type of device").fill("rented-thing")
        dialog.get_by_role("button", name="Keep it so long").click()
        row = page.get_by_test_id("policy").filter(has_text="rented-thing")
        expect(row).to_contain_text("900 days")
        expect(page.get_by_text("77 days")).to_have_count(0)
        row.get_by_role("button").click()
        page.get_by_role("button", name="Delete the policy", exact=True).click()
        expect(row).to_have_count(0)
