"""For how long telemetry is kept, as an owner says it at the page of the organization."""

import re

from playwright.sync_api import expect

from tests.conftest import register_user
from tests.roost_server import RoostServer
from tests.web.conftest import OpenBrowser


def test_a_policy_is_made_and_deleted(server: RoostServer, open_browser: OpenBrowser) -> None:
    with register_user(server, organization_name="Harbour Care") as owner:
        visitor = open_browser(server)
        visitor.sign_in(owner.email, owner.password)
        page = visitor.page
        visitor.goto(f"/organizations/{owner.get('/organizations').json()[0]['id']}")
        expect(page.get_by_text("There is no policy.")).to_be_visible()
        page.get_by_role("button", name="New policy").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Days").fill("0")
        expect(dialog.get_by_text("A whole number from 1 to 36500.")).to_be_visible()
        dialog.get_by_label("Days").fill("7")
        dialog.get_by_label("Series").fill("debug.*")
        dialog.get_by_role("button", name="Keep it so long").click()
        row = page.get_by_test_id("policy")
        expect(row).to_have_text(re.compile(r"debug\.\*.*7 days"))
        assert [one["keep_days"] for one in owner.get("/retention-policies").json()] == [7]
        row.get_by_role("button").click()
        page.get_by_role("button", name="Delete the policy", exact=True).click()
        expect(page.get_by_text("There is no policy.")).to_be_visible()
        assert owner.get("/retention-policies").json() == []
