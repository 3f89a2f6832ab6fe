"""Working with others: organizations, members, invitations, users. What one may not do is not offered."""

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import UserClient, register_device, register_user
from tests.roost_server import RoostServer
from tests.web.conftest import OpenBrowser, Visitor

pytestmark = pytest.mark.pages

_REFUSED = "status of 4"


@pytest.fixture
def owner(server: RoostServer) -> Iterator[UserClient]:
    """Somebody who owns an organization with a name of its own."""
    with register_user(server, full_name="Mara Lindqvist", organization_name="Harbour Care") as somebody:
        yield somebody


@pytest.fixture
def visitor(server: RoostServer, owner: UserClient, open_browser: OpenBrowser) -> Visitor:
    """`owner`, signed in at a browser."""
    somebody = open_browser(server)
    somebody.sign_in(owner.email, owner.password)
    return somebody


def _organization(owner: UserClient) -> int:
    found: int = owner.get("/organizations").json()[0]["id"]
    return found


def _add_member(owner: UserClient, role: str, name: str) -> dict[str, Any]:
    email = f"{uuid.uuid4().hex[:12]}@example.org"
    body = {"email": email, "password": "Test1234!", "full_name": name, "role": role}
    answer = owner.post("/users", json=body)
    assert answer.status_code == 201, answer.text
    return {"email": email, "id": answer.json()["id"]}


def _choose_organization(page: Page, name: str) -> None:
    page.get_by_role("button", name=re.compile("^Shown organization")).click()
    page.get_by_role("menuitemradio", name=re.compile(f"^{name}")).click()


def test_a_link_makes_an_account_and_a_member(
    visitor: Visitor, owner: UserClient, server: RoostServer, open_browser: OpenBrowser
) -> None:
    page = visitor.page
    visitor.go(f"/organizations/{_organization(owner)}")
    page.get_by_role("button", name="Invite somebody").click()
    dialog = page.get_by_role("dialog")
    email = f"{uuid.uuid4().hex[:12]}@example.org"
    dialog.get_by_label("E-mail").fill(email)
    dialog.get_by_label("Role").select_option("editor")
    dialog.get_by_role("button", name="Invite", exact=True).click()
    link = dialog.get_by_test_id("one-time-link").inner_text()
    dialog.get_by_role("button", name="Done").click()
    expect(page.get_by_test_id("invitation")).to_contain_text(email)
    # Shown once: not even the owner sees it again.
    expect(page.get_by_text(link)).to_have_count(0)

    guest = open_browser(server)
    guest.expect_complaint(_REFUSED)
    theirs = guest.page
    theirs.goto(link)
    expect(theirs.get_by_text("to Harbour Care")).to_be_visible()
    expect(theirs.get_by_role("definition").filter(has_text=email)).to_be_visible()
    theirs.get_by_label("Your name").fill("Nina Petrov")
    theirs.get_by_label("Password", exact=True).fill("Test1234!")
    theirs.get_by_role("button", name="Create the account and join").click()
    expect(theirs.get_by_text("You belong to Harbour Care now.")).to_be_visible()
    theirs.get_by_role("link", name="Go on").click()
    expect(theirs.get_by_role("heading", name="Devices", exact=True)).to_be_visible()

    page.reload()
    expect(page.get_by_test_id("member").filter(has_text="Nina Petrov")).to_be_visible()
    expect(page.get_by_text("Nobody has an open invitation.")).to_be_visible()
    theirs.goto(link)
    expect(theirs.get_by_role("alert")).to_have_text("This invitation is not good any more.")


def test_roles_are_changed_and_members_removed(visitor: Visitor, owner: UserClient) -> None:
    _add_member(owner, "viewer", "Viktor Hale")
    visitor.expect_complaint(_REFUSED)
    page = visitor.page
    organization = _organization(owner)
    visitor.go(f"/organizations/{organization}")
    page.get_by_label("Role of Viktor Hale").select_option("editor")
    expect(page.get_by_text("Viktor Hale is an editor now.")).to_be_visible()
    members = owner.get(f"/organizations/{organization}/members").json()
    assert [member["role"] for member in members] == ["owner", "editor"]

    page.get_by_role("button", name="Remove Viktor Hale").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_test_id("member")).to_have_count(1)

    page.get_by_role("button", name="Leave the organization").click()
    page.get_by_role("dialog").get_by_role("button", name="Leave", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="owner")).to_be_visible()
    assert owner.get(f"/organizations/{organization}").status_code == 200


def test_the_chosen_organization_filters_the_lists(visitor: Visitor, owner: UserClient) -> None:
    register_device(owner, uid=f"here-{uuid.uuid4().hex[:6]}")
    page = visitor.page
    visitor.go("/organizations")
    page.get_by_role("button", name="New organization").click()
    page.get_by_label("Name", exact=True).fill("Lindqvist at home")
    page.get_by_role("button", name="Create it").click()
    expect(page.get_by_role("heading", name="Lindqvist at home")).to_be_visible()
    second = int(page.url.rsplit("/", 1)[1])
    register_device(owner, uid=f"there-{uuid.uuid4().hex[:6]}", organization_id=second)

    visitor.load("/devices")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(2)
    _choose_organization(page, "Lindqvist at home")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("there-")
    page.reload()
    expect(rows).to_have_count(1)
    _choose_organization(page, "All my organizations")
    expect(rows).to_have_count(2)

    visitor.go(f"/organizations/{second}")
    page.get_by_role("button", name="Delete the organization").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Type Lindqvist at home to confirm").fill("Lindqvist at home")
    dialog.get_by_role("button", name="Delete the organization").click()
    expect(page.get_by_text("Lindqvist at home is deleted.")).to_be_visible()
    assert [one["id"] for one in owner.get("/organizations").json()] == [_organization(owner)]


def test_a_viewer_is_offered_nothing_to_change(
    owner: UserClient, server: RoostServer, open_browser: OpenBrowser
) -> None:
    viewer = _add_member(owner, "viewer", "Viktor Hale")
    register_device(owner)
    visitor = open_browser(server)
    visitor.sign_in(viewer["email"], "Test1234!")
    page = visitor.page
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.get_by_role("button", name=re.compile("^Add"))).to_have_count(0)
    visitor.go(f"/organizations/{_organization(owner)}")
    expect(page.get_by_test_id("member")).to_have_count(2)
    expect(page.get_by_role("main").get_by_role("button")).to_have_text(["Leave the organization"])
    visitor.go("/homes")
    expect(page.get_by_role("link", name=re.compile("0 rooms"))).to_be_visible()
    expect(page.get_by_role("button", name="New home")).to_have_count(0)
    visitor.go("/users")
    page.get_by_role("button", name=re.compile("Mara Lindqvist")).click()
    expect(page.get_by_text("You see this account, but do not manage it.")).to_be_visible()


def test_a_user_is_made_found_locked_out_and_deleted(
    visitor: Visitor, owner: UserClient, server: RoostServer, open_browser: OpenBrowser
) -> None:
    visitor.expect_complaint(_REFUSED)
    page = visitor.page
    visitor.go("/users")
    page.get_by_role("button", name="Add user").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("E-mail").fill("no address")
    dialog.get_by_role("button", name="Add the user").click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    email = f"{uuid.uuid4().hex[:12]}@example.org"
    dialog.get_by_label("E-mail").fill(email)
    dialog.get_by_label("Name").fill("Tom Ferreira")
    dialog.get_by_label("Role").select_option("technician")
    dialog.get_by_role("button", name="Add the user").click()
    link = dialog.get_by_test_id("one-time-link").inner_text()
    dialog.get_by_role("button", name="Done").click()

    theirs = open_browser(server)
    theirs.page.goto(link)
    theirs.page.get_by_label("New password").fill("Test1234!")
    theirs.page.get_by_role("button", name="Set the password").click()
    expect(theirs.page.get_by_text("Your password is set.")).to_be_visible()
    theirs.sign_in(email, "Test1234!")
    theirs.expect_complaint(f"{_REFUSED}|WebSocket connection to")

    page.get_by_label("Search users").fill("ferr")
    expect(page.get_by_text("1 user", exact=True)).to_be_visible()
    page.get_by_role("button", name=re.compile("Tom Ferreira")).click()
    dialog.get_by_label("Name", exact=False).first.fill("Tomás Ferreira")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("heading", name="Tomás Ferreira")).to_be_visible()
    dialog.get_by_role("button", name="Deactivate").click()
    expect(dialog.get_by_text("Deactivated", exact=True)).to_be_visible()
    # At once: whatever they do next, they are out.
    theirs.page.reload()
    expect(theirs.page.get_by_role("heading", name="Sign in to Roost")).to_be_visible()

    dialog.get_by_role("button", name="Delete the user").click()
    confirm = page.get_by_role("dialog", name=re.compile("^Delete"))
    phrase = email.split("@", maxsplit=1)[0]
    confirm.get_by_label(f"Type {phrase} to confirm").fill(phrase)
    confirm.get_by_role("button", name="Delete the user").click()
    expect(page.get_by_text("Nobody matches")).to_be_visible()


def test_an_administrator_sees_all_organizations(
    owner: UserClient, server: RoostServer, open_browser: OpenBrowser
) -> None:
    visitor = open_browser(server)
    visitor.sign_in(server.admin_email, server.admin_password)
    page = visitor.page
    visitor.go("/users")
    page.get_by_label("Search users").fill(owner.email)
    expect(page.get_by_role("button", name=re.compile(f"{owner.email}.*Owner · Harbour Care"))).to_be_visible()
    page.get_by_role("button", name="Add user").click()
    expect(page.get_by_role("dialog").get_by_label("Role").locator("option")).to_contain_text(
        ["Viewer", "Editor", "Owner", "Technician", "Staff", "Administrator"]
    )
